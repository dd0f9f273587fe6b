package build

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/build/rootfs"
	"github.com/stackrun/stack/runtime/mount"
)

// What is mounted in a container needs something to be mounted on, and where the image has nothing there, an empty directory or file is made. It is not of
// the command's making, and no layer is to have it.
type stubs struct {
	made    []string               // canonical paths that were not there, the deepest first
	parents map[string]unix.Stat_t // directories that were, in which one of them is, before the command
}

type stubTarget struct {
	path string
	file bool
}

// findStubs looks, before the command runs, what is missing for targets. m is the root that it will have.
func findStubs(m mount.Mount, targets []stubTarget) (*stubs, error) {
	m.Lower = append([]string{m.Upper}, m.Lower...)
	m.Upper, m.Work = "", ""
	root, err := rootfs.Mount(m)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	s := &stubs{parents: map[string]unix.Stat_t{}}
	for _, t := range targets {
		canonical, exists, err := root.Resolve(t.path)
		if err != nil {
			continue // boot says better what is wrong with it
		}
		parts := strings.Split(canonical, "/")
		for i := exists; i < len(parts); i++ {
			if name := path.Join(parts[:i+1]...); name != "." && !slices.Contains(s.made, name) {
				s.made = append(s.made, name)
			}
		}
		if exists < len(parts) && exists > 0 {
			dir := path.Join(parts[:exists]...)
			st, err := root.Lstat(dir)
			if err != nil {
				return nil, err
			}
			s.parents[dir] = st
		}
	}
	sort.Slice(s.made, func(i, j int) bool { return len(s.made[i]) > len(s.made[j]) })
	return s, nil
}

// clear takes what is still an empty stub out of upper, and the directories that were copied there for its sake alone.
// Precondition: the command and its mount are gone.
func (s *stubs) clear(upper string) error {
	root, err := rootfs.Open(upper)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range s.made {
		st, err := root.Lstat(name)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
				continue
			}
			return err
		}
		switch kind := st.Mode & unix.S_IFMT; {
		case kind == unix.S_IFREG && st.Size == 0:
		case kind == unix.S_IFDIR:
		default:
			continue // the command has put something else there
		}
		if err := root.Remove(name); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	dirs := make([]string, 0, len(s.parents))
	for dir := range s.parents {
		dirs = append(dirs, dir)
	}
	sort.Slice(dirs, func(i, j int) bool { return len(dirs[i]) > len(dirs[j]) })
	for _, dir := range dirs {
		if err := s.restore(root, dir); err != nil {
			return err
		}
	}
	return nil
}

// restore takes dir out of the layer if it is as it was and has nothing in it, and what it is in likewise.
func (s *stubs) restore(root *rootfs.Root, dir string) error {
	was := s.parents[dir]
	st, err := root.Lstat(dir)
	if err != nil || st.Mode != was.Mode || st.Uid != was.Uid || st.Gid != was.Gid {
		return nil // not there, or the command's own
	}
	names, err := root.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return nil
	}
	xattrs, err := root.Xattrs(dir, func(name string) bool { return name == "trusted.overlay.opaque" })
	if err != nil || len(xattrs) > 0 {
		return err
	}
	if err := root.Remove(dir); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
		return err
	}
	return nil
}
