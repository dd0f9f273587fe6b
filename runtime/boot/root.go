package boot

import (
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/mount"
)

// enterRoot makes tree, the mounted root, the process's, with nothing of the host below or above it.
//
// Precondition: this thread's mount namespace is that of enterEmpty. Postcondition: c.root is the container's root and "/" is the same.
func (c *container) enterRoot(tree int) error {
	if err := coverWith(tree); err != nil {
		return err
	}
	c.root = tree
	return nil
}

// coverWith attaches tree on top of "/" and makes it this thread's root. It is the namespace's then, for everybody who enters it later (setns(2)) and for the kernel, which lets nobody
// who is confined by chroot(2) make user namespaces (fs/namespace.c, current_chrooted).
func coverWith(tree int) error {
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fault("root", "move_mount", "/", err)
	}
	if err := unix.Fchdir(tree); err != nil {
		return fault("root", "fchdir", "/", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fault("root", "chroot", "/", err)
	}
	return nil
}

func (c *container) openRoot(m *mount.Mount) (int, error) {
	o, err := parseOptions(m.Options)
	if err != nil {
		return -1, refuse("root", m.Source, err.Error())
	}
	switch {
	case m.Type == "overlay":
		return c.openOverlay("root", m, &o)
	case m.Type == "bind" || o.bind:
		s := source{Mount: *m, options: o, stage: "root", tree: -1}
		s.recursive = true
		if err := s.open(); err != nil {
			return -1, err
		}
		if !s.dir {
			return -1, refuse("root", m.Source, "the root must be a directory")
		}
		s.spread, s.rspread = unix.MS_PRIVATE, true
		if err := s.setAttributes(s.tree); err != nil {
			return -1, fault("root", "mount_setattr", m.Source, err)
		}
		return s.tree, nil
	}
	return -1, refuse("root", m.Source, "a root of type \""+m.Type+"\" is not supported: overlay or bind")
}

// openOverlay mounts an overlay and returns it detached.
func (c *container) openOverlay(stage string, m *mount.Mount, o *options) (int, error) {
	tree, err := overlayByLayer(stage, m, o)
	if isErrno(err, unix.EINVAL) && !takesLayers() {
		return c.overlayByString(stage, m, o)
	}
	return tree, err
}

// overlayByLayer gives the layers one a call, since Linux 6.7: neither a page nor 255 bytes bound their number.
func overlayByLayer(stage string, m *mount.Mount, o *options) (int, error) {
	fs, err := openFilesystem(stage, "overlay")
	if err != nil {
		return -1, err
	}
	defer fs.close()
	for _, lower := range m.Lower {
		if err := fs.set("lowerdir+", shortPath(lower)); err != nil {
			return -1, err
		}
	}
	if m.Upper != "" {
		if err := fs.set("upperdir", shortPath(m.Upper)); err != nil {
			return -1, err
		}
		if err := fs.set("workdir", shortPath(m.Work)); err != nil {
			return -1, err
		}
	}
	if err := fs.setAll(o.data); err != nil {
		return -1, err
	}
	return fs.mount("overlay", o.set)
}

// takesLayers says whether this kernel's overlay knows lowerdir+. Before 6.7 it does not. Before 6.5 it does not even say so:
// fsconfig collects any word for the mount at the end, as for every file system without a context of its own, which
// fsconfig tells by EOPNOTSUPP for a descriptor, whatever its key (fs/fsopen.c).
func takesLayers() bool {
	fs, err := openFilesystem("root", "overlay")
	if err != nil {
		return false
	}
	defer fs.close()
	if unix.FsconfigSetFd(fs.fd, "lowerdir+", 0) == unix.EOPNOTSUPP {
		return false
	}
	return unix.FsconfigSetString(fs.fd, "lowerdir+", "/") != unix.EINVAL
}

// shortPath is path, or a name for it that fsconfig takes: strings of at most 255 bytes, in which
// overlay gives a meaning to some characters.
func shortPath(path string) string {
	if len(path) <= 255 && !strings.ContainsAny(path, "\\:,") {
		return path
	}
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return path // the kernel's own message names it
	}
	return procPath(fd)
}

// overlayByString is for kernels before 6.7: the layers in one string that may not exceed a page, so they are
// given by short names, /proc/self/fd/N: some 200 layers fit, and an image has at most 127.
func (c *container) overlayByString(stage string, m *mount.Mount, o *options) (int, error) {
	// The mount must not show on the host. First, for the kernel takes as layers only what is mounted where this thread is
	// (fs/namespace.c, clone_private_mount). An overlay of ours takes nothing from the propagation of what it stands on.
	if err := c.standApart(); err != nil {
		return -1, err
	}
	dir := c.RunDir // to mount on for a moment
	var fds []int
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	var opening error
	name := func(path string) string {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil && opening == nil {
			opening = fault(stage, "open", path, err)
		}
		fds = append(fds, fd)
		return procPath(fd)
	}
	lower := make([]string, len(m.Lower))
	for i := range m.Lower {
		lower[i] = name(m.Lower[i])
	}
	data := append([]string{"lowerdir=" + strings.Join(lower, ":")}, o.data...)
	if m.Upper != "" {
		data = append(data, "upperdir="+name(m.Upper), "workdir="+name(m.Work))
	}
	if opening != nil {
		return -1, opening
	}
	var flags uintptr
	if o.set&unix.MOUNT_ATTR_RDONLY != 0 {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount("overlay", dir, "overlay", flags, strings.Join(data, ",")); err != nil {
		return -1, fault(stage, "mount", "overlay", err)
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, fault(stage, "open_tree", dir, err)
	}
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		return -1, fault(stage, "umount2", dir, err)
	}
	return tree, nil
}

// standApart gives this thread a copy of the host's mounts, if it has none of its own, in which nothing that is mounted shows on the host.
func (c *container) standApart() error {
	if !c.apart {
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return fault("namespace", "unshare", "", err)
		}
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return fault("root", "mount", "/", err)
		}
		c.apart = true
	}
	return nil
}
