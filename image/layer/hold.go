package layer

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// A layer that a build has made, or fetched from its cache, is held before it is there, by an empty file below images/held, and stays until it is released, whatever images
// there are. So a build that is cut off loses no step, and what a cache leads to is not taken away under it. Whoever holds layers knows them from Held.

func (l *Store) holdPath(diff v1.Hash) string {
	return l.dir.Path("held", diff.Algorithm+"-"+diff.Hex)
}

// Hold keeps the layer diff, also before it is there, until it is released.
func (l *Store) Hold(diff v1.Hash) error {
	f, err := os.OpenFile(l.holdPath(diff), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return l.dir.Explain(err)
	}
	return f.Close()
}

// Held lists the layers that are held and there.
func (l *Store) Held() ([]v1.Hash, error) {
	entries, err := os.ReadDir(l.dir.Path("held"))
	if err != nil {
		return nil, err
	}
	var held []v1.Hash
	for _, e := range entries {
		algorithm, hex, _ := strings.Cut(e.Name(), "-")
		held = append(held, v1.Hash{Algorithm: algorithm, Hex: hex})
	}
	return held, nil
}

// Release holds layers no more: what is not held = success.
func (l *Store) Release(layers ...v1.Hash) error {
	var errs []error
	for _, d := range layers {
		if err := os.Remove(l.holdPath(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Has says whether all of layers are there.
func (l *Store) Has(layers []v1.Hash) bool {
	for _, d := range layers {
		if _, err := os.Lstat(l.Dir(d)); err != nil {
			return false
		}
	}
	return true
}
