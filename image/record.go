package image

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/errdefs"
)

// Record makes the image that conf describes, whose layers are here, and gives it names, which leave the images that had them. The image has no
// manifest, as one of docker-archive: what is in a registry is compressed, and nobody has done that.
func (s *Store) Record(ctx context.Context, conf *v1.ConfigFile, refs ...string) (Info, error) {
	raw, err := json.Marshal(conf)
	if err != nil {
		return Info{}, err
	}
	return s.RecordRaw(ctx, raw, refs...)
}

// RecordRaw is Record of a configuration as it is written: what only others know of it stays, and its digest is the image's id.
func (s *Store) RecordRaw(ctx context.Context, raw []byte, refs ...string) (Info, error) {
	n, err := catalog.Tags(refs)
	if err != nil {
		return Info{}, err
	}
	conf, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return Info{}, err
	}
	if len(raw) > manifest.MaxConfig {
		return Info{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot record an image with a configuration of %s: at most %s are read", content.SizeText(int64(len(raw))), content.SizeText(manifest.MaxConfig)))
	}
	busy, err := s.dir.KeepLayers()
	if err != nil {
		return Info{}, err
	}
	defer busy.Close()
	rec := &catalog.Record{
		ID: content.Digest(raw), Platform: platform.Of(conf), Layers: conf.RootFS.DiffIDs,
		Created: conf.Created.Time, PulledAt: now(),
	}
	seen := make(map[v1.Hash]bool)
	for _, d := range rec.Layers {
		l, err := s.layers.Read(d)
		if err != nil {
			return Info{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot record an image: its layer %s is not here any more", content.Short(d)))
		}
		if !seen[d] {
			rec.Size += l.Bytes
		}
		seen[d] = true
	}
	if rec.Patch, err = s.patches.Ensure(ctx, rec.Layers); err != nil {
		return Info{}, s.dir.Explain(err)
	}
	if err := s.catalog.KeepConfig(rec.ID, raw); err != nil {
		return Info{}, err
	}
	return s.catalog.Put(rec, n)
}
