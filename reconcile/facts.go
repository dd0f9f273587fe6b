package reconcile

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/plan"
)

// facts are what a plan depends on, by kind and name: of the host, what plan.Build has looked at, and of the project what is not in it
// but in files that it names. Two that are equal give the same changes.
type facts map[string]map[string]json.RawMessage

// Kinds of facts, in the order in which they are told.
var factKinds = []string{"image", "network", "volume", "container", "anonymous volumes of", "service"}

// factsOf takes networks and volumes that want names or that are of its project: others are nobody's business here.
func factsOf(want *plan.Desired, have *plan.Observed) facts {
	f := facts{}
	for _, kind := range factKinds {
		f[kind] = map[string]json.RawMessage{}
	}
	put := func(kind, name string, v any) {
		raw, err := json.Marshal(v)
		if err != nil {
			panic(fmt.Sprintf("reconcile: a %T does not encode: %v", v, err)) // strings, numbers and maps of them
		}
		f[kind][name] = raw
	}
	for key, id := range have.Images {
		put("image", key, map[string]string{"id": id})
	}
	for name, n := range have.Networks {
		if _, named := want.Networks[name]; named || n.Project == want.Project {
			put("network", name, map[string]any{"project": n.Project, "problem": n.Problem, "spec": encodedSpec(n.Encoded)})
		}
	}
	for name, v := range have.Volumes {
		if _, named := want.Volumes[name]; named || v.Project == want.Project {
			put("volume", name, map[string]any{"project": v.Project, "spec": encodedSpec(v.Encoded)})
		}
	}
	for _, c := range have.Containers {
		if c.OneOff {
			continue
		}
		fact := map[string]any{
			"id": objectid.Short(c.ID), "service": c.Service, "number": c.Replica, "status": c.Status, "image": c.Image, "problem": c.Problem,
			"anonymous": c.Anonymous, "networks": c.Networks, "spec": encodedSpec(c.Encoded),
		}
		if len(c.Mounted) > 0 { // so that plans that were saved before there were any are as they were
			fact["mounted images"] = c.Mounted
		}
		put("container", c.Name, fact)
	}
	for id, volumes := range have.Anonymous {
		put("anonymous volumes of", id.String(), volumes)
	}
	for name, s := range want.Services {
		put("service", name, s)
	}
	return f
}

// encodedSpec is what plan.Encode wrote, to be compared field by field; text of anybody else as it is.
func encodedSpec(encoded string) any {
	var v struct {
		Spec json.RawMessage `json:"spec"`
	}
	if json.Unmarshal([]byte(encoded), &v) == nil && len(v.Spec) > 0 {
		return v.Spec
	}
	return encoded
}

// moved names what is other in now, field by field.
func (f facts) moved(now facts) []plan.Reason {
	var out []plan.Reason
	for _, kind := range factKinds {
		names := map[string]bool{}
		for name := range f[kind] {
			names[name] = true
		}
		for name := range now[kind] {
			names[name] = true
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			was, before := f[kind][name]
			is, after := now[kind][name]
			switch {
			case !after:
				out = append(out, plan.Reason{Path: fmt.Sprintf("%s %s is gone", kind, name)})
			case !before:
				out = append(out, plan.Reason{Path: fmt.Sprintf("%s %s was not there", kind, name)})
			default:
				for _, r := range plan.Diff(plan.Encode(was), plan.Encode(is)) {
					r.Path = kind + " " + name + ": " + r.Path
					out = append(out, r)
				}
			}
		}
	}
	return out
}
