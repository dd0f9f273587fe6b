package images

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

// DueList are images that are to be pulled or built, by ImageKey.
type DueList struct {
	Now     map[string]DueImage // they have containers, and whether these stay depends on what comes of it
	Refresh map[string]bool     // to be pulled by the plan's own steps although they are here
	Rebuild map[string]string   // to be built by them although they are here, and why
	Builds  []*plan.Service     // whose images are to be built at all, before the plan or by it, sorted by image
}

// DueImage is an image that containers of a service have, at a key of the service in the file.
type DueImage struct {
	service  *plan.Service
	Ref, at  string
	Maker    *plan.Service // who builds it, nil = it is pulled
	Registry bool          // of one that is built: a registry is asked first
	Why      string        // of one that is built
}

// Due are the images that a registry must be asked for or that must be built, but for those that are neither here nor of any container:
// the plan sees these by itself.
func (im *Images) Due(ctx context.Context, p *spec.Project, want *plan.Desired, have *plan.Observed, opt plan.Options) (*DueList, error) {
	inUse := map[string]bool{}
	for _, c := range have.Containers {
		if s := want.Services[c.Service]; s != nil && !c.OneOff {
			s.Spec.EachImage(func(ref, _ string) { inUse[plan.ImageKey(ref, s.Spec.Platform)] = true })
		}
	}
	d := &DueList{Now: map[string]DueImage{}, Refresh: map[string]bool{}, Rebuild: map[string]string{}}
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
			needed := !local && s.MayPull()
			if local && err == nil {
				if needed, err = stale(ctx, im.drivers, s, ref); err != nil {
					err = im.at(p, "services."+name+".pull_policy", fmt.Errorf("service %s: %w", name, err))
				}
			}
			switch {
			case !needed || s.Replicas == 0:
			case inUse[key]:
				d.Now[key] = DueImage{service: s, Ref: ref, at: at, Maker: maker, Registry: true}
			default:
				d.Refresh[key] = true
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
			needed, err := stale(ctx, im.drivers, s, h.Image)
			if err != nil {
				return nil, im.at(p, fmt.Sprintf("services.%s.pre_start[%d].image", name, i), fmt.Errorf("service %s: %w", name, err))
			}
			if needed {
				d.Refresh[key] = true
			}
		}
	}
	d.settleBuilds(want, have, makers, builds, inUse)
	return d, nil
}

// settleBuilds adds to builds what they build on, and says which of them come before the plan: with one that has containers, what it builds on.
func (d *DueList) settleBuilds(want *plan.Desired, have *plan.Observed, makers map[string]*plan.Service, builds map[string]string, inUse map[string]bool) {
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
	for _, key := range slices.Sorted(maps.Keys(builds)) {
		d.Builds = append(d.Builds, makers[key])
	}
	for key, why := range builds {
		_, local := have.Images[key]
		switch maker := makers[key]; {
		case early[key]:
			d.Now[key] = DueImage{service: maker, Ref: maker.Spec.Image, at: "build", Maker: maker, Registry: !local && maker.AsksRegistry(), Why: why}
		case local:
			d.Rebuild[key] = why
		}
	}
}

// stale says whether the pull policy of s asks for a pull of ref, an image of it that is here.
func stale(ctx context.Context, d driver.Set, s *plan.Service, ref string) (bool, error) {
	if s.Offline || !datable(s.PullPolicy) {
		return false, nil
	}
	info, err := inventory.Image(ctx, d, ref, s.Spec.Platform)
	if errors.Is(err, errdefs.ErrNotFound) {
		return false, nil // the plan sees that by itself
	}
	if err != nil {
		return false, err
	}
	return due(s.PullPolicy, info.PulledAt, time.Now())
}
