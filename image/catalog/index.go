package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// errDamaged is an index that no program of ours has written.
var errDamaged = errors.New("it is damaged")

// Index is images/index.json: which images there are. A layer, a blob or a patch that no record of it leads to is
// garbage, apart from those that a snapshot uses.
type Index struct {
	Version int       `json:"version"`
	Images  []*Record `json:"images"`
}

const indexVersion = 1

// Record is one image. References are in full form, as Reference.Tagged and Reference.Digested give them.
type Record struct {
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

// Names is what an image is to be known by.
type Names struct{ Refs, Digests []string }

// parseIndex looks at the version first: what a later one says in another way is no damage.
func parseIndex(text []byte) (*Index, error) {
	var said struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &said); err != nil {
		return nil, fmt.Errorf("%w: %w; remove it to start with no images", errDamaged, err)
	}
	if said.Version != indexVersion {
		return nil, fmt.Errorf("it has version %d and this program knows version %d; use the newer stack that wrote it", said.Version, indexVersion)
	}
	x := new(Index)
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

// ByID is the record of the image id, nil without one.
func (x *Index) ByID(id v1.Hash) *Record {
	for _, r := range x.Images {
		if r.ID == id {
			return r
		}
	}
	return nil
}

// put adds or refreshes an image and gives it its names, which leave another image of the same platform that had
// them: one name means one image for each platform.
func (x *Index) put(rec *Record, n Names) {
	if have := x.ByID(rec.ID); have != nil {
		rec.Refs, rec.Digests = have.Refs, have.Digests
		if rec.Manifest == (v1.Hash{}) {
			rec.Manifest = have.Manifest
		}
		*have = *rec
	} else {
		x.Images = append(x.Images, rec)
	}
	own := x.ByID(rec.ID)
	for _, other := range x.Images {
		if other == own || platform.Name(platform.Normal(other.Platform)) != platform.Name(platform.Normal(rec.Platform)) {
			continue
		}
		other.Refs = slices.DeleteFunc(other.Refs, func(ref string) bool { return slices.Contains(n.Refs, ref) })
	}
	add := func(to []string, values []string) []string {
		for _, v := range values {
			if !slices.Contains(to, v) {
				to = append(to, v)
			}
		}
		return to
	}
	own.Refs, own.Digests = add(own.Refs, n.Refs), add(own.Digests, n.Digests)
	*rec = *own
}

// Find returns the images that ref may mean. A name goes before an id that looks like one.
func (x *Index) Find(ref string) (found []*Record, byID bool, err error) {
	hex, explicit, maybeID := IDPrefix(ref)
	if !explicit {
		r, err := reference.Parse(ref)
		if err != nil && !maybeID {
			return nil, false, err
		}
		if err == nil {
			for _, rec := range x.Images {
				if rec.is(r) {
					found = append(found, rec)
				}
			}
		}
		if len(found) > 0 || !maybeID {
			return found, false, nil
		}
	}
	for _, rec := range x.Images {
		if strings.HasPrefix(rec.ID.Hex, hex) || explicit && len(hex) == 64 && rec.Manifest.Hex == hex {
			found = append(found, rec)
		}
	}
	if len(found) > 1 {
		var ids []string
		for _, rec := range found {
			ids = append(ids, content.Short(rec.ID))
		}
		return nil, true, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("image id %s is not enough: %s begin with it", ref, strings.Join(ids, ", ")))
	}
	return found, true, nil
}

// TagsOf lists the names by tag that r's repository has here, sorted.
func (x *Index) TagsOf(r reference.Reference) []string {
	var all []string
	for _, rec := range x.Images {
		for _, ref := range rec.Refs {
			if strings.HasPrefix(ref, r.Name()+":") && !slices.Contains(all, ref) {
				all = append(all, ref)
			}
		}
	}
	slices.Sort(all)
	return all
}

// TakeUnnamed takes out the images that have lost their names and that no snapshot uses.
func (x *Index) TakeUnnamed(used map[v1.Hash][]string) (gone []*Record) {
	x.Images = slices.DeleteFunc(x.Images, func(rec *Record) bool {
		if len(rec.Refs) > 0 || len(used[rec.ID]) > 0 {
			return false
		}
		gone = append(gone, rec)
		return true
	})
	return gone
}

// is says whether r names the image. With a digest the tag is only said.
func (rec *Record) is(r reference.Reference) bool {
	if r.HasDigest() {
		return slices.Contains(rec.Digests, r.Digested(r.Digest)) || slices.Contains(rec.Refs, r.Digested(r.Digest))
	}
	return slices.Contains(rec.Refs, r.Tagged())
}

// Name is what messages call the image.
func (rec *Record) Name() string {
	if len(rec.Refs) > 0 {
		return reference.Familiar(rec.Refs[0])
	}
	return content.Short(rec.ID)
}

// Repositories is in how many the image has names by tag.
func (rec *Record) Repositories() int {
	seen := make(map[string]bool)
	for _, text := range rec.Refs {
		if ref, err := reference.Parse(text); err == nil {
			seen[ref.Name()] = true
		}
	}
	return len(seen)
}

// Unname takes r's name away: with a digest every name of the repository that is by digest.
func (rec *Record) Unname(r reference.Reference) {
	if !r.HasDigest() {
		rec.Refs = slices.DeleteFunc(rec.Refs, func(ref string) bool { return ref == r.Tagged() })
		return
	}
	gone := func(ref string) bool { return strings.HasPrefix(ref, r.Name()+"@") }
	rec.Refs = slices.DeleteFunc(rec.Refs, gone)
	rec.Digests = slices.DeleteFunc(rec.Digests, gone)
}
