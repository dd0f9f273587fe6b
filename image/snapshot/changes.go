package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/overlay"
	"github.com/stackrun/stack/internal/errdefs"
)

// ChangeKind says what a container has done with a path of its image.
type ChangeKind uint8

const (
	Modified ChangeKind = iota
	Added
	Deleted
)

// Change is one path that a container has changed, from its root.
type Change struct {
	Path string
	Kind ChangeKind
}

// Changes are the paths that container key has changed of its image, by path. A directory is there when its own attributes were changed, or what is in it. What
// a container has because it is one, and what is mounted in it, is not. What a running container does meanwhile is there or not. errdefs.ErrNotFound when there is no such snapshot.
func (s *Store) Changes(ctx context.Context, key string) ([]Change, error) {
	dir, err := s.snapshotDir(key)
	if err != nil {
		return nil, err
	}
	rec, err := readSnapshot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		err = errdefs.With(errdefs.ErrNotFound, fmt.Errorf("there is no snapshot %.12s", key))
	}
	if err != nil {
		return nil, err
	}
	c := &changes{ctx: ctx, found: map[string]ChangeKind{}, hidden: map[string]bool{}}
	defer c.close()
	for _, lower := range s.lower(rec.Layers, rec.Patch) {
		root, err := os.OpenRoot(lower)
		if err != nil {
			return nil, fmt.Errorf("cannot look at a layer: %w", err)
		}
		c.lower = append(c.lower, root)
	}
	if err := c.walk(filepath.Join(dir, "upper")); err != nil {
		return nil, fmt.Errorf("cannot say what %.12s has changed: %w", key, err)
	}
	all := make([]Change, 0, len(c.found))
	for p, kind := range c.found {
		all = append(all, Change{Path: "/" + p, Kind: kind})
	}
	slices.SortFunc(all, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}

type changes struct {
	ctx   context.Context
	lower []*os.Root // of the layers, topmost first
	found map[string]ChangeKind
	// hidden are directories of the container's of which nothing of the image's shows through: one of the same name was deleted before.
	hidden map[string]bool
}

func (c *changes) close() {
	for _, r := range c.lower {
		r.Close()
	}
}

// walk compares the upper directory of an overlay with what is below it. Links are not followed.
func (c *changes) walk(upper string) error {
	return filepath.WalkDir(upper, func(full string, entry fs.DirEntry, err error) error {
		if c.ctx.Err() != nil {
			return context.Cause(c.ctx)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it went meanwhile
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(upper, full)
		if err != nil || name == "." {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(full, &st); err != nil {
			return nil //nolint:nilerr // it went meanwhile
		}
		was := c.below(name)
		if entry.IsDir() && was != nil && was.IsDir() && overlay.IsOpaque(full) {
			c.hide(name, full)
		}
		switch {
		case overlay.IsWhiteout(&st):
			if was != nil {
				c.add(name, Deleted)
			}
		case ofContainer(name, &st):
		case was == nil && entry.IsDir() && slices.Contains(platformDirs, name):
		case was == nil:
			c.add(name, Added)
		case entry.IsDir() && was.IsDir():
			if info, err := entry.Info(); err == nil && (info.Mode() != was.Mode() || !info.ModTime().Equal(was.ModTime()) && !c.mountedIn(name, full)) {
				c.add(name, Modified)
			}
		default:
			c.add(name, Modified)
		}
		return nil
	})
}

// platformDirs are the directories that a container is given where its image has none: what is mounted there, or in there. dockerd has them in a layer of its own.
var platformDirs = []string{"dev", "etc", "proc", "sys"}

// mountedIn says whether directory name, full on the host, has got what a container's own files are mounted on: that has changed its time, which then says nothing of what the container
// has done in it.
func (c *changes) mountedIn(name, full string) bool {
	entries, err := os.ReadDir(full)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		var st unix.Stat_t
		in := path.Join(name, e.Name())
		return unix.Lstat(filepath.Join(full, e.Name()), &st) == nil && ofContainer(in, &st) && c.below(in) == nil
	})
}

// hide notes what the image has in a directory that the container has made anew: what is not there any more was deleted.
func (c *changes) hide(name, full string) {
	for _, root := range c.lower {
		entries, err := fs.ReadDir(root.FS(), name)
		if err != nil {
			continue // it is not in this layer
		}
		for _, e := range entries {
			in := path.Join(name, e.Name())
			if _, err := os.Lstat(filepath.Join(full, e.Name())); errors.Is(err, fs.ErrNotExist) && c.below(in) != nil {
				c.add(in, Deleted)
			}
		}
	}
	c.hidden[name] = true
}

// add notes a change, which is one of the directory that name is in too.
func (c *changes) add(name string, kind ChangeKind) {
	c.found[name] = kind
	if parent := path.Dir(name); parent != "." {
		if _, known := c.found[parent]; !known {
			c.add(parent, Modified)
		}
	}
}

// below is what the layers have at name, nil = nothing.
func (c *changes) below(name string) fs.FileInfo {
	for parent := path.Dir(name); parent != "."; parent = path.Dir(parent) {
		if c.hidden[parent] {
			return nil
		}
	}
	for _, root := range c.lower {
		info, err := root.Lstat(name)
		if err != nil {
			continue
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && info.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0 {
			return nil // a layer has taken it away
		}
		return info
	}
	return nil
}
