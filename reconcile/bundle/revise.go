package bundle

import (
	"maps"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
)

// Revise is cfg of a container that is called name and is as s says from now on, as far as that can be changed while it runs: what its facts say, and its limits of memory, processors
// and processes. cfg is left as it is.
func Revise(cfg runtime.Config, name string, s *plan.Spec) runtime.Config {
	cfg.Facts = maps.Clone(cfg.Facts)
	cfg.Facts[FactName], cfg.Facts[FactWant] = name, plan.Encode(*s)
	spec, linux := *cfg.Spec, *cfg.Spec.Linux
	if linux.Resources != nil {
		resources := *linux.Resources
		resources.Memory, resources.CPU = nil, nil
		linux.Resources = &resources
	}
	spec.Linux, cfg.Spec = &linux, &spec
	setResources(cfg.Spec, s)
	return cfg
}
