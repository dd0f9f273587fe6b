package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/build/rootfs"
)

// writer puts files into the root of a step.
type writer struct {
	root     *rootfs.Root
	owned    bool // what is written belongs to uid and gid
	uid, gid int
	chmod    chmod

	links   map[fileState]string // what has several names, by its inode: where its first one is
	dirs    []laid               // whose times are set at the end: what is made in them changes these
	changed string               // a file that is another one now than it was when the step's key was made
}

type laid struct {
	canonical string
	attr      rootfs.Attributes
}

// parents makes the directories on the way to canonical, of which exists elements are there.
func (w *writer) parents(canonical string, exists int) error {
	dir := path.Dir(canonical)
	if dir == "." {
		return nil
	}
	_, err := w.root.MkdirAll(dir, exists, rootfs.Attributes{UID: w.uid, GID: w.gid, Mode: 0o755})
	return err
}

// destination resolves where something goes.
func (w *writer) destination(name string) (canonical string, exists int, dir bool, err error) {
	canonical, exists, err = w.root.Resolve(name)
	if err != nil {
		return "", 0, false, err
	}
	return w.look(canonical, exists)
}

// inside is destination for a file that goes into a directory: a link of its name is replaced.
func (w *writer) inside(name string) (canonical string, exists int, dir bool, err error) {
	canonical, exists, err = w.root.ResolveParent(name)
	if err != nil {
		return "", 0, false, err
	}
	return w.look(canonical, exists)
}

func (w *writer) look(canonical string, exists int) (string, int, bool, error) {
	if canonical == "." {
		return canonical, exists, true, nil
	}
	if exists < 1+strings.Count(canonical, "/") {
		return canonical, exists, false, nil
	}
	st, err := w.root.Lstat(canonical)
	return canonical, exists, st.Mode&unix.S_IFMT == unix.S_IFDIR, err
}

// put writes list, whose first is what is copied: a directory's content goes to dest, a file into dest when that is a directory or is to be one.
func (w *writer) put(ctx context.Context, t *tree, list []*entry, base, dest string, asDir bool) error {
	first := list[0]
	canonical, exists, isDir, err := w.destination(dest)
	if err != nil {
		return err
	}
	if first.kind() != unix.S_IFDIR {
		if isDir || asDir {
			if canonical, exists, isDir, err = w.inside(path.Join(dest, base)); err != nil {
				return err
			}
		}
		if isDir {
			return fmt.Errorf("/%s is a directory, which a file does not replace", canonical)
		}
		if err := w.parents(canonical, exists); err != nil {
			return err
		}
		return w.one(t, first, canonical)
	}
	if !isDir {
		if err := w.parents(canonical, exists); err != nil {
			return err
		}
		if err := w.dir(canonical, first, t); err != nil {
			return err
		}
	}
	return w.below(ctx, t, list[1:], canonical)
}

// below writes what is in a directory.
func (w *writer) below(ctx context.Context, t *tree, list []*entry, top string) error {
	at := map[string]string{".": top} // where the directories of list are
	for _, e := range list {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		canonical := path.Join(at[path.Dir(e.rel)], path.Base(e.rel))
		if e.kind() != unix.S_IFDIR {
			if err := w.one(t, e, canonical); err != nil {
				return err
			}
			continue
		}
		// A link to a directory is taken for that one: /bin of an image may be one to usr/bin.
		where, exists, isDir, err := w.destination(canonical)
		switch {
		case err != nil:
			return err
		case !isDir && exists == 1+strings.Count(where, "/"):
			return fmt.Errorf("/%s is a file, which a directory does not replace", canonical)
		case !isDir:
			if err := w.parents(where, exists); err != nil {
				return err
			}
		}
		if err := w.dir(where, e, t); err != nil {
			return err
		}
		at[e.rel] = where
	}
	return nil
}

func (w *writer) attributes(t *tree, e *entry) rootfs.Attributes {
	a := rootfs.Attributes{
		UID: int(e.st.Uid), GID: int(e.st.Gid), Mode: w.chmod.apply(e.st.Mode&0o7777, e.kind() == unix.S_IFDIR), Xattrs: e.xattrs,
		Times: []unix.Timespec{e.st.Mtim, e.st.Mtim},
	}
	if w.owned || t.context {
		a.UID, a.GID = w.uid, w.gid
	}
	return a
}

// dir makes the directory e, or gives the one that is there its attributes.
func (w *writer) dir(canonical string, e *entry, t *tree) error {
	a := w.attributes(t, e)
	made, err := w.root.Mkdir(canonical, a)
	if err == nil && !made {
		err = w.root.Set(canonical, a)
	}
	w.dirs = append(w.dirs, laid{canonical, a})
	return err
}

// one writes anything but a directory.
func (w *writer) one(t *tree, e *entry, canonical string) error {
	if st, err := w.root.Lstat(canonical); err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return fmt.Errorf("/%s is a directory, which a file does not replace", canonical)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	a := w.attributes(t, e)
	inode := fileState{Dev: uint64(e.st.Dev), Ino: e.st.Ino}
	if e.st.Nlink > 1 {
		if old, ok := w.links[inode]; ok {
			return w.root.Link(canonical, old)
		}
	}
	var err error
	switch e.kind() {
	case unix.S_IFREG:
		err = w.file(t, e, canonical, a)
	case unix.S_IFLNK:
		err = w.root.Symlink(canonical, e.target, a)
	case unix.S_IFIFO, unix.S_IFCHR, unix.S_IFBLK:
		err = w.root.Node(canonical, e.kind(), e.st.Rdev, a)
	default:
		return fmt.Errorf("cannot copy /%s of %s: it is no file that an image can have", e.name, t.name)
	}
	if err == nil && e.st.Nlink > 1 {
		if w.links == nil {
			w.links = map[fileState]string{}
		}
		w.links[inode] = canonical
	}
	return err
}

func (w *writer) file(t *tree, e *entry, canonical string, a rootfs.Attributes) error {
	f, st, err := t.root.OpenFile(e.name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := w.root.File(canonical, f, a); err != nil {
		return err
	}
	if t.private {
		return nil
	}
	// Looked at after the copy: what has changed before or during it shows.
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if stateOf(&st) != stateOf(&e.st) {
		w.changed = e.name
	}
	return nil
}

// finish sets the times of the directories, the deepest first.
func (w *writer) finish() error {
	for i := len(w.dirs) - 1; i >= 0; i-- {
		if err := w.root.Set(w.dirs[i].canonical, w.dirs[i].attr); err != nil {
			return err
		}
	}
	return nil
}
