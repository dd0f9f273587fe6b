package storage

import (
	"fmt"
	"os"
	"path/filepath"
)

// Dir is the directory of a store.
type Dir struct{ root string }

// Open makes the directory, for nobody but root (layers hold setuid programs of any version), and removes what crashes left half made in it.
func Open(root string) (*Dir, error) {
	d := &Dir{root}
	if err := d.Make("tmp"); err != nil {
		return nil, err
	}
	// MkdirAll leaves the mode of a directory that was there.
	if err := os.Chmod(root, 0o700); err != nil {
		return nil, err
	}
	if err := d.sweep(); err != nil {
		return nil, fmt.Errorf("%s: %w", root, err)
	}
	return d, nil
}

// Make makes directories in it, named with slashes, unless they are there.
func (d *Dir) Make(names ...string) error {
	for _, name := range names {
		if err := os.MkdirAll(d.Path(filepath.FromSlash(name)), 0o700); err != nil {
			return d.Explain(err)
		}
	}
	return nil
}

// Path is that of elem in the directory.
func (d *Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.root}, elem...)...)
}
