package desire

import (
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// Hashes is, by service, what the containers of p bear as their label com.docker.compose.config-hash. It reads the files of
// configs and secrets, whose content is part of it.
func Hashes(p *spec.Project) (map[string]string, diag.List) {
	want, faults := Of(p)
	if !faults.HasErrors() {
		faults = append(faults, DigestFiles(p, want)...)
	}
	if faults.HasErrors() {
		return nil, faults
	}
	hashes := map[string]string{}
	for name, s := range want.Services {
		hashes[name] = plan.Hash(plan.Encode(s.Spec))
	}
	return hashes, nil
}
