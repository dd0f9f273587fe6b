// Package treeremoval removes trees of files that others have made: however deep they are, and nothing of what is mounted in them.
//
// os.RemoveAll holds a descriptor for each level. A container can nest directories for as long as the disk has room: what it has made could be removed by nobody, and
// each try would take all descriptors that the process may have. It also removes what is on a disk that somebody has mounted in the tree.
//
// Who uses it: volume and image. Touches what it is given.
package treeremoval

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// deepest is how many levels are removed in place. What is below them is moved up first.
const deepest = 100

// batch is how many names of a directory are read at once.
const batch = 1024

// Remove removes path with all that is below it. Missing = success. No link is followed. The error is that of the first entry that stays, a *os.PathError: EBUSY where
// something is mounted, EPERM for what is immutable; all else is removed then. Precondition: nobody writes there, and the parent of path is the caller's alone.
func Remove(path string) error {
	if err := unix.Unlink(path); err == nil || err == unix.ENOENT {
		return nil
	}
	root, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(root)
	r := removal{root: root, path: path}
	if !r.empty(root, 0, "") {
		return r.failed
	}
	if err := unix.Rmdir(path); err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "rmdir", Path: path, Err: err}
	}
	return nil
}

type removal struct {
	root   int
	path   string
	failed error // the first
}

// empty removes what is in dir, at below the root, and says whether nothing is left there. In the root that is also what was moved up meanwhile.
func (r *removal) empty(dir, depth int, at string) bool {
	for stays := map[string]bool{}; ; {
		names, err := list(dir, batch+len(stays)) // from the beginning: what is removed may move the rest
		if err != nil {
			return r.fail("readdir", at, err)
		}
		gone := false
		for _, name := range names {
			switch {
			case stays[name]:
			case r.one(dir, depth, name, filepath.Join(at, name)):
				gone = true
			default:
				stays[name] = true
			}
		}
		if !gone {
			return len(names) == 0
		}
	}
}

// one removes name from dir, or moves it to the root when it is deep.
func (r *removal) one(dir, depth int, name, at string) bool {
	err := unix.Unlinkat(dir, name, 0)
	if err == nil || err == unix.ENOENT {
		return true
	}
	sub, opened := open(dir, name)
	switch {
	case opened == unix.ENOTDIR || opened == unix.ELOOP:
		return r.fail("unlink", at, err)
	case opened == unix.EXDEV:
		return r.fail("rmdir", at, unix.EBUSY) // something is mounted on it
	case opened != nil:
		return r.fail("open", at, opened)
	}
	defer unix.Close(sub)
	if depth == deepest {
		if err := unix.Renameat(dir, name, r.root, ".deep-"+rand.Text()); err != nil {
			return r.fail("rename", at, err)
		}
		return true
	}
	if !r.empty(sub, depth+1, at) {
		return false
	}
	if err := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); err != nil && err != unix.ENOENT {
		return r.fail("rmdir", at, err)
	}
	return true
}

func (r *removal) fail(op, at string, err error) bool {
	if r.failed == nil {
		r.failed = &os.PathError{Op: op, Path: filepath.Join(r.path, at), Err: err}
	}
	return false
}

// open opens directory name in dir; EXDEV when something is mounted on it, a part of the same file system too.
func open(dir int, name string) (int, error) {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_XDEV}
	for {
		fd, err := unix.Openat2(dir, name, &how)
		if err != unix.EINTR && err != unix.EAGAIN {
			return fd, err
		}
	}
}

// list are at most n names in dir.
func list(dir, n int) ([]string, error) {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "directory")
	defer f.Close()
	names, err := f.Readdirnames(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}
