package boot

import (
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/rawfd"
	"github.com/stackrun/stack/runtime/mount"
)

func (c *container) attachAll(sources []source) error {
	for i := range sources {
		if err := unheard(); err != nil {
			return err
		}
		if err := c.attach(&sources[i]); err != nil {
			return err
		}
	}
	return nil
}

// attach makes the detached mount of s, if its source did not give one, and puts it onto its target.
func (c *container) attach(s *source) error {
	switch {
	case s.Type == "file":
		return c.attachFile(s)
	case s.Type == "cgroup" || s.Type == "cgroup2":
		return c.attachCgroup(s)
	case s.View(), s.filesystem():
		if err := c.narrow(s); err != nil {
			return err
		}
		return c.attachBind(s)
	case s.bind:
		return c.attachBind(s)
	}
	if s.Type == "tmpfs" && s.stage == "volume" {
		if err := c.coverMode(s); err != nil {
			return err
		}
	}
	target, err := c.fixedTarget(s)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	if s.stage == "volume" {
		if err := c.allowedOn(target, s); err != nil {
			return err
		}
	}
	tree, err := c.mountNew(s)
	if err != nil {
		return err
	}
	if s.Type == "proc" && s.Target == "/proc" {
		c.proc = tree // stays open, for what is written to it
	} else {
		defer unix.Close(tree)
	}
	return put(s.stage, tree, target, s.Target)
}

// coverMode gives a tmpfs that names no mode the one of the directory that it covers, as runc does: some programs refuse a
// directory that others may write to. Where there is none it is made with the mode that a tmpfs has by itself, 01777, so that
// the container's next start finds the same.
func (c *container) coverMode(s *source) error {
	if slices.ContainsFunc(s.data, func(w string) bool { return strings.HasPrefix(w, "mode=") }) {
		return nil
	}
	target, err := resolve(c.root, s.Target, anything)
	missing := err == unix.ENOENT
	if missing {
		target, err = c.target(s, directory)
	}
	if err != nil {
		return err
	}
	defer unix.Close(target)
	dir, err := unix.Openat(target, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fault(s.stage, "openat", s.Target, err)
	}
	defer unix.Close(dir)
	if missing {
		if err := unix.Fchmod(dir, 0o1777); err != nil {
			return fault(s.stage, "fchmod", s.Target, err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return fault(s.stage, "fstat", s.Target, err)
	}
	s.data = append(s.data, "mode="+strconv.FormatUint(uint64(st.Mode&0o7777), 8))
	return nil
}

func (c *container) mountNew(s *source) (int, error) {
	open := openFilesystem
	if s.Type == "proc" {
		open = c.takeProc
	}
	fs, err := open(s.stage, s.Type)
	if err != nil {
		return -1, err
	}
	defer fs.close()
	if err := fs.setAll(s.data); err != nil {
		return -1, err
	}
	name := s.Source
	if name == "" {
		name = s.Type
	}
	return fs.mount(name, s.set)
}

// kernelTypes are file systems whose place decides what the paths below mean: masked paths, sysctls, device
// nodes. Their targets must be ordinary directories of the image.
var kernelTypes = map[string]bool{"proc": true, "sysfs": true, "cgroup": true, "cgroup2": true, "devpts": true, "mqueue": true}

// fixedTarget resolves the target of s. For what the platform relies on it follows no symlink at all: an image in
// which /proc or /dev is a link to somewhere else is refused (CVE-2026-41579, CVE-2019-19921).
func (c *container) fixedTarget(s *source) (int, error) {
	if !kernelTypes[s.Type] && s.Target != "/dev" {
		return c.target(s, directory)
	}
	open := func() (int, error) {
		return openat2(c.root, s.Target[1:], unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	}
	fd, err := open()
	if err == unix.ENOENT {
		target, terr := c.target(s, directory)
		if terr != nil {
			return -1, terr
		}
		unix.Close(target)
		fd, err = open()
	}
	if err == unix.ELOOP {
		return -1, explain(fault(s.stage, "openat2", s.Target, err), "the image has a symlink on this path; "+s.Type+" is mounted on ordinary directories only")
	}
	if err != nil {
		return -1, fault(s.stage, "openat2", s.Target, err)
	}
	return fd, nil
}

func (c *container) target(s *source, want kind) (int, error) {
	fd, err := resolve(c.root, s.Target, want)
	if err != nil {
		err = fault(s.stage, "openat2", s.Target, err)
		if isErrno(err, unix.EROFS) {
			err = explain(err, "the mount point does not exist and its file system is read-only")
		}
		return -1, err
	}
	return fd, nil
}

func put(stage string, tree, target int, path string) error {
	err := unix.MoveMount(tree, "", target, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err == nil {
		return nil
	}
	err = fault(stage, "move_mount", path, err)
	if isErrno(err, unix.ENOTDIR) || isErrno(err, unix.EINVAL) {
		var st unix.Stat_t
		if unix.Fstat(target, &st) == nil {
			is, other := "a directory", "a file"
			if st.Mode&unix.S_IFMT != unix.S_IFDIR {
				is, other = other, is
			}
			err = explain(err, "the target is "+is+"; is the source "+other+"?")
		}
	}
	return err
}

// narrow makes the mount of s, an image or a file system, one of its subpath. Links in it lead nowhere but to itself, as openSubpath says.
func (c *container) narrow(s *source) error {
	if s.Subpath != "" {
		fd, err := openSubpath(s.tree, s.Subpath)
		if err != nil {
			return explain(fault(s.stage, "openat2", s.Subpath, err), "it is the subpath of the "+s.what()+" at "+s.Target+", and must exist in the "+s.what())
		}
		defer unix.Close(fd)
		tree, err := cloneOf(fd)
		if err == unix.EINVAL {
			tree, err = c.cloneBelow(s.tree, fd)
		}
		if err != nil {
			return fault(s.stage, "open_tree", s.Subpath, err)
		}
		unix.Close(s.tree)
		s.tree = tree
	}
	var st unix.Stat_t
	if err := unix.Fstat(s.tree, &st); err != nil {
		return fault(s.stage, "fstat", s.Target, err)
	}
	s.dir = st.Mode&unix.S_IFMT == unix.S_IFDIR
	return nil
}

func (c *container) attachBind(s *source) error {
	defer func() {
		unix.Close(s.tree)
		s.tree = -1
	}()
	want := file
	if s.dir {
		want = directory
	}
	target, err := c.target(s, want)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	if s.stage == "volume" {
		if err := c.allowedOn(target, s); err != nil {
			return err
		}
	}
	if s.CopyUp {
		if err := copyUp(c.self, s.tree, target, c.unheard); err != nil {
			return explain(err, "while filling the empty volume at "+s.Target+" from the image")
		}
	}
	if s.spread == 0 {
		s.spread, s.rspread = unix.MS_PRIVATE, true
	}
	if err := s.setAttributes(s.tree); err != nil {
		return fault(s.stage, "mount_setattr", s.Target, err)
	}
	return put(s.stage, s.tree, target, s.Target)
}

// attachFile writes a config, a secret or a file of the platform's to a tmpfs that only this container has.
func (c *container) attachFile(s *source) error {
	if s.File == nil {
		return refuse(s.stage, s.Target, "a mount of type file has no content")
	}
	tree, err := c.fileMount(s.stage, s.File)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	target, err := c.target(s, file)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	if s.stage == "volume" {
		if err := c.allowedOn(target, s); err != nil {
			return err
		}
	}
	return put(s.stage, tree, target, s.Target)
}

// fileMount returns a detached mount of one file.
func (c *container) fileMount(stage string, f *mount.File) (int, error) {
	writable := f.Writable && !c.readOnlyRoot()
	fs, err := openFilesystem(stage, "tmpfs")
	if err != nil {
		return -1, err
	}
	defer fs.close()
	// Root of mode 0700, two inodes, and no more room than the content, or for a writable
	// file what an editor of /etc/hosts may need.
	size := len(f.Content) + 4096
	if writable {
		size += 1 << 20
	}
	if err := fs.setAll([]string{"mode=0700", "nr_inodes=8", "size=" + strconv.Itoa(size)}); err != nil {
		return -1, err
	}
	dir, err := fs.mount("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(dir)
	fd, err := unix.Openat(dir, "file", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return -1, fault(stage, "openat", "file", err)
	}
	defer unix.Close(fd)
	if err := rawfd.WriteAll(fd, f.Content); err != nil {
		return -1, fault(stage, "write", "file", err)
	}
	if err := unix.Fchown(fd, f.UID, f.GID); err != nil {
		return -1, fault(stage, "fchown", "file", err)
	}
	if err := unix.Fchmod(fd, f.Mode&0o7777); err != nil { // after fchown, which clears set-id bits
		return -1, fault(stage, "fchmod", "file", err)
	}
	tree, err := cloneOf(fd)
	if err == unix.EINVAL {
		tree, err = c.cloneBelow(dir, fd)
	}
	if err != nil {
		return -1, fault(stage, "open_tree", "file", err)
	}
	if !writable {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
			unix.Close(tree)
			return -1, fault(stage, "mount_setattr", "file", err)
		}
	}
	return tree, nil
}

// cloneOf is a detached bind mount of what fd is.
func cloneOf(fd int) (int, error) {
	return unix.OpenTree(fd, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
}

// cloneBelow is cloneOf for what lies in the detached mount tree, which Linux clones since 6.15: before, a mount must be in this
// namespace. It stands on top of the root for a moment, where nobody looks: the namespace has no other process yet, and our
// paths begin at descriptors below it.
//
// Precondition: the root is entered. Postcondition: tree is not attached any more, and cannot be again.
func (c *container) cloneBelow(tree, fd int) (int, error) {
	if err := unix.MoveMount(tree, "", c.root, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return -1, err
	}
	clone, err := cloneOf(fd)
	if err != nil {
		return -1, err
	}
	// umount2 takes a path only, and there may be no procfs to name a descriptor.
	err = unix.Fchdir(tree)
	if err == nil {
		err = unix.Unmount(".", unix.MNT_DETACH)
	}
	if err == nil {
		err = unix.Fchdir(c.root)
	}
	if err != nil {
		unix.Close(clone)
		return -1, err
	}
	return clone, nil
}
