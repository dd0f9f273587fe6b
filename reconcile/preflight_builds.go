package reconcile

import (
	"context"
	"errors"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/images"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec/diag"
)

// checkBuilds finds builds that cannot begin: sources, a Dockerfile or a secret that is not there.
func (s *survey) checkBuilds(ctx context.Context) error {
	if s.file == nil {
		return nil
	}
	for _, step := range s.plan.Steps {
		op, ok := step.Op.(plan.BuildImage)
		if !ok || op.RegistryFirst || images.Remote(s.file.Services[op.Service].Build) {
			continue
		}
		_, err := s.e.images.Request(ctx, s.file, s.file.Services[op.Service], ask.BuildOptions{}, func(string) (v1.Hash, error) { return v1.Hash{}, nil })
		var d *diag.Diagnostic
		switch {
		case errors.As(err, &d):
			s.add(d)
		case err != nil:
			s.refuse("bad-build", "an image cannot be built as the file says", "services."+op.Service+".build", err)
		}
	}
	return nil
}
