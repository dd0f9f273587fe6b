package build

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/buildcache"
)

// document is what a cache says of steps, beside their layers: what the directory of steps has, by key. It has every step of the build that it is of, also those whose layers the cache has not, so that a build of which nothing has
// changed finds all of them, and needs no files but the image's.
type document struct {
	Version int            `json:"version"`
	Steps   []documentStep `json:"steps"`
}

type documentStep struct {
	Key string `json:"key"`
	stepRecord
}

const documentVersion = 1

// readDocument reads what a stranger may have written. Keys are names of files on this host.
func readDocument(raw json.RawMessage) (document, error) {
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return d, fmt.Errorf("what it says of steps is not valid: %w", err)
	}
	if d.Version != documentVersion {
		return d, fmt.Errorf("it is of version %d, expected %d: another version of stack has written it", d.Version, documentVersion)
	}
	for _, s := range d.Steps {
		err := s.valid()
		if _, bad := v1.NewHash("sha256:" + s.Key); bad != nil {
			err = errors.New("that is no key")
		}
		if s.Bytes < 0 {
			err = errors.New("its layer has a negative size")
		}
		if err != nil {
			return d, fmt.Errorf("step %q is not valid: %w", s.Key, err)
		}
	}
	return d, nil
}

// document is that of the steps of j.
func (j *job) document() (document, json.RawMessage, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	d := document{Version: documentVersion, Steps: []documentStep{}}
	for _, key := range slices.Sorted(maps.Keys(j.steps)) {
		d.Steps = append(d.Steps, documentStep{key, j.steps[key]})
	}
	raw, err := json.Marshal(d)
	return d, raw, err
}

// configuration is conf as it is recorded, with the cache in it if it is to be there.
func (j *job) configuration(conf *v1.ConfigFile) ([]byte, error) {
	if !slices.ContainsFunc(j.r.CacheTo, func(at buildcache.Place) bool { return at.Type == buildcache.Inline }) {
		return json.Marshal(conf)
	}
	_, raw, err := j.document()
	if err != nil {
		return nil, err
	}
	return image.InlineCache(conf, raw)
}

// export writes the caches of an image with these layers.
func (j *job) export(ctx context.Context, layers []v1.Hash) error {
	for _, at := range j.r.CacheTo {
		if at.Type == buildcache.Inline {
			continue
		}
		if at.Type == buildcache.Registry && j.r.Offline {
			j.note(fmt.Sprintf("cache %s is not written: no registry is asked offline", at))
			continue
		}
		began := time.Now()
		p := Progress{Phase: Started, Text: "write cache " + at.String()}
		j.tell(p)
		err := j.exportTo(ctx, at, layers)
		p.Phase, p.Took = Done, time.Since(began)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case at.IgnoreError:
			j.note(fmt.Sprintf("cache %s is not written: %v", at, err))
		default:
			p.Phase = Failed
			j.tell(p)
			return fmt.Errorf("cannot write cache %s: %w; with ignore-error=true the build does without", at, err)
		}
		j.tell(p)
	}
	return nil
}

func (j *job) exportTo(ctx context.Context, at buildcache.Place, target []v1.Hash) error {
	d, raw, err := j.document()
	if err != nil {
		return err
	}
	var auth *image.Auth
	if at.Type == buildcache.Registry {
		if auth, err = j.r.auth(at.Ref); err != nil {
			return err
		}
	}
	var layers []v1.Hash
	for _, s := range d.Steps {
		for _, layer := range s.layers() {
			if (at.All || slices.Contains(target, layer)) && !slices.Contains(layers, layer) {
				layers = append(layers, layer)
			}
		}
	}
	return j.b.opt.Images.WriteCache(ctx, at, auth, raw, layers, j.fetch, j.note)
}
