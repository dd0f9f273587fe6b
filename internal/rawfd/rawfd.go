// Package rawfd does with a file descriptor what package os does with a file, for whoever has only the number: package os looks at each file whether it can be
// waited for, which takes system calls of its own.
package rawfd

import "golang.org/x/sys/unix"

// WriteAll writes all of b to fd, at its position, in as many calls as it takes. The error is a unix.Errno; what was written by then stays.
func WriteAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// CloseAll closes fds. That one was not open is not told.
func CloseAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}
