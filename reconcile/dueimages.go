package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/spec"
)

// dueList are images that are to be pulled or built, by ImageKey.
type dueList struct {
	now     map[string]dueImage // they have containers, and whether these stay depends on what comes of it
	refresh map[string]bool     // to be pulled by the plan's own steps although they are here
	rebuild map[string]string   // to be built by them although they are here, and why
}

// dueImage is an image that containers of a service have, at a key of the service in the file.
type dueImage struct {
	service  *plan.Service
	ref, at  string
	maker    *plan.Service // who builds it, nil = it is pulled
	registry bool          // of one that is built: a registry is asked first
	why      string        // of one that is built
}

// dueImages are the images that a registry must be asked for or that must be built, but for those that are neither here nor of any container:
// the plan sees these by itself.
func (e *Engine) dueImages(ctx context.Context, p *spec.Project, want *plan.Desired, have *plan.Observed, opt plan.Options) (*dueList, error) {
	inUse := map[string]bool{}
	for _, c := range have.Containers {
		if s := want.Services[c.Service]; s != nil && !c.OneOff {
			s.Spec.EachImage(func(ref, _ string) { inUse[plan.ImageKey(ref, s.Spec.Platform)] = true })
		}
	}
	d := &dueList{map[string]dueImage{}, map[string]bool{}, map[string]string{}}
	makers := want.Makers()
	if opt.NoBuild {
		makers = nil
	}
	builds := map[string]string{} // why, by key
	for _, name := range want.Selected(opt.Services, opt.NoDeps) {
		s := want.Services[name]
		var err error
		s.Spec.EachImage(func(ref, at string) {
			key := plan.ImageKey(ref, s.Spec.Platform)
			_, local := have.Images[key]
			maker := makers[key]
			if maker != nil {
				switch {
				case !local:
					builds[key] = plan.NotHere
					return
				case maker.Build.Again != "":
					builds[key] = maker.Build.Again
					return
				case !maker.AsksRegistry():
					return
				}
			} else if s.Build != nil && at == "image" && !s.Build.Named {
				return // it may not be built, and no registry has it
			}
			needed := !local && s.PullPolicy != "never"
			if local && err == nil {
				if needed, err = stale(ctx, e.drivers, s, ref); err != nil {
					err = position.At(p, spec.Path("services."+name+".pull_policy"), fmt.Errorf("service %s: %w", name, err))
				}
			}
			switch {
			case !needed || s.Replicas == 0:
			case inUse[key]:
				d.now[key] = dueImage{service: s, ref: ref, at: at, maker: maker, registry: true}
			default:
				d.refresh[key] = true
			}
		})
		if err != nil {
			return nil, err
		}
		for i, h := range s.Spec.PreStart {
			key := plan.ImageKey(h.Image, s.Spec.Platform)
			if h.Image == "" || s.Replicas == 0 || makers[key] != nil {
				continue
			}
			needed, err := stale(ctx, e.drivers, s, h.Image)
			if err != nil {
				return nil, position.At(p, spec.Path(fmt.Sprintf("services.%s.pre_start[%d].image", name, i)), fmt.Errorf("service %s: %w", name, err))
			}
			if needed {
				d.refresh[key] = true
			}
		}
	}
	d.settleBuilds(want, have, makers, builds, inUse)
	return d, nil
}

// settleBuilds adds to builds what they build on, and says which of them come before the plan: with one that has containers, what it builds on.
func (d *dueList) settleBuilds(want *plan.Desired, have *plan.Observed, makers map[string]*plan.Service, builds map[string]string, inUse map[string]bool) {
	under := func(key string, do func(on string)) {
		for _, from := range makers[key].Build.From {
			if s := want.Services[from]; s != nil && s.Build != nil {
				do(s.Spec.ImageKey())
			}
		}
	}
	early := map[string]bool{}
	var add, first func(key string)
	add = func(key string) {
		under(key, func(on string) {
			if _, known := builds[on]; !known {
				builds[on] = "image " + makers[key].Spec.Image + " is built on it"
				if _, local := have.Images[on]; !local {
					builds[on] = plan.NotHere
				}
				add(on)
			}
		})
	}
	first = func(key string) {
		if !early[key] {
			early[key] = true
			under(key, first)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(builds)) {
		add(key)
	}
	for key := range builds {
		if inUse[key] {
			first(key)
		}
	}
	for key, why := range builds {
		_, local := have.Images[key]
		switch maker := makers[key]; {
		case early[key]:
			d.now[key] = dueImage{service: maker, ref: maker.Spec.Image, at: "build", maker: maker, registry: !local && maker.AsksRegistry(), why: why}
		case local:
			d.rebuild[key] = why
		}
	}
}
