// Package sourcetree makes a directory of what a stranger names: whatever it is called, it is made below the directory and nowhere else (os.Root), within bounds, and owned by this
// process.
//
// Called by build/sources and api/docker/buildkit. May touch: the directory that it is given.
package sourcetree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// Limits of one Tree. The zero value of a field means its default.
type Limits struct {
	Bytes   int64 // of all files together; 0 = 64 GiB
	Entries int   // 0 = a million
}

const (
	defaultBytes   = 64 << 30
	defaultEntries = 1 << 20
	// maxName is PATH_MAX of linux/limits.h.
	maxName = 4096
)

// Tree is a directory in the making. Names are cleaned as if the directory were the root: "../x" is "x". A later entry of a name takes the place of an earlier one.
// It is for one goroutine.
type Tree struct {
	root  *os.Root
	left  int64 // bytes
	slots int   // entries
	max   int
	buf   []byte
	times map[string]time.Time // of directories: what is made in them changes theirs
}

// Open begins with dir, which is there, empty, and this process's alone.
func Open(dir string, l Limits) (*Tree, error) {
	if l.Bytes == 0 {
		l.Bytes = defaultBytes
	}
	if l.Entries == 0 {
		l.Entries = defaultEntries
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &Tree{root: root, left: l.Bytes, slots: l.Entries, max: l.Entries, times: map[string]time.Time{}}, nil
}

// Entry counts an entry, also one that comes to nothing.
func (t *Tree) Entry() error {
	if t.slots--; t.slots < 0 {
		return fmt.Errorf("it has more than %d entries", t.max)
	}
	return nil
}

// spend counts bytes.
func (t *Tree) spend(n int64) error {
	if t.left -= n; t.left < 0 || n < 0 {
		return errors.New("the context is too large")
	}
	return nil
}

// clean is name below the directory; "" = the directory itself. Its parents are made.
func (t *Tree) clean(name string) (string, error) {
	if len(name) >= maxName || strings.IndexByte(name, 0) >= 0 {
		return "", errors.New("its name is too long, or has a NUL byte")
	}
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return "", nil
	}
	return name, t.root.MkdirAll(path.Dir(name), 0o755)
}

// place is clean, with nothing there any more.
func (t *Tree) place(name string) (string, error) {
	name, err := t.clean(name)
	if err == nil && name == "" {
		err = errors.New("the context itself must be a directory")
	}
	if err != nil {
		return "", err
	}
	delete(t.times, name)
	return name, t.root.RemoveAll(name)
}

// Dir makes a directory. This process may always write there.
func (t *Tree) Dir(name string, mode fs.FileMode, modified time.Time) error {
	name, err := t.clean(name)
	if err != nil || name == "" {
		return err
	}
	if err := t.root.Mkdir(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := t.root.Lstat(name); err != nil || !info.IsDir() {
		return errors.New("it is a directory and something else")
	}
	t.times[name] = modified
	return t.root.Chmod(name, mode.Perm()|0o700)
}

// Symlink makes one, to wherever it says: nobody follows it out of the directory.
func (t *Tree) Symlink(name, target string) error {
	name, err := t.place(name)
	if err != nil {
		return err
	}
	return t.root.Symlink(target, name)
}

// Link makes another name of target, a file of the directory.
func (t *Tree) Link(name, target string) error {
	name, err := t.place(name)
	if err != nil {
		return err
	}
	clean := strings.TrimPrefix(path.Clean("/"+target), "/")
	if info, err := t.root.Lstat(clean); err != nil || !info.Mode().IsRegular() {
		return fmt.Errorf("it is a link to %q, which is no file of the context", target)
	}
	return t.root.Link(clean, name)
}

// File begins a file, that is to be closed.
func (t *Tree) File(name string, mode fs.FileMode, modified time.Time) (*File, error) {
	name, err := t.place(name)
	if err != nil {
		return nil, err
	}
	f, err := t.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &File{t, f, name, mode.Perm(), modified}, nil
}

// Refill begins the content of a file that File has made. It stays the same file, whatever other names it has.
func (t *Tree) Refill(name string, mode fs.FileMode, modified time.Time) (*File, error) {
	name, err := t.clean(name)
	if err != nil {
		return nil, err
	}
	if info, err := t.root.Lstat(name); err != nil || !info.Mode().IsRegular() {
		return nil, errors.New("it is a file and something else")
	}
	if err := t.root.Chmod(name, 0o600); err != nil {
		return nil, err
	}
	f, err := t.root.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return nil, err
	}
	return &File{t, f, name, mode.Perm(), modified}, nil
}

// Close gives the directories their times.
func (t *Tree) Close() error {
	defer t.root.Close()
	for name, when := range t.times {
		if err := t.root.Chtimes(name, when, when); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// File is one that is being written.
type File struct {
	tree     *Tree
	file     *os.File
	name     string
	mode     fs.FileMode
	modified time.Time
}

// Write adds to it, within the bounds of the tree.
func (f *File) Write(p []byte) (int, error) {
	if err := f.tree.spend(int64(len(p))); err != nil {
		return 0, err
	}
	return f.file.Write(p)
}

// Fill writes all of r. size, which r is said to have, is counted first.
func (f *File) Fill(r io.Reader, size int64) error {
	if err := f.tree.spend(size); err != nil {
		return err
	}
	if f.tree.buf == nil {
		f.tree.buf = make([]byte, 256<<10)
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{f.file}, struct{ io.Reader }{io.LimitReader(r, size)}, f.tree.buf)
	return err
}

// Close ends the file, with its mode and time.
func (f *File) Close() error {
	defer f.file.Close()
	if err := f.file.Chmod(f.mode); err != nil {
		return err
	}
	if err := f.file.Close(); err != nil {
		return err
	}
	return f.tree.root.Chtimes(f.name, f.modified, f.modified)
}

// Abandon ends a file that does not come to its end.
func (f *File) Abandon() { f.file.Close() }
