package build

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
)

// The bounds of the cache. Its layers are those of images too, which stay; what is let go here is what no image has.
const (
	keepFor   = 7 * 24 * time.Hour
	keepBytes = 20 << 30
)

// prune forgets the steps that were of no use for a while, and the oldest ones when their layers take too much; then the layers that no step has made
// are let go. Precondition: no build is under way.
func (b *Builder) prune(ctx context.Context) error {
	list, err := b.steps.all()
	if err != nil {
		return err
	}
	slices.SortFunc(list, func(x, y cachedStep) int { return y.used.Compare(x.used) })
	var bytes int64
	counted := map[string]bool{}
	for _, s := range list {
		if s.Layer != "" && !counted[s.Layer] {
			counted[s.Layer] = true
			bytes += s.Bytes
		}
		if time.Since(s.used) < keepFor && bytes <= keepBytes {
			continue
		}
		if err := b.steps.remove(s.key); err != nil {
			return err
		}
	}
	if err := b.pruneFiles(); err != nil {
		return err
	}
	unmade, err := b.unmade(ctx)
	if err != nil {
		return err
	}
	// Also when there are none: what only steps needed, and no image, goes with them.
	return b.opt.Images.Release(ctx, unmade...)
}

// pruneFiles removes the sums of contexts and the directories of cache mounts that were of no use for a while.
func (b *Builder) pruneFiles() error {
	for _, kind := range []string{"contexts", "mounts"} {
		entries, err := os.ReadDir(filepath.Join(b.dir, kind))
		if err != nil {
			continue // there are none
		}
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || time.Since(info.ModTime()) < 4*keepFor {
				continue
			}
			if err := os.RemoveAll(filepath.Join(b.dir, kind, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// unmade are the layers that are held and that no step of the cache has made.
func (b *Builder) unmade(ctx context.Context) ([]v1.Hash, error) {
	held, err := b.opt.Images.Held(ctx)
	if err != nil || len(held) == 0 {
		return nil, err
	}
	list, err := b.steps.all()
	if err != nil {
		return nil, err
	}
	made := map[string]bool{}
	for _, s := range list {
		made[s.Layer] = true
	}
	return slices.DeleteFunc(held, func(d v1.Hash) bool { return made[d.String()] }), nil
}

// Clear forgets every step, sum and directory of a cache mount, and lets go of the layers that no image has: what is built next is done again. It returns
// how many bytes of layers the steps had. ErrConflict while a build is under way.
func (b *Builder) Clear(ctx context.Context) (bytes int64, err error) {
	if !b.running.TryLock() {
		return 0, errdefs.With(errdefs.ErrConflict, errors.New("cannot clear the cache of builds while a build is under way: try again when that is done"))
	}
	defer b.running.Unlock()
	list, err := b.steps.all()
	if err != nil {
		return 0, err
	}
	counted := map[string]bool{}
	for _, s := range list {
		if err := b.steps.remove(s.key); err != nil {
			return bytes, err
		}
		if s.Layer != "" && !counted[s.Layer] {
			counted[s.Layer] = true
			bytes += s.Bytes
		}
	}
	for _, kind := range []string{"contexts", "mounts"} {
		if err := os.RemoveAll(filepath.Join(b.dir, kind)); err != nil {
			return bytes, err
		}
	}
	unmade, err := b.unmade(ctx)
	if err != nil {
		return bytes, err
	}
	return bytes, b.opt.Images.Release(ctx, unmade...)
}
