package image

import (
	"context"
	"sync"
	"time"

	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/reference"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Find asks the registry whether ref can be pulled for platform p (the zero value: this host's), and fetches nothing but its
// manifest and configuration. A Pull soon afterwards takes what was found and does not ask again: manifests
// count against a registry's limit of pulls. Errors are those of Pull.
func (s *Store) Find(ctx context.Context, ref string, p v1.Platform) error {
	r, err := reference.Parse(ref)
	if err != nil {
		return err
	}
	want := platform.Wanted(p)
	img, err := manifest.Resolve(ctx, s.registry.Source(r, nil, func(string) {}), r.Familiar(), r.Identifier(), want)
	if err != nil {
		return err
	}
	s.finds.put(r, want, img)
	return nil
}

// findTime is how long the answer of a Find holds. A tag may move; between the two calls of one up it need not be looked at
// twice.
const findTime = 30 * time.Second

// findList is what Find has found and no Pull has taken.
type findList struct {
	mu    sync.Mutex
	found map[string]find
}

type find struct {
	img   *manifest.Image
	until time.Time
}

func (l *findList) put(ref reference.Reference, want v1.Platform, img *manifest.Image) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.found == nil {
		l.found = make(map[string]find)
	}
	now := time.Now()
	for key, f := range l.found {
		if now.After(f.until) {
			delete(l.found, key)
		}
	}
	l.found[ref.String()+" "+platform.Name(want)] = find{img, now.Add(findTime)}
}

// take returns what was found a moment ago, once: nil when there is nothing.
func (l *findList) take(ref reference.Reference, want v1.Platform) *manifest.Image {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := ref.String() + " " + platform.Name(want)
	f, ok := l.found[key]
	delete(l.found, key)
	if !ok || time.Now().After(f.until) {
		return nil
	}
	return f.img
}
