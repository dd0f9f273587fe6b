package boot

import (
	"strings"

	"golang.org/x/sys/unix"
)

// protect hides the spec's masked paths, makes its read-only paths and, last, the root read-only.
func (c *container) protect() error {
	if l := c.spec.Linux; l != nil {
		if err := c.mask(l.MaskedPaths); err != nil {
			return err
		}
		for _, p := range l.ReadonlyPaths {
			if err := c.readOnly(p); err != nil {
				return err
			}
		}
	}
	if c.readOnlyRoot() {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(c.root, "", unix.AT_EMPTY_PATH, &attr); err != nil {
			return fault("root", "mount_setattr", "/", err)
		}
	}
	return nil
}

// mask puts the null device over files and an empty directory over directories.
func (c *container) mask(paths []string) error {
	if len(paths) == 0 {
		return nil
	}
	null, err := c.nullDevice()
	if err != nil {
		return err
	}
	defer unix.Close(null)
	for _, p := range paths {
		if err := c.maskOne(p, null); err != nil {
			return err
		}
	}
	return nil
}

func (c *container) maskOne(path string, null int) error {
	target, err := resolve(c.root, path, anything)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return nil // nothing to hide
	}
	if err != nil {
		return fault("mask", "openat2", path, err)
	}
	defer unix.Close(target)
	var st unix.Stat_t
	if err := unix.Fstat(target, &st); err != nil {
		return fault("mask", "fstat", path, err)
	}
	var cover int
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		cover, err = c.blankMount()
	} else if cover, err = cloneOf(null); err != nil {
		err = fault("mask", "open_tree", "/dev/null", err)
	}
	if err != nil {
		return err
	}
	defer unix.Close(cover)
	return put("mask", cover, target, path)
}

// nullDevice opens the container's /dev/null and makes sure that it is one. An image or a sibling that puts a
// symlink there would otherwise choose what is mounted over /proc/sys and the like (CVE-2025-31133).
func (c *container) nullDevice() (int, error) {
	fd, err := openat2(c.root, "dev/null", unix.O_PATH, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, explain(fault("mask", "openat2", "/dev/null", err), "paths can be masked with the null device only")
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		unix.Close(fd)
		return -1, fault("mask", "fstat", "/dev/null", err)
	}
	if !isNull(&st) {
		unix.Close(fd)
		return -1, refuse("mask", "/dev/null", "expected the null device, character device 1:3, but got something else")
	}
	return fd, nil
}

// blankMount is a detached mount of an empty, read-only directory; all of a container's are one tmpfs.
func (c *container) blankMount() (int, error) {
	if c.blank < 0 {
		var err error
		if c.blank, err = blankFilesystem("mask"); err != nil {
			return -1, err
		}
		// The first user takes the mount itself: a detached mount can be cloned since Linux 6.15 only.
		fd, err := unix.FcntlInt(uintptr(c.blank), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return -1, fault("mask", "fcntl", "tmpfs", err)
		}
		return fd, nil
	}
	fd, err := cloneOf(c.blank) // attached by now
	if err != nil {
		return -1, fault("mask", "open_tree", "tmpfs", err)
	}
	return fd, nil
}

// readOnly binds path onto itself, read-only with everything below.
func (c *container) readOnly(path string) error {
	target, err := resolve(c.root, path, anything)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return nil
	}
	if err != nil {
		return fault("read-only", "openat2", path, err)
	}
	defer unix.Close(target)
	tree, err := unix.OpenTree(target, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)
	if err != nil {
		return fault("read-only", "open_tree", path, err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if strings.HasPrefix(path, "/proc/") {
		attr.Attr_set |= unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return fault("read-only", "mount_setattr", path, err)
	}
	return put("read-only", tree, target, path)
}

func (c *container) readOnlyRoot() bool { return c.spec.Root != nil && c.spec.Root.Readonly }
