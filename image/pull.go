package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/image/progress"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// Pull fetches ref for platform p (the zero value: this host's) and unpacks it. Concurrent pulls of one image are
// one. tell may be nil; it is called from one goroutine at a time, at most some ten times a second for a layer.
//
// When it fails or ctx ends, nothing of the image is visible; layers that were whole are kept for the next try
// until Prune. Errors: *PullError for what registries said, errdefs.ErrNotFound when there is no such image
// or none for p, errdefs.ErrInvalidArgument for a bad reference or an image that is not valid.
func (s *Store) Pull(ctx context.Context, ref string, p v1.Platform, tell func(Progress)) (Info, error) {
	return s.PullAs(ctx, ref, p, nil, tell)
}

// PullAs is Pull with credentials of the caller's; nil = those that this host has stored.
func (s *Store) PullAs(ctx context.Context, ref string, p v1.Platform, auth *Auth, tell func(Progress)) (Info, error) {
	if _, explicit, _ := catalog.IDPrefix(ref); explicit {
		return Info{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot pull %s: an image id says nothing of where the image is; pull a name", ref))
	}
	r, err := reference.Parse(ref)
	if err != nil {
		return Info{}, err
	}
	want := platform.Wanted(p)
	named := withRef(ref, tell)
	return s.pulls.Do(ctx, r.String()+" "+platform.Name(want)+" "+auth.Key(), named, func(ctx context.Context, report func(Progress)) (Info, error) {
		info, err := s.pull(ctx, r, want, auth, progress.Limit(report))
		if err == nil {
			report(Progress{Phase: progress.Done})
		}
		return info, err
	})
}

func withRef(ref string, tell func(Progress)) func(Progress) {
	if tell == nil {
		return nil
	}
	return func(p Progress) { p.Ref = ref; tell(p) }
}

func (s *Store) pull(ctx context.Context, ref reference.Reference, want v1.Platform, auth *Auth, report func(Progress)) (Info, error) {
	// Until the record is written nothing but this lock keeps Prune from the layers.
	busy, err := s.dir.KeepLayers()
	if err != nil {
		return Info{}, err
	}
	defer busy.Close()

	report(Progress{Phase: progress.Resolving})
	src := s.registry.Source(ref, auth, func(note string) { report(Progress{Phase: progress.Resolving, Note: note}) })
	img := s.finds.take(ref, want)
	if img == nil {
		if img, err = manifest.Resolve(ctx, src, ref.Familiar(), ref.Identifier(), want); err != nil {
			return Info{}, err
		}
	}
	var layers []layer.Source
	for i, desc := range img.Layers {
		layers = append(layers, layer.Source{
			Diff: img.Config.RootFS.DiffIDs[i], Digest: desc.Digest, Size: desc.Size, Media: desc.MediaType,
			Open: func(ctx context.Context) (io.ReadCloser, error) { return src.Blob(ctx, desc), nil },
		})
	}
	names := catalog.Names{Digests: []string{ref.Digested(img.Manifest.Digest)}}
	if img.Index != nil {
		names.Digests = append(names.Digests, ref.Digested(img.Index.Digest))
	}
	if ref.HasDigest() {
		names.Refs = append(names.Refs, ref.Digested(ref.Digest))
	}
	// A tag beside a digest was not asked about: the registry may have it elsewhere.
	if ref.Tag != "" && !ref.HasDigest() {
		names.Refs = append(names.Refs, ref.Tagged())
	}
	info, err := s.install(ctx, img, layers, names, report)
	if err == nil {
		for i, desc := range img.Layers {
			s.layers.NoteRepo(img.Config.RootFS.DiffIDs[i], desc.Digest, ref.Name())
		}
	}
	return info, err
}

// install makes what is missing of img and records it. The caller holds the pulls lock, shared.
func (s *Store) install(ctx context.Context, img *manifest.Image, layers []layer.Source, names catalog.Names, report func(Progress)) (Info, error) {
	// A layer that is in an image twice is made once.
	var missing []layer.Source
	var ids []v1.Hash
	var compressed int64
	done := make(map[v1.Hash]layer.Record)
	for _, l := range layers {
		if _, seen := done[l.Diff]; seen || slices.Contains(ids, l.Diff) {
			continue
		}
		r, err := s.layers.Read(l.Diff)
		if err == nil {
			done[l.Diff] = r
			report(Progress{Layer: content.Short(l.ID()), Phase: progress.Done, Current: l.Size, Total: l.Size})
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return Info{}, err
		}
		missing, ids, compressed = append(missing, l), append(ids, l.Diff), compressed+l.Size
	}
	if len(missing) > 0 {
		// Unpacked it will be larger; what is too little even for this need not be tried.
		if err := s.dir.Room(compressed); err != nil {
			return Info{}, err
		}
		synced, err := s.layers.BeginUnsynced(ids)
		if err != nil {
			return Info{}, err
		}
		defer synced()
	}

	var mu sync.Mutex
	group, gctx := errgroup.WithContext(ctx)
	for _, l := range missing {
		group.Go(func() error {
			r, err := s.layers.Ensure(gctx, l, report)
			if err != nil {
				return err
			}
			mu.Lock()
			done[l.Diff] = r
			mu.Unlock()
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			return Info{}, context.Cause(ctx)
		}
		return Info{}, err
	}

	rec := &catalog.Record{
		ID: img.ID, Manifest: img.Manifest.Digest, Platform: platform.Of(img.Config),
		Layers: img.Config.RootFS.DiffIDs, Created: img.Config.Created.Time, PulledAt: now(),
	}
	for _, r := range done {
		rec.Size += r.Bytes
	}
	var err error
	if rec.Patch, err = s.patches.Ensure(ctx, rec.Layers); err != nil {
		return Info{}, s.dir.Explain(err)
	}
	if err := s.catalog.Keep(img); err != nil {
		return Info{}, err
	}
	return s.catalog.Put(rec, names)
}
