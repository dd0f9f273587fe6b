package desire

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

// provide adds to c what the providers that s depends on have set, over what the file says: a provider that runs before its dependents knows better.
func provide(p *spec.Project, s *spec.Service, c *plan.Spec) {
	for _, dep := range slices.Sorted(maps.Keys(s.DependsOn)) {
		by := p.Services[dep]
		if by == nil || by.Provider == nil || by.Provider.Provided == nil {
			continue
		}
		for name, value := range by.Provider.Provided.Prefixed {
			setVariable(c, strings.ToUpper(dep)+"_"+name, value)
		}
		for name, value := range by.Provider.Provided.Raw {
			setVariable(c, name, value)
		}
	}
}

// tellModels adds to c what s is to know of the models that it uses.
func tellModels(p *spec.Project, s *spec.Service, c *plan.Spec) {
	for key, use := range s.Models {
		model := p.Models[key]
		if model == nil {
			continue // the loader has refused it
		}
		prefix := strings.ReplaceAll(strings.ToUpper(key), "-", "_")
		name, url := prefix+"_MODEL", prefix+"_URL"
		if use != nil {
			name, url = cmp.Or(use.ModelVar, name), cmp.Or(use.EndpointVar, url)
		}
		setVariable(c, name, model.Model)
		if model.Endpoint != "" {
			setVariable(c, url, model.Endpoint)
		}
	}
}

// setVariable sets a variable over what the file says.
func setVariable(c *plan.Spec, name, value string) {
	if c.Environment == nil {
		c.Environment = map[string]string{}
	}
	c.Environment[name] = value
	c.Unset = slices.DeleteFunc(c.Unset, func(n string) bool { return n == name })
}
