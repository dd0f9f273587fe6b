package desire

import (
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

// Hashes is, by service, what the containers of p bear as their label com.docker.compose.config-hash. It reads the files of
// configs and secrets, whose content is part of it.
func Hashes(p *spec.Project) (map[string]string, error) {
	want, diags := Of(p)
	if err := diags.Err(); err != nil {
		return nil, err
	}
	if err := DigestFiles(p, want).Err(); err != nil {
		return nil, err
	}
	hashes := map[string]string{}
	for name, s := range want.Services {
		hashes[name] = plan.Hash(plan.Encode(s.Spec))
	}
	return hashes, nil
}
