package treecopy

import (
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// likeness gives dst the owner, xattrs, mode and times of src. The order matters: chown clears set-id bits and
// file capabilities, and the times come last.
func (c *copier) likeness(src, dst int, st *unix.Stat_t, path string) error {
	if err := unix.Fchown(dst, int(st.Uid), int(st.Gid)); err != nil {
		return fault("fchown", path, err)
	}
	if err := c.xattrs(src, dst); err != nil {
		return fault("fsetxattr", path, err)
	}
	if err := unix.Fchmod(dst, st.Mode&0o7777); err != nil {
		return fault("fchmod", path, err)
	}
	// A null path means the descriptor itself (utimensat(2)); x/sys has no futimens, and microseconds would
	// make files look changed.
	_ = futimens(dst, [2]unix.Timespec{st.Atim, st.Mtim})
	return nil
}

func (c *copier) xattrs(src, dst int) error {
	size, err := unix.Flistxattr(src, nil)
	if err != nil || size == 0 {
		return nil // none, or a file system that has none
	}
	names := make([]byte, size)
	if size, err = unix.Flistxattr(src, names); err != nil {
		return nil
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(names[:size]), "\x00"), "\x00") {
		if name == "" || c.Skip(name) || strings.HasPrefix(name, "trusted.overlay.") || name == "security.selinux" {
			continue
		}
		n, err := unix.Fgetxattr(src, name, nil)
		if err != nil {
			continue
		}
		value := make([]byte, n)
		if n, err = unix.Fgetxattr(src, name, value); err != nil {
			continue
		}
		if err := unix.Fsetxattr(dst, name, value[:n], 0); err != nil && err != unix.ENOTSUP {
			return err
		}
	}
	return nil
}

// futimens sets the times of an open file.
func futimens(fd int, times [2]unix.Timespec) error {
	_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&times[0])), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
