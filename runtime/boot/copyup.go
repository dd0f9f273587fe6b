package boot

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// unfinished is set on a volume's directory while it is being filled, so that a copy that was killed is taken up
	// again by the next start, where a volume that holds something would otherwise be left alone.
	unfinished = "trusted.stack.copyup"

	// partFile is a file on its way. Whatever has another name is whole.
	partFile = ".stack-copyup"
)

// copyUp fills an empty volume with what the image has at its target: owners, modes, times, xattrs, hardlinks. A volume
// that holds something is left as it is. Both are descriptors, and no name below them is followed out of them. What unheard says ends it.
//
// Two containers that start with one new volume take turns: flock on the volume's directory.
func copyUp(self descriptors, volume, image int, unheard func() error) error {
	to, err := openDir(volume, ".")
	if err != nil {
		return fault("volume", "openat", "", err)
	}
	defer unix.Close(to)
	from, err := openDir(image, ".")
	if err != nil {
		return fault("volume", "openat", "", err)
	}
	defer unix.Close(from)
	// A server of files may have no locks.
	if err := lock(to); err != nil && err != unix.ENOLCK && err != unix.EOPNOTSUPP {
		return fault("volume", "flock", "", err)
	}
	defer unix.Flock(to, unix.LOCK_UN)
	_, markErr := unix.Fgetxattr(to, unfinished, nil)
	if markErr != nil {
		names, err := list(to)
		if err != nil {
			return fault("volume", "getdents64", "", err)
		}
		if len(names) > 0 {
			return nil
		}
		// A file system without xattrs cannot be marked; then only an unlucky kill leaves a part.
		_ = unix.Fsetxattr(to, unfinished, []byte("1"), 0)
	}
	c := copier{self: self, unheard: unheard, root: to, links: map[inode]string{}}
	if err := c.directory(from, to, ""); err != nil {
		return err
	}
	_ = unix.Fremovexattr(to, unfinished)
	return nil
}

func lock(fd int) error {
	for {
		if err := unix.Flock(fd, unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}

func openDir(dir int, name string) (int, error) {
	return unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

func list(dir int) ([]string, error) {
	fd, err := openDir(dir, ".") // the offset of dir itself stays where it is
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "directory")
	defer f.Close()
	return f.Readdirnames(-1)
}

type inode struct{ dev, ino uint64 }

type copier struct {
	self    descriptors
	unheard func() error
	root    int              // the volume
	links   map[inode]string // files of the image with more than one name, and their first name in the volume
	buf     []byte
}

// directory copies the entries of from and then what from itself is like: its times and its mode, which may forbid writing.
func (c *copier) directory(from, to int, path string) error {
	_ = unix.Unlinkat(to, partFile, 0) // of a copy that was cut off
	names, err := list(from)
	if err != nil {
		return fault("volume", "getdents64", path, err)
	}
	for _, name := range names {
		if err := c.unheard(); err != nil { // a copy takes its time; the next start goes on with it
			return err
		}
		if err := c.entry(from, to, name, path+"/"+name); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return fault("volume", "fstat", path, err)
	}
	return likeness(from, to, &st, path)
}

func (c *copier) entry(from, to int, name, path string) error {
	var st, have unix.Stat_t
	if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fault("volume", "fstatat", path, err)
	}
	exists := unix.Fstatat(to, name, &have, unix.AT_SYMLINK_NOFOLLOW) == nil
	isDir := st.Mode&unix.S_IFMT == unix.S_IFDIR
	id := inode{st.Dev, st.Ino}
	switch {
	case isDir:
		return c.subdirectory(from, to, name, path)
	case exists: // copied before the copy was cut off, or written since
		c.remember(id, &st, path)
		return nil
	case st.Nlink > 1 && c.links[id] != "":
		return c.link(c.links[id], to, name, path)
	}
	c.remember(id, &st, path)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return c.file(from, to, name, path, &st)
	case unix.S_IFLNK:
		return symlink(from, to, name, path, &st)
	case unix.S_IFCHR, unix.S_IFBLK, unix.S_IFIFO:
		if err := unix.Mknodat(to, name, st.Mode, int(st.Rdev)); err != nil {
			return fault("volume", "mknodat", path, err)
		}
		return c.ownership(to, name, path, &st)
	}
	return nil // a socket is nothing without its server
}

func (c *copier) remember(id inode, st *unix.Stat_t, path string) {
	if st.Nlink > 1 {
		c.links[id] = path
	}
}

func (c *copier) subdirectory(from, to int, name, path string) error {
	if err := unix.Mkdirat(to, name, 0o700); err != nil && err != unix.EEXIST {
		return fault("volume", "mkdirat", path, err)
	}
	sub, err := openDir(from, name)
	if err != nil {
		return fault("volume", "openat", path, err)
	}
	defer unix.Close(sub)
	dst, err := openDir(to, name)
	if err == unix.ENOTDIR || err == unix.ELOOP { // somebody else has put something there
		return nil
	}
	if err != nil {
		return fault("volume", "openat", path, err)
	}
	defer unix.Close(dst)
	var here, below unix.Stat_t
	if err := errors.Join(unix.Fstat(from, &here), unix.Fstat(sub, &below)); err != nil {
		return fault("volume", "fstat", path, err)
	}
	// Another file system in the image is one that was mounted for the container: /proc, /sys, a volume. Its
	// content is not the image's.
	if here.Dev != below.Dev {
		return nil
	}
	return c.directory(sub, dst, path)
}

func (c *copier) link(first string, to int, name, path string) error {
	const inside = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV
	fd, err := openat2(c.root, strings.TrimPrefix(first, "/"), unix.O_PATH|unix.O_NOFOLLOW, inside)
	if err != nil {
		return fault("volume", "openat2", first, err)
	}
	defer unix.Close(fd)
	if err := unix.Linkat(fd, "", to, name, unix.AT_EMPTY_PATH); err != nil {
		return fault("volume", "linkat", path, err)
	}
	return nil
}

func symlink(from, to int, name, path string, st *unix.Stat_t) error {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(from, name, b)
	if err != nil {
		return fault("volume", "readlinkat", path, err)
	}
	if err := unix.Symlinkat(string(b[:n]), to, name); err != nil {
		return fault("volume", "symlinkat", path, err)
	}
	if err := unix.Fchownat(to, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fault("volume", "fchownat", path, err)
	}
	_ = unix.UtimesNanoAt(to, name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
	return nil
}

func (c *copier) ownership(to int, name, path string, st *unix.Stat_t) error {
	if err := unix.Fchownat(to, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fault("volume", "fchownat", path, err)
	}
	_ = unix.UtimesNanoAt(to, name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
	return nil
}

func (c *copier) file(from, to int, name, path string, st *unix.Stat_t) error {
	// The image's directory can lie in a volume that another container writes to.
	look, err := unix.Openat(from, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fault("volume", "openat", path, err)
	}
	defer unix.Close(look)
	if err := unix.Fstat(look, st); err != nil {
		return fault("volume", "fstat", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return refuse("volume", path, "expected a regular file, as it was a moment before")
	}
	src, err := c.self.open(look, unix.O_RDONLY)
	if err != nil {
		return fault("volume", "open", path, err)
	}
	defer unix.Close(src)
	dst, err := unix.Openat(to, partFile, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fault("volume", "openat", path, err)
	}
	defer unix.Close(dst)
	if err := c.content(src, dst); err != nil {
		return fault("volume", "copy", path, err)
	}
	if err := likeness(src, dst, st, path); err != nil {
		return err
	}
	if err := unix.Renameat2(to, partFile, to, name, unix.RENAME_NOREPLACE); err != nil && err != unix.EEXIST {
		if err = unix.Renameat(to, partFile, to, name); err != nil { // no NOREPLACE on this file system
			return fault("volume", "renameat", path, err)
		}
	}
	return nil
}

// content copies bytes, in the kernel where both file systems can (copy_file_range shares blocks on btrfs and xfs).
func (c *copier) content(src, dst int) error {
	for copied := false; ; copied = true {
		n, err := unix.CopyFileRange(src, nil, dst, nil, 1<<30, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil && !copied:
			return c.readWrite(src, dst)
		case err != nil:
			return err
		case n == 0 && !copied:
			return c.readWrite(src, dst) // 0 at once is also the answer of files of unknown size
		case n == 0:
			return nil
		}
	}
}

func (c *copier) readWrite(src, dst int) error {
	if c.buf == nil {
		c.buf = make([]byte, 128<<10)
	}
	for {
		n, err := unix.Read(src, c.buf)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return nil
		}
		if err := writeAll(dst, c.buf[:n]); err != nil {
			return err
		}
	}
}

// likeness gives dst the owner, xattrs, mode and times of src. The order matters: chown clears set-id bits and
// file capabilities, and the times come last.
func likeness(src, dst int, st *unix.Stat_t, path string) error {
	if err := unix.Fchown(dst, int(st.Uid), int(st.Gid)); err != nil {
		return fault("volume", "fchown", path, err)
	}
	if err := xattrs(src, dst); err != nil {
		return fault("volume", "fsetxattr", path, err)
	}
	if err := unix.Fchmod(dst, st.Mode&0o7777); err != nil {
		return fault("volume", "fchmod", path, err)
	}
	// A null path means the descriptor itself (utimensat(2)); x/sys has no futimens, and microseconds would
	// make files look changed.
	_ = futimens(dst, [2]unix.Timespec{st.Atim, st.Mtim})
	return nil
}

func xattrs(src, dst int) error {
	size, err := unix.Flistxattr(src, nil)
	if err != nil || size == 0 {
		return nil // none, or a file system that has none
	}
	names := make([]byte, size)
	if size, err = unix.Flistxattr(src, names); err != nil {
		return nil
	}
	for _, name := range strings.Split(strings.TrimSuffix(string(names[:size]), "\x00"), "\x00") {
		if name == "" || name == unfinished || strings.HasPrefix(name, "trusted.overlay.") || name == "security.selinux" {
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
