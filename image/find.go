package image

import (
	"context"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/reference"
)

// Find asks the registry whether ref can be pulled for platform p (the zero value: this host's), and fetches nothing but its
// manifest and configuration. A Pull soon afterwards takes what was found and does not ask again: manifests
// count against a registry's limit of pulls. Errors are those of Pull.
func (s *Store) Find(ctx context.Context, ref string, p v1.Platform) error {
	r, err := reference.Parse(ref)
	if err != nil {
		return err
	}
	want := platform.Wanted(p)
	img, err := manifest.Resolve(ctx, s.registry.Source(r, nil, func(string) {}), r.Familiar(), r.Identifier(), want)
	if err != nil {
		return err
	}
	s.finds.put(r, want, img)
	return nil
}
