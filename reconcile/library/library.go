// Package library is what is done with images by name and by id, for whoever asks through the Docker Engine API: no project has to do with it.
//
// Called by the engine, and through it by api/docker. May touch: the drivers of images and builds.
package library

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
)

// Library does them. Its methods are safe for concurrent use.
type Library struct {
	drivers driver.Set
	enter   func(ctx context.Context) (leave func(), err error)
	say     func(event.Event)
}

// New makes one on d. enter counts a request in flight, so that the daemon does not leave, and waits for those who need everybody to stand still; say tells whoever
// listens to events.
func New(d driver.Set, enter func(ctx context.Context) (leave func(), err error), say func(event.Event)) *Library {
	return &Library{d, enter, say}
}

func (l *Library) done(name, id, text string) {
	l.say(event.Event{Kind: "image", Name: name, ID: id, Phase: event.Done, Text: text})
}

// Inspected is one local image, with all that is known of it.
type Inspected struct {
	image.Info
	File   *v1.ConfigFile
	Layers []image.LayerInfo // lowest first
}

// ListImages lists the local images, latest pulled first.
func (l *Library) ListImages(ctx context.Context) ([]image.Info, error) {
	return l.drivers.Library.List(ctx)
}

// InspectImage finds a local image by name, digest or id. errdefs.ErrNotFound.
func (l *Library) InspectImage(ctx context.Context, ref string, p v1.Platform) (Inspected, error) {
	info, err := l.drivers.Library.Resolve(ctx, ref, p)
	if err != nil {
		return Inspected{}, noSuchImage(ref, err)
	}
	file, err := l.drivers.Library.ConfigFile(ctx, info.ID)
	if err != nil {
		return Inspected{}, err
	}
	layers, err := l.drivers.Library.Layers(ctx, info.ID)
	return Inspected{info, file, layers}, err
}

// noSuchImage begins with the words that docker's clients look for.
func noSuchImage(ref string, err error) error {
	if errors.Is(err, errdefs.ErrNotFound) {
		return fmt.Errorf("No such image: %s: %w", ref, err)
	}
	return err
}

// PullImage fetches ref. changed says whether another image has the name now, or it had none.
func (l *Library) PullImage(ctx context.Context, ref string, p v1.Platform, auth *image.Auth, progress func(image.Progress)) (info image.Info, changed bool, err error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return info, false, err
	}
	defer leave()
	before, err := l.drivers.Library.Resolve(ctx, ref, p)
	had := err == nil
	if info, err = l.drivers.Library.PullAs(ctx, ref, p, auth, progress); err != nil {
		return info, false, err
	}
	l.done(ref, info.ID.String(), "Pulled")
	return info, !had || before.ID != info.ID, nil
}

// PushImage gives a local image to the registry of its name.
func (l *Library) PushImage(ctx context.Context, ref string, o image.PushOptions, progress func(image.Progress)) (image.Pushed, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return image.Pushed{}, err
	}
	defer leave()
	pushed, err := l.drivers.Library.Push(ctx, ref, o, progress)
	if err == nil {
		l.done(ref, "", "Pushed")
	}
	return pushed, err
}

// TagImage gives the image that ref means one more name, which leaves the image that had it.
func (l *Library) TagImage(ctx context.Context, ref, name string) error {
	leave, err := l.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	info, err := l.drivers.Library.Resolve(ctx, ref, v1.Platform{})
	if err != nil {
		return noSuchImage(ref, err)
	}
	if _, err := l.drivers.Library.Tag(ctx, info.ID, name); err != nil {
		return err
	}
	l.done(name, info.ID.String(), "Tagged")
	return nil
}

// RemoveImage removes a name, and the image with its last one; by id the image.
func (l *Library) RemoveImage(ctx context.Context, ref string, force bool) (image.Removal, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return image.Removal{}, err
	}
	defer leave()
	gone, err := l.drivers.Library.DeleteImage(ctx, ref, image.DeleteOptions{Force: force})
	if err != nil {
		return gone, noSuchImage(ref, err)
	}
	l.told(gone)
	return gone, nil
}

func (l *Library) told(gone image.Removal) {
	for _, name := range gone.Untagged {
		l.done(name, "", "Untagged")
	}
	for _, id := range gone.Deleted {
		l.done(id.String(), id.String(), "Deleted")
	}
}

// PruneImages removes the images that fits takes, that no container uses and, unless all, that no name keeps.
func (l *Library) PruneImages(ctx context.Context, all bool, fits func(image.Info) bool) (image.Removal, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return image.Removal{}, err
	}
	defer leave()
	list, err := l.drivers.Library.List(ctx)
	if err != nil {
		return image.Removal{}, err
	}
	var gone image.Removal
	var errs []error
	for _, info := range list {
		if !all && !info.Dangling || !fits(info) {
			continue
		}
		one, err := l.drivers.Library.DeleteImage(ctx, info.ID.String(), image.DeleteOptions{Force: true})
		switch {
		case errors.Is(err, errdefs.ErrConflict), errors.Is(err, errdefs.ErrNotFound):
			continue // it is in use, or somebody was faster
		case err != nil:
			errs = append(errs, err)
			continue
		}
		l.told(one)
		gone.Untagged, gone.Deleted, gone.Bytes = slices.Concat(gone.Untagged, one.Untagged), slices.Concat(gone.Deleted, one.Deleted), gone.Bytes+one.Bytes
	}
	return gone, errors.Join(errs...)
}

// SaveImages writes local images as an archive. Nothing is written when one of them is not here.
func (l *Library) SaveImages(ctx context.Context, w io.Writer, p v1.Platform, refs ...string) error {
	leave, err := l.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	return l.drivers.Library.Save(ctx, w, p, refs...)
}

// LoadImages imports the images of an archive.
func (l *Library) LoadImages(ctx context.Context, r io.Reader, progress func(image.Progress)) ([]image.Info, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	images, err := l.drivers.Library.Load(ctx, r, progress)
	for _, info := range images {
		l.done(append(slices.Clone(info.Refs), info.ID.String())[0], info.ID.String(), "Loaded")
	}
	return images, err
}

// ImportImage makes an image out of a tar stream of a root file system, with a configuration of instructions of a Dockerfile. ref "" = no name.
func (l *Library) ImportImage(ctx context.Context, r io.Reader, p v1.Platform, ref, comment string, changes []string) (image.Info, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return image.Info{}, err
	}
	defer leave()
	var refs []string
	if ref != "" {
		refs = append(refs, ref)
	}
	info, err := l.drivers.Library.Import(ctx, r, p, func(conf *v1.Config) error { return build.Change(conf, changes) }, comment, refs...)
	if err == nil {
		l.done(append(refs, info.ID.String())[0], info.ID.String(), "Imported")
	}
	return info, err
}

// RemoteImage is what a registry has under ref.
func (l *Library) RemoteImage(ctx context.Context, ref string, auth *image.Auth) (image.RemoteManifest, error) {
	return l.drivers.Library.Manifest(ctx, ref, auth)
}

// CheckAuth asks the registry host whether it knows auth. image.ErrDenied.
func (l *Library) CheckAuth(ctx context.Context, host string, auth image.Auth) error {
	return l.drivers.Library.CheckAuth(ctx, host, auth)
}
