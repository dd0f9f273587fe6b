package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/internal/errdefs"
)

// Author is what the history of an image says of a layer that was made of a container.
type Author struct {
	Name, Comment, By string // By is the command that the container has run
}

// CommitSnapshot makes an image of what the container key, which stays as it is, has written on its own: one more layer on the image that it stands on, and the
// configuration that change has made of that image's. The image gets the names refs, which leave the images that had them. What a running container writes meanwhile is in
// the layer or not, so a caller who wants one moment of it has it paused. What is mounted in the container is no part of it, nor are the empty files that it
// was mounted on, the names of the host and its resolver. errdefs.ErrNotFound when there is no such snapshot.
func (s *Store) CommitSnapshot(ctx context.Context, key string, change func(*v1.Config) error, author Author, refs ...string) (Info, error) {
	if _, err := catalog.Tags(refs); err != nil {
		return Info{}, err
	}
	info, err := s.commitSnapshot(ctx, key, change, author, refs)
	if errors.Is(err, fs.ErrNotExist) {
		err = errdefs.With(errdefs.ErrNotFound, fmt.Errorf("it has no snapshot: %w", err))
	}
	if err != nil {
		return Info{}, fmt.Errorf("cannot make an image of %.12s: %w", key, s.dir.Explain(err))
	}
	return info, nil
}

func (s *Store) commitSnapshot(ctx context.Context, key string, change func(*v1.Config) error, author Author, refs []string) (Info, error) {
	busy, err := s.dir.KeepLayers() // keeps the layer until the image is recorded
	if err != nil {
		return Info{}, err
	}
	defer busy.Close()
	image, layers, err := s.snapshots.Base(key)
	if err != nil {
		return Info{}, err
	}
	conf, err := s.catalog.ConfigFile(image)
	if err != nil {
		return Info{}, err
	}
	if err := change(&conf.Config); err != nil {
		return Info{}, err
	}
	if len(layers) >= manifest.MaxLayers {
		return Info{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("its image has %d layers, and no more can be mounted", len(layers)))
	}
	diff, entries, err := s.snapshots.Written(ctx, key)
	if err != nil {
		return Info{}, err
	}
	conf.Created, conf.Author, conf.Container = v1.Time{Time: time.Now().UTC()}, author.Name, ""
	conf.History = append(conf.History, v1.History{Created: conf.Created, Author: author.Name, CreatedBy: author.By, Comment: author.Comment, EmptyLayer: entries == 0})
	conf.RootFS = v1.RootFS{Type: "layers", DiffIDs: slices.Clone(layers)}
	if entries > 0 {
		conf.RootFS.DiffIDs = append(conf.RootFS.DiffIDs, diff)
	}
	return s.Record(ctx, conf, refs...)
}
