package reconcile

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// tellProviders says of a plan what it does not say: that programs run before it is carried out, and what is not known for that.
func tellProviders(p *spec.Project, want *plan.Desired, o ask.UpOptions) diag.List {
	var out diag.List
	for _, name := range want.Selected(o.Services, o.NoDeps) {
		s := p.Services[name]
		for _, key := range slices.Sorted(maps.Keys(s.Models)) {
			if m := p.Models[key]; s.Provider == nil && m != nil && m.Endpoint == "" {
				at := spec.Path("services." + name + ".models." + key)
				out = append(out, &diag.Diagnostic{Severity: diag.Warning, Code: "model", Summary: "where a model answers is not known yet", Detail: fmt.Sprintf("up asks its runner first, and tells service %s", name),
					Address: string(at), Subject: p.Sources.At(at)})
			}
		}
		if s.Provider == nil || o.NoDeps && !slices.Contains(o.Services, name) {
			continue
		}
		d := &diag.Diagnostic{
			Severity: diag.Warning, Code: "provider", Summary: "what a provider does is not in the plan", Address: "services." + name + ".provider",
			Detail: fmt.Sprintf("up runs %s for service %s first", s.Provider.Type, name),
		}
		if s.Provider.Provided == nil {
			d.Detail = fmt.Sprintf("%s has not run yet, so what it sets for the services that depend on %s is not known; up runs it first", s.Provider.Type, name)
		}
		d.Subject = p.Sources.At(spec.Path(d.Address))
		out = append(out, d)
	}
	return out
}
