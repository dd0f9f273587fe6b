package reconcile

import (
	"context"
	"errors"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// remoteSources says whether sources of b are still to be fetched, by whoever asks for more than a plan.
func remoteSources(b *spec.Build) bool {
	for _, context := range b.AdditionalContexts {
		if spec.IsRemote(context) && !strings.HasPrefix(context, "docker-image://") {
			return true
		}
	}
	return spec.IsRemote(b.Context)
}

// checkBuilds finds builds that cannot begin: sources, a Dockerfile or a secret that is not there.
func (s *survey) checkBuilds(ctx context.Context) error {
	if s.file == nil {
		return nil
	}
	for _, step := range s.plan.Steps {
		op, ok := step.Op.(plan.BuildImage)
		if !ok || op.RegistryFirst || remoteSources(s.file.Services[op.Service].Build) {
			continue
		}
		_, err := s.e.buildRequest(ctx, s.file, s.file.Services[op.Service], ask.BuildOptions{}, func(string) (v1.Hash, error) { return v1.Hash{}, nil })
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
