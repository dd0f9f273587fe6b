package boot

import "golang.org/x/sys/unix"

// isNull says whether st is of the null device (Documentation/admin-guide/devices.txt: character, 1:3).
func isNull(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && uint64(st.Rdev) == unix.Mkdev(1, 3)
}

// replaceNull puts the container's own null device, or without one a pipe that nobody is at the other end of, in the place
// of fd, which is the host's, and will be stream number n. Through an open file its inode can be changed: chmod /proc/self/fd/0 in the container would
// take /dev/null from everybody on the host.
//
// Precondition: the root is the container's.
func replaceNull(self descriptors, fd, n int) error {
	null, err := openNull(self)
	if err != nil {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			return fault("stdio", "pipe2", "", err)
		}
		end := min(n, 1) // to read from for stdin, to write to for the others
		unix.Close(p[1-end])
		null = p[end]
	}
	defer unix.Close(null)
	if err := unix.Dup3(null, fd, 0); err != nil {
		return fault("stdio", "dup3", "", err)
	}
	return nil
}

// openNull opens /dev/null, and only if it is one: what the container has put there may be anything.
func openNull(self descriptors) (int, error) {
	look, err := openat2(unix.AT_FDCWD, "/dev/null", unix.O_PATH, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, err
	}
	defer unix.Close(look)
	var st unix.Stat_t
	if err := unix.Fstat(look, &st); err != nil {
		return -1, err
	}
	if !isNull(&st) {
		return -1, unix.ENODEV
	}
	return self.open(look, unix.O_RDWR)
}
