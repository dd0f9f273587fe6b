package desire

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stackrun/stack/reconcile/graph"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// ServiceContext begins an additional context that is the image of another service.
const ServiceContext = "service:"

// recipeOf is what a plan has to know of how the image of s is made, nil when it is not made here.
func recipeOf(p *spec.Project, s *spec.Service) *plan.Recipe {
	if s.Build == nil || s.Provider != nil {
		return nil
	}
	r := &plan.Recipe{Named: s.Image != "" && p.Isolated == ""} // no registry has a name that is one directory's
	for _, context := range s.Build.AdditionalContexts {
		if name, ok := strings.CutPrefix(context, ServiceContext); ok && !slices.Contains(r.From, name) {
			r.From = append(r.From, name)
		}
	}
	slices.Sort(r.From)
	if s.PullPolicy == "build" {
		r.Again = "its pull policy is build"
	}
	return r
}

// checkBuilds finds images that are built on each other in a circle, and such as two services build in different ways.
func checkBuilds(p *spec.Project, d *plan.Desired) diag.List {
	var diags diag.List
	on := graph.New(strings.Compare)
	makers := d.Makers()
	for name, s := range d.Services {
		if s.Build == nil {
			continue
		}
		on.Add(name)
		for _, from := range s.Build.From {
			if d.Services[from] != nil {
				on.Connect(name, from)
			}
		}
		if by := makers[s.Spec.ImageKey()]; by != s && !sameBuild(p.Services[by.Name].Build, p.Services[name].Build) {
			diags = append(diags, &diag.Diagnostic{
				Severity: diag.Warning, Code: "built-twice", Summary: "two services build one image in different ways",
				Detail: fmt.Sprintf("%s of service %s is built as service %s says", s.Spec.Image, name, by.Name), Hint: "give one of them another image:", Address: "services." + name + ".build",
			})
		}
	}
	if _, err := on.Order(); err != nil {
		diags = append(diags, &diag.Diagnostic{
			Code: "build-cycle", Summary: "images are built on each other in a circle", Detail: err.Error(), Hint: "take one of the additional_contexts out", Address: "services",
		})
	}
	return diags
}

// sameBuild says whether two builds make the same.
func sameBuild(a, b *spec.Build) bool {
	return plan.Encode(a) == plan.Encode(b)
}
