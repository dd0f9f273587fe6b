package inventory

import (
	"context"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/reconcile/driver"
)

// Platform reads os/arch[/variant]; "" is the zero value, this host's.
func Platform(s string) (v1.Platform, error) {
	if s == "" {
		return v1.Platform{}, nil
	}
	p, err := v1.ParsePlatform(s)
	if err != nil {
		return v1.Platform{}, fmt.Errorf("cannot use platform %q: %w", s, err)
	}
	return *p, nil
}

// Image finds a local image.
func Image(ctx context.Context, d driver.Set, ref, plat string) (image.Info, error) {
	pl, err := Platform(plat)
	if err != nil {
		return image.Info{}, err
	}
	return d.Images.Resolve(ctx, ref, pl)
}
