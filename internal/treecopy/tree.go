// Package treecopy copies a tree of files into another directory, as it is: owners, modes, times, extended attributes, hard links, holes. Where the file system
// can share blocks between files (FICLONE: btrfs, xfs, bcachefs) a copy takes no room, and as long as its number of files.
//
// Both trees are descriptors, and no name below them is followed out of them: whoever may write there may be hostile, and at work meanwhile. What is copied of a file that
// changes meanwhile is what is seen of it.
//
// Who uses it: runtime/boot, to fill a new volume from an image, and volume, for copies of volumes. Touches what it is given, and /proc/self/fd.
package treecopy

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Error is a system call that failed. Path is of the tree's root, "" = the root itself.
type Error struct {
	Op, Path string
	Err      error
}

func (e *Error) Error() string {
	return fmt.Sprintf("%s /%s: %v", e.Op, strings.TrimPrefix(e.Path, "/"), e.Err)
}
func (e *Error) Unwrap() error { return e.Err }

func fault(op, path string, err error) error { return &Error{Op: op, Path: path, Err: err} }

// Options of Copy. The zero value copies all.
type Options struct {
	Go   func() error                     // asked before each entry: an error ends the copy, and is its error
	Open func(fd, flags int) (int, error) // opens the file that fd is open for the path of; nil = by /proc/self/fd
	Skip func(xattr string) bool          // extended attributes that are left out, beside those of overlayfs and SELinux's
}

// partFile is a file on its way. Whatever has another name is whole.
const partFile = ".stack-copyup"

// Copy fills to, an open directory, with what is in from, another, and makes it like that. What is there already stays as it is: a copy that was cut off can be gone on
// with. What is mounted below from is left out, and so are sockets, which are nothing without their servers.
//
// Errors: *Error, with ENOSPC or EDQUOT in its tree when the disk is full, with ENAMETOOLONG for what is so deep that no path of PATH_MAX bytes leads from the tree's root
// to it: each level takes two descriptors, and who may write there may make as many as the disk holds; that of o.Go.
func Copy(from, to int, o Options) error {
	c := copier{Options: o, root: to, links: map[inode]string{}}
	if c.Go == nil {
		c.Go = func() error { return nil }
	}
	if c.Open == nil {
		c.Open = reopen
	}
	if c.Skip == nil {
		c.Skip = func(string) bool { return false }
	}
	return c.directory(from, to, "")
}

// OpenDir opens directory name below dir, which may be ".", to be read. No link is followed.
func OpenDir(dir int, name string) (int, error) {
	return unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
}

// List are the names in dir.
func List(dir int) ([]string, error) {
	fd, err := OpenDir(dir, ".") // the offset of dir itself stays where it is
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "directory")
	defer f.Close()
	return f.Readdirnames(-1)
}

func reopen(fd, flags int) (int, error) {
	for {
		n, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), flags|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return n, err
		}
	}
}

type inode struct{ dev, ino uint64 }

type copier struct {
	Options
	root  int              // where it goes
	links map[inode]string // files with more than one name, and their first name in the copy
	buf   []byte
}

// directory copies the entries of from and then what from itself is like: its times and its mode, which may forbid writing.
func (c *copier) directory(from, to int, path string) error {
	_ = unix.Unlinkat(to, partFile, 0) // of a copy that was cut off
	names, err := List(from)
	if err != nil {
		return fault("getdents64", path, err)
	}
	for _, name := range names {
		if name == partFile { // of a copy into from that was cut off
			continue
		}
		if err := c.Go(); err != nil { // a copy takes its time
			return err
		}
		if err := c.entry(from, to, name, path+"/"+name); err != nil {
			return err
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(from, &st); err != nil {
		return fault("fstat", path, err)
	}
	return c.likeness(from, to, &st, path)
}

func (c *copier) entry(from, to int, name, path string) error {
	if len(path) > unix.PathMax {
		return fault("openat", path, unix.ENAMETOOLONG)
	}
	var st, have unix.Stat_t
	if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fault("fstatat", path, err)
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
			return fault("mknodat", path, err)
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
		return fault("mkdirat", path, err)
	}
	sub, err := OpenDir(from, name)
	if err != nil {
		return fault("openat", path, err)
	}
	defer unix.Close(sub)
	dst, err := OpenDir(to, name)
	if err == unix.ENOTDIR || err == unix.ELOOP { // somebody else has put something there
		return nil
	}
	if err != nil {
		return fault("openat", path, err)
	}
	defer unix.Close(dst)
	var here, below unix.Stat_t
	if err := errors.Join(unix.Fstat(from, &here), unix.Fstat(sub, &below)); err != nil {
		return fault("fstat", path, err)
	}
	// Another file system is one that was mounted there: /proc, /sys, a volume. Its content is not the tree's.
	if here.Dev != below.Dev {
		return nil
	}
	return c.directory(sub, dst, path)
}

func (c *copier) link(first string, to int, name, path string) error {
	const inside = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV
	fd, err := openat2(c.root, strings.TrimPrefix(first, "/"), unix.O_PATH|unix.O_NOFOLLOW, inside)
	if err != nil {
		return fault("openat2", first, err)
	}
	defer unix.Close(fd)
	if err := unix.Linkat(fd, "", to, name, unix.AT_EMPTY_PATH); err != nil {
		return fault("linkat", path, err)
	}
	return nil
}

func symlink(from, to int, name, path string, st *unix.Stat_t) error {
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(from, name, b)
	if err != nil {
		return fault("readlinkat", path, err)
	}
	if err := unix.Symlinkat(string(b[:n]), to, name); err != nil {
		return fault("symlinkat", path, err)
	}
	if err := unix.Fchownat(to, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fault("fchownat", path, err)
	}
	_ = unix.UtimesNanoAt(to, name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
	return nil
}

func (c *copier) ownership(to int, name, path string, st *unix.Stat_t) error {
	if err := unix.Fchownat(to, name, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fault("fchownat", path, err)
	}
	_ = unix.UtimesNanoAt(to, name, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW)
	return nil
}

func (c *copier) file(from, to int, name, path string, st *unix.Stat_t) error {
	// Somebody may be writing to the directory.
	look, err := unix.Openat(from, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fault("openat", path, err)
	}
	defer unix.Close(look)
	if err := unix.Fstat(look, st); err != nil {
		return fault("fstat", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return &Error{Op: "open", Path: path, Err: errors.New("expected a regular file, as it was a moment before")}
	}
	src, err := c.Open(look, unix.O_RDONLY)
	if err != nil {
		return fault("open", path, err)
	}
	defer unix.Close(src)
	dst, err := unix.Openat(to, partFile, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fault("openat", path, err)
	}
	defer unix.Close(dst)
	if err := c.content(src, dst, st.Size); err != nil {
		return fault("copy", path, err)
	}
	if err := c.likeness(src, dst, st, path); err != nil {
		return err
	}
	if err := unix.Renameat2(to, partFile, to, name, unix.RENAME_NOREPLACE); err != nil && err != unix.EEXIST {
		if err = unix.Renameat(to, partFile, to, name); err != nil { // no NOREPLACE on this file system
			return fault("renameat", path, err)
		}
	}
	return nil
}

// openat2 opens a path below dir as resolve says.
func openat2(dir int, path string, flags int, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolve}
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(dir, path, &how)
		if err == unix.EINTR || err == unix.EAGAIN && tries < 128 { // a name was changed meanwhile
			continue
		}
		return fd, err
	}
}
