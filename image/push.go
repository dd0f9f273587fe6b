package image

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/progress"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// PushOptions of Push.
type PushOptions struct {
	Platform v1.Platform // zero = this host's
	Auth     *Auth       // nil = the credentials that this host has stored
}

// Push gives the local image ref, a name with a tag, to the registry that the name says. What the registry has is not sent again, and what another of its repositories has
// is taken from there. An image that was pulled arrives with the manifest and the layers that it was pulled with, so by the same digest, as long as
// one of these, or the registry that it came from, has them; a layer that nobody has any more is compressed anew, which is told (Progress.Note), and the image has another digest then.
//
// tell may be nil; it is called from one goroutine at a time. Errors: errdefs.ErrNotFound when the image is not here, ErrDenied, errdefs.ErrUnavailable.
func (s *Store) Push(ctx context.Context, ref string, opt PushOptions, tell func(Progress)) (Pushed, error) {
	r, err := reference.Parse(ref)
	if err == nil && r.HasDigest() {
		err = errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot push %s: a push is by tag; its digest comes of what is pushed", ref))
	}
	if err != nil {
		return Pushed{}, err
	}
	info, err := s.Resolve(ctx, r.String(), opt.Platform)
	if err != nil {
		return Pushed{}, fmt.Errorf("cannot push %s: %w", r.Familiar(), err)
	}
	busy, err := s.dir.KeepLayers() // keeps Prune from the layers
	if err != nil {
		return Pushed{}, err
	}
	defer busy.Close()
	limited := progress.Limit(progress.Serial(tell))
	return s.push.Push(ctx, r, info.ID, opt.Auth, func(p Progress) { p.Ref = r.Familiar(); limited(p) })
}
