// Package kernelfile reads files that the kernel makes up as they are read: those of /proc and of cgroups.
package kernelfile

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// Read reads the file at path into b by one read(2), and returns what of b it has filled. It is for files of one short record
// (proc_pid_stat(5), freezer.state), which the kernel gives whole; of a longer one it is the beginning. os.ReadFile takes twice the system calls, for it
// asks for the size, of which these files have none, and for readiness.
// The error is a *fs.PathError.
func Read(path string, b []byte) ([]byte, error) {
	fd, err := again(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	n, err := again(func() (int, error) { return unix.Read(fd, b) })
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return b[:n], nil
}

func again(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); err != unix.EINTR {
			return n, err
		}
	}
}
