package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/pack"
	"github.com/stackrun/stack/image/progress"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

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
	dir, err := s.snapshotDir(key)
	if err != nil {
		return Info{}, err
	}
	if _, err := tags(refs); err != nil {
		return Info{}, err
	}
	info, err := s.commitSnapshot(ctx, dir, change, author, refs)
	if errors.Is(err, fs.ErrNotExist) {
		err = errdefs.With(errdefs.ErrNotFound, fmt.Errorf("it has no snapshot: %w", err))
	}
	if err != nil {
		return Info{}, fmt.Errorf("cannot make an image of %.12s: %w", key, s.dir.Explain(err))
	}
	return info, nil
}

func (s *Store) commitSnapshot(ctx context.Context, dir string, change func(*v1.Config) error, author Author, refs []string) (Info, error) {
	busy, err := s.dir.KeepLayers() // keeps the layer until the image is recorded
	if err != nil {
		return Info{}, err
	}
	defer busy.Close()
	rec, err := readSnapshot(dir)
	if err != nil {
		return Info{}, err
	}
	base, err := s.readConfig(rec.Image)
	if err != nil {
		return Info{}, err
	}
	conf := base.DeepCopy()
	if err := change(&conf.Config); err != nil {
		return Info{}, err
	}
	if len(rec.Layers) >= manifest.MaxLayers {
		return Info{}, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("its image has %d layers, and no more can be mounted", len(rec.Layers)))
	}
	diff, entries, err := s.layerOfUpper(ctx, rec, filepath.Join(dir, "upper"))
	if err != nil {
		return Info{}, err
	}
	conf.Created, conf.Author, conf.Container = v1.Time{Time: time.Now().UTC()}, author.Name, ""
	conf.History = append(conf.History, v1.History{Created: conf.Created, Author: author.Name, CreatedBy: author.By, Comment: author.Comment, EmptyLayer: entries == 0})
	conf.RootFS = v1.RootFS{Type: "layers", DiffIDs: slices.Clone(rec.Layers)}
	if entries > 0 {
		conf.RootFS.DiffIDs = append(conf.RootFS.DiffIDs, diff)
	}
	return s.Record(ctx, conf, refs...)
}

// layerOfUpper makes a layer of upper, which is left as it is: its stream is written to a file, and unpacked from there as a pulled one.
func (s *Store) layerOfUpper(ctx context.Context, rec snapshotRecord, upper string) (diff v1.Hash, entries int64, err error) {
	own, err := s.ownRoot(upper, rec.Layers)
	if err != nil {
		return diff, 0, err
	}
	below := s.below(rec)
	tmp, err := s.dir.Scratch()
	if err != nil {
		return diff, 0, err
	}
	defer tmp.Drop()
	path := filepath.Join(tmp.Dir, "layer.tar")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return diff, 0, err
	}
	defer f.Close()
	diff, entries, err = pack.Live(ctx, upper, own, f, below, func(name string, st *unix.Stat_t) bool { return ofContainer(name, st) && !below(name) })
	if err != nil || entries == 0 {
		return diff, 0, err
	}
	if err := s.layers.NoteUnsynced(diff); err != nil {
		return diff, 0, err
	}
	s.layers.Sync()
	_, err = s.layers.Ensure(ctx, layer.Source{Diff: diff, Open: func(context.Context) (io.ReadCloser, error) { return os.Open(path) }}, func(progress.Report) {})
	return diff, entries, err
}

// ofContainer says whether a container's root has name because it is a container's: its mark, and what its own files are mounted on.
func ofContainer(name string, st *unix.Stat_t) bool {
	switch name {
	case dockerenv, "etc/hosts", "etc/hostname", "etc/resolv.conf":
		return st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size == 0
	}
	return false
}
