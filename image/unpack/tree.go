package unpack

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tree is the directory being filled. Its directories are known by their canonical path: relative to the
// root, without symbolic links, "." for the root. One goroutine uses it.
type tree struct {
	fd     int
	opaque string // name of the xattr

	// open keeps descriptors of directories by the path that the stream uses for them. A tar stream names the
	// same parent many times in a row.
	open map[string]*dir

	implied   map[string]bool
	whiteouts map[string]bool
	times     map[string]dirTimes
}

type dirTimes struct{ atime, mtime time.Time }

// dir is an open directory below the root.
type dir struct {
	fd   int
	path string
}

// place is a name in a directory.
type place struct {
	dir  *dir
	base string
}

func (p place) path() string { return path.Join(p.dir.path, p.base) }

// maxOpen bounds the descriptors that one layer holds.
const maxOpen = 64

func openTree(root string, userXattr bool) (*tree, error) {
	fd, err := unix.Open(root, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", root, err)
	}
	t := &tree{
		fd:        fd,
		opaque:    "trusted.overlay.opaque",
		open:      make(map[string]*dir),
		implied:   make(map[string]bool),
		whiteouts: make(map[string]bool),
		times:     make(map[string]dirTimes),
	}
	if userXattr {
		t.opaque = "user.overlay.opaque"
	}
	return t, nil
}

func (t *tree) close() {
	t.forget()
	unix.Close(t.fd)
}

// forget closes the kept descriptors: after a directory was removed they may stand for what is gone.
func (t *tree) forget() {
	for _, d := range t.open {
		unix.Close(d.fd)
	}
	clear(t.open)
}

func (t *tree) keep(name string, d *dir) *dir {
	if len(t.open) >= maxOpen {
		t.forget()
	}
	t.open[name] = d
	return d
}

// openDir opens an existing directory by its canonical path.
func (t *tree) openDir(canonical string) (int, error) {
	return openat2(t.fd, canonical, unix.O_DIRECTORY|unix.O_RDONLY,
		unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV)
}

// parent opens the directory that the stream calls name, making what is missing. Symbolic links on
// the way are followed as if the root were "/", which is what they mean to the container.
func (t *tree) parent(name string) (*dir, error) {
	name = path.Clean(strings.TrimSuffix(name, "/"))
	if d, ok := t.open[name]; ok {
		return d, nil
	}
	// Most often it is there and no link is on the way: one call for all of the path.
	if fd, err := t.openDir(name); err == nil {
		return t.keep(name, &dir{fd: fd, path: name}), nil
	}
	canonical, err := t.resolve(name)
	if err != nil {
		return nil, err
	}
	fd, err := t.openDir(canonical)
	if err != nil {
		return nil, pathError("open", canonical, err)
	}
	return t.keep(name, &dir{fd: fd, path: canonical}), nil
}

// maxLinks is the kernel's own bound on symbolic links in one path (path_resolution(7)).
const maxLinks = 40

// resolve returns the canonical path of the directory name, making what is missing.
func (t *tree) resolve(name string) (string, error) {
	at, links := ".", 0
	rest := strings.Split(name, "/")
	for len(rest) > 0 {
		elem := rest[0]
		rest = rest[1:]
		switch elem {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, elem)
		fd, err := t.openDir(at)
		if err != nil {
			return "", pathError("open", at, err)
		}
		target, err := t.step(place{&dir{fd: fd, path: at}, elem})
		unix.Close(fd)
		if err != nil {
			return "", err
		}
		if target == "" {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", pathError("open", name, unix.ELOOP)
		}
		if path.IsAbs(target) {
			at = "."
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return at, nil
}

// step makes sure that there is a directory at p, or returns the target of the symbolic link that is there.
func (t *tree) step(p place) (link string, err error) {
	var st unix.Stat_t
	err = unix.Fstatat(p.dir.fd, p.base, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case errors.Is(err, unix.ENOENT):
		return "", t.imply(p)
	case err != nil:
		return "", pathError("stat", p.path(), err)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return "", nil
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		buf := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(p.dir.fd, p.base, buf)
		if err != nil {
			return "", pathError("readlink", p.path(), err)
		}
		return string(buf[:n]), nil
	case t.whiteouts[p.path()]:
		// The layer takes x away and puts x/y in its place: a new directory, which shows nothing
		// of the old one.
		if err := t.imply(p); err != nil {
			return "", err
		}
		return "", nil
	}
	return "", pathError("mkdir", p.path(), unix.ENOTDIR)
}

// imply makes a directory that the stream has no entry for. Its mode and owner hold only when no layer
// below knows the directory.
func (t *tree) imply(p place) error {
	a := attr{mode: 0o755, atime: time.Unix(0, 0), mtime: time.Unix(0, 0)}
	if err := t.mkdir(p, a); err != nil {
		return err
	}
	t.implied[p.path()] = true
	return nil
}

func (t *tree) impliedDirs() []string {
	var dirs []string
	for name := range t.implied {
		dirs = append(dirs, name)
	}
	slices.SortFunc(dirs, func(a, b string) int {
		if d := strings.Count(a, "/") - strings.Count(b, "/"); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	return dirs
}

// setDirTimes comes last: whatever is made in a directory changes its times.
func (t *tree) setDirTimes() error {
	for name, times := range t.times {
		dirName, base := path.Split(name)
		fd, err := t.openDir(path.Clean(dirName))
		if err != nil {
			return pathError("open", dirName, err)
		}
		err = setTimes(fd, base, times.atime, times.mtime)
		unix.Close(fd)
		if err != nil {
			return pathError("utimensat", name, err)
		}
	}
	return nil
}

// removed forgets everything about name and what was below it.
func (t *tree) removed(name string) {
	t.forget()
	below := name + "/"
	drop := func(other string) bool { return other == name || strings.HasPrefix(other, below) }
	for other := range t.times {
		if drop(other) {
			delete(t.times, other)
		}
	}
	for other := range t.implied {
		if drop(other) {
			delete(t.implied, other)
		}
	}
	for other := range t.whiteouts {
		if drop(other) {
			delete(t.whiteouts, other)
		}
	}
}

func openat2(at int, name string, flags, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve | unix.RESOLVE_NO_MAGICLINKS}
	for {
		fd, err := unix.Openat2(at, name, &how)
		// EAGAIN: a rename anywhere on the system raced with the walk (openat2(2)).
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		return fd, err
	}
}
