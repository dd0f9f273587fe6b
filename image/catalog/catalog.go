package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/storage"
	"github.com/stackrun/stack/internal/atomicfile"
)

// Catalog says which images there are. Its methods may be called from many goroutines.
type Catalog struct {
	dir    *storage.Dir
	layers *layer.Store

	mu       sync.Mutex
	cached   *Index                     // guarded by mu
	cachedID fileID                     // guarded by mu
	configs  map[v1.Hash]*v1.ConfigFile // guarded by mu; parsed configurations of images in cached
}

// Open reads the index; notice is told of one that was damaged and put aside (nil = nobody). Images are whole when layers has their layers.
func Open(dir *storage.Dir, layers *layer.Store, notice func(string)) (*Catalog, error) {
	c := &Catalog{dir: dir, layers: layers, configs: make(map[v1.Hash]*v1.ConfigFile)}
	if err := dir.Make("blobs/sha256", "blobs/sha512"); err != nil {
		return nil, err
	}
	return c, c.openIndex(notice)
}

// fileID tells one version of a file that is only ever replaced from the next.
type fileID struct {
	ino   uint64
	size  int64
	mtime time.Time
}

// Index returns the index as it is on disk. The result is shared: nobody changes it.
func (c *Catalog) Index() (*Index, error) {
	path := c.dir.Path("index.json")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Index{Version: indexVersion}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	id := fileID{size: info.Size(), mtime: info.ModTime(), ino: info.Sys().(*syscall.Stat_t).Ino}

	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cached != nil && c.cachedID == id {
		return c.cached, nil
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	x, err := parseIndex(text)
	if err != nil {
		return nil, fmt.Errorf("cannot use %s: %w", path, err)
	}
	c.cached, c.cachedID = x, id
	maps.DeleteFunc(c.configs, func(id v1.Hash, _ *v1.ConfigFile) bool { return x.ByID(id) == nil })
	return x, nil
}

// openIndex reads the index. One that a disk has damaged is put aside, for the daemon is there for more than images: they are then to be
// pulled or loaded again, and what runs goes on, for a snapshot knows its layers.
func (c *Catalog) openIndex(notice func(string)) error {
	lock, err := c.dir.Lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err = c.Index(); !errors.Is(err, errDamaged) {
		return err
	}
	path := c.dir.Path("index.json")
	aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("cannot put the damaged index aside: %w", err)
	}
	if notice != nil {
		notice(fmt.Sprintf("the index of images is damaged and was put aside (%v); it is kept in %s. Images are pulled again when they are needed, those that were loaded have to be loaded again", err, aside))
	}
	return nil
}

// Update changes the index under its lock. fn gets a copy of its own; an error leaves everything as it was.
func (c *Catalog) Update(fn func(*Index) error) error {
	lock, err := c.dir.Lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	now, err := c.Index()
	if err != nil {
		return err
	}
	next := &Index{Version: indexVersion}
	for _, r := range now.Images {
		c := *r
		c.Refs, c.Digests = slices.Clone(r.Refs), slices.Clone(r.Digests)
		next.Images = append(next.Images, &c)
	}
	if err := fn(next); err != nil {
		return err
	}
	b, err := json.MarshalIndent(next, "", "\t")
	if err != nil {
		return err
	}
	return c.dir.Explain(atomicfile.Write(c.dir.Path("index.json"), b, 0o600, atomicfile.Sync))
}

// Put records an image, and gives it names, which leave another image of the same platform that had them. Its documents, layers and patch are there.
func (c *Catalog) Put(rec *Record, n Names) (Info, error) {
	if err := c.Update(func(x *Index) error { x.put(rec, n); return nil }); err != nil {
		return Info{}, err
	}
	return c.info(rec)
}
