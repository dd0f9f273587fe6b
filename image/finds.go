package image

import (
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/reference"
)

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
	at := time.Now()
	for key, f := range l.found {
		if at.After(f.until) {
			delete(l.found, key)
		}
	}
	l.found[ref.String()+" "+platform.Name(want)] = find{img, at.Add(findTime)}
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
