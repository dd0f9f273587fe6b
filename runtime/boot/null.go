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
func replaceNull(fd, n int) error {
	null, err := openNull()
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

// openNull opens /dev/null, and only if it is one: what the container has put there may be anything, and to open a device
// can set something off. So it is looked at first, and once more when it is open.
func openNull() (int, error) {
	const path, how = "/dev/null", unix.RESOLVE_NO_SYMLINKS
	var st unix.Stat_t
	look, err := openat2(unix.AT_FDCWD, path, unix.O_PATH, how)
	if err != nil {
		return -1, err
	}
	err = unix.Fstat(look, &st)
	unix.Close(look)
	if err != nil {
		return -1, err
	}
	if !isNull(&st) {
		return -1, unix.ENODEV
	}
	null, err := openat2(unix.AT_FDCWD, path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY, how)
	if err != nil {
		return -1, err
	}
	if err = unix.Fstat(null, &st); err == nil && !isNull(&st) {
		err = unix.ENODEV
	}
	if err == nil {
		err = unix.SetNonblock(null, false) // for whoever looks at the flags
	}
	if err != nil {
		unix.Close(null)
		return -1, err
	}
	return null, nil
}
