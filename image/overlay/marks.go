package overlay

import "golang.org/x/sys/unix"

// IsWhiteout says whether st is what an overlay has in the place of what was deleted: a character device with the number 0/0. See the kernel's
// Documentation/filesystems/overlayfs.rst.
func IsWhiteout(st *unix.Stat_t) bool { return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0 }

// IsOpaque says whether nothing of the layers below shows in a directory of an overlay's.
func IsOpaque(dir string) bool {
	var y [1]byte
	n, err := unix.Lgetxattr(dir, "trusted.overlay.opaque", y[:])
	return err == nil && n == 1 && y[0] == 'y'
}
