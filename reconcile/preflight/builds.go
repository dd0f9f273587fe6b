package preflight

import (
	"context"
	"errors"

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
		if !ok || op.RegistryFirst {
			continue
		}
		err := s.builds.Check(ctx, s.file, s.file.Services[op.Service])
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
