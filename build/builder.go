package build

import (
	"context"
	"errors"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
)

// Options of a Builder.
type Options struct {
	Roots      roots.Roots
	Images     Images
	Containers Containers
	Networks   Networks

	// Notice tells, once, what somebody should know and what is no error: a damaged cache that was put aside. nil = nobody.
	Notice func(text string)
}

// Builder makes images. Its methods may be called from many goroutines; there must be one for a pair of roots.
type Builder struct {
	opt Options
}

// New makes a Builder and removes what builds left that were cut off.
func New(ctx context.Context, o Options) (*Builder, error) {
	b := &Builder{opt: o}
	if _, err := b.Sweep(ctx, true); err != nil {
		return nil, err
	}
	return b, nil
}

// Close ends what the builds have left to be done behind them, or ctx ends. The Builder is not used afterwards.
func (b *Builder) Close(ctx context.Context) error { return nil }

// Build makes the image that r describes and gives it its names. progress, which may be nil, is called by one goroutine at a time. An error
// with a place in the Dockerfile is an *Error; errdefs.ErrInvalidArgument and ErrNotSupported mean that nothing has run.
func (b *Builder) Build(ctx context.Context, r Request, progress func(Progress)) (image.Info, error) {
	return image.Info{}, errdefs.With(errdefs.ErrNotSupported, errors.New("cannot build: images are not built yet"))
}

// Sweep names what is left of builds that were cut off, and what of the cache has no use any more: a sentence's worth each. With
// remove it removes them. Precondition: no build is under way.
func (b *Builder) Sweep(ctx context.Context, remove bool) ([]string, error) { return nil, nil }
