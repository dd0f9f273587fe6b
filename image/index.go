package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/atomicfile"
)

// index is images/index.json: which images there are. A layer, a blob or a patch that no record of it leads to is
// garbage, apart from those that a snapshot uses.
type index struct {
	Version int       `json:"version"`
	Images  []*record `json:"images"`
}

const indexVersion = 1

// record is one image. References are in full form, as Reference.Tagged and Reference.Digested give them.
type record struct {
	ID       v1.Hash     `json:"id"`
	Manifest v1.Hash     `json:"manifest,omitzero"`
	Refs     []string    `json:"refs,omitempty"`    // what keeps the image: tags, and digests that were pulled by name
	Digests  []string    `json:"digests,omitempty"` // all known digests
	Platform v1.Platform `json:"platform"`
	Layers   []v1.Hash   `json:"layers"` // diff ids, lowest first
	Patch    string      `json:"patch,omitempty"`
	Size     int64       `json:"size"`
	Created  time.Time   `json:"created"`
	PulledAt time.Time   `json:"pulledAt"`
}

func (x *index) byID(id v1.Hash) *record {
	for _, r := range x.Images {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// errDamaged is an index that no program of ours has written.
var errDamaged = errors.New("it is damaged")

// parseIndex looks at the version first: what a later one says in another way is no damage.
func parseIndex(text []byte) (*index, error) {
	var said struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, fmt.Errorf("%w: %w; remove it to start with no images", errDamaged, err)
	}
	if said.Version != indexVersion {
		return nil, fmt.Errorf("it has version %d and this program knows version %d; use the newer stack that wrote it", said.Version, indexVersion)
	}
	x := new(index)
	if err := json.Unmarshal(text, x); err != nil {
		return nil, fmt.Errorf("%w: %w; remove it to start with no images", errDamaged, err)
	}
	for i, r := range x.Images {
		if r == nil || r.ID == (v1.Hash{}) {
			return nil, fmt.Errorf("%w: image %d has no id; remove it to start with no images", errDamaged, i+1)
		}
	}
	return x, nil
}

// fileID tells one version of a file that is only ever replaced from the next.
type fileID struct {
	ino   uint64
	size  int64
	mtime time.Time
}

// readIndex returns the index as it is on disk. The result is shared: nobody changes it.
func (s *Store) readIndex() (*index, error) {
	path := s.dir.Path("index.json")
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &index{Version: indexVersion}, nil
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

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cached != nil && s.cachedID == id {
		return s.cached, nil
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	x, err := parseIndex(text)
	if err != nil {
		return nil, fmt.Errorf("cannot use %s: %w", path, err)
	}
	s.cached, s.cachedID = x, id
	maps.DeleteFunc(s.configs, func(id v1.Hash, _ *v1.ConfigFile) bool { return x.byID(id) == nil })
	return x, nil
}

// openIndex reads the index. One that a disk has damaged is put aside, for the daemon is there for more than images: they are then to be
// pulled or loaded again, and what runs goes on, for a snapshot knows its layers.
func (s *Store) openIndex(notice func(string)) error {
	lock, err := s.dir.Lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err = s.readIndex(); !errors.Is(err, errDamaged) {
		return err
	}
	path := s.dir.Path("index.json")
	aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000")
	if err := os.Rename(path, aside); err != nil {
		return fmt.Errorf("cannot put the damaged index aside: %w", err)
	}
	if notice != nil {
		notice(fmt.Sprintf("the index of images is damaged and was put aside (%v); it is kept in %s. Images are pulled again when they are needed, those that were loaded have to be loaded again", err, aside))
	}
	return nil
}

// update changes the index under its lock. fn gets a copy of its own; an error leaves everything as it was.
func (s *Store) update(fn func(*index) error) error {
	lock, err := s.dir.Lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	now, err := s.readIndex()
	if err != nil {
		return err
	}
	next := &index{Version: indexVersion}
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
	return s.dir.Explain(atomicfile.Write(s.dir.Path("index.json"), b, 0o600, atomicfile.Sync))
}
