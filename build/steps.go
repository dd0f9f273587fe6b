package build

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/atomicfile"
)

// stepCache knows what steps have made: a file below <state>/build/steps for each key, whose time says when it was last of use. It may be lost at any
// moment, as a whole or in part: then the work is done again.
type stepCache struct{ dir string }

// stepRecord is what a step has made.
type stepRecord struct {
	Version int       `json:"version,omitempty"` // of the file
	Layer   string    `json:"layer,omitempty"`   // diff id; "" = it has changed nothing
	Created time.Time `json:"created,omitzero"`
	Bytes   int64     `json:"bytes,omitempty"`
	Content string    `json:"content,omitempty"` // of what a stage or image has at a path: its digest
}

const stepVersion = 1

// layers is the step's layer, if it has made one.
func (r stepRecord) layers() []v1.Hash {
	d, err := v1.NewHash(r.Layer)
	if err != nil {
		return nil
	}
	return []v1.Hash{d}
}

func (c *stepCache) path(key string) string { return filepath.Join(c.dir, key) }

// lookup returns what the step key has made. It is of use then.
func (c *stepCache) lookup(key string) (stepRecord, bool) {
	r, err := c.read(key)
	if err != nil {
		return stepRecord{}, false
	}
	if info, err := os.Stat(c.path(key)); err == nil && time.Since(info.ModTime()) > touchAfter {
		now := time.Now()
		os.Chtimes(c.path(key), now, now)
	}
	return r, true
}

// touchAfter spares a write for each step of each build.
const touchAfter = time.Hour

func (c *stepCache) read(key string) (stepRecord, error) {
	b, err := os.ReadFile(c.path(key))
	if err != nil {
		return stepRecord{}, err
	}
	var r stepRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return r, err
	}
	if r.Version != stepVersion {
		return r, errors.New("of another version")
	}
	return r, r.valid()
}

func (r stepRecord) valid() error {
	if r.Layer == "" {
		return nil
	}
	_, err := v1.NewHash(r.Layer)
	return err
}

func (c *stepCache) store(key string, r stepRecord) error {
	r.Version = stepVersion
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	err = atomicfile.Write(c.path(key), b, 0o600, atomicfile.NoSync)
	if errors.Is(err, fs.ErrNotExist) { // somebody has cleared the cache
		if err = os.MkdirAll(c.dir, 0o700); err == nil {
			err = atomicfile.Write(c.path(key), b, 0o600, atomicfile.NoSync)
		}
	}
	return err
}

// cached is a step with the time when it was last of use.
type cachedStep struct {
	key  string
	used time.Time
	stepRecord
}

// all lists the steps. What cannot be read is removed.
func (c *stepCache) all() ([]cachedStep, error) {
	entries, err := os.ReadDir(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var list []cachedStep
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // gone meanwhile
		}
		r, err := c.read(e.Name())
		if err != nil {
			if err := c.remove(e.Name()); err != nil {
				return nil, err
			}
			continue
		}
		list = append(list, cachedStep{e.Name(), info.ModTime(), r})
	}
	return list, nil
}

func (c *stepCache) remove(key string) error {
	if err := os.Remove(c.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
