package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/units"
)

// parallelPulls bounds the pulls of one request.
const parallelPulls = 4

// due says whether policy asks for a pull of an image that is local since pulled.
func due(policy string, pulled, now time.Time) (bool, error) {
	switch policy {
	case "", "missing", "if_not_present", "never", "build":
		return false, nil
	case "always", "refresh":
		return true, nil
	case "daily":
		return now.Sub(pulled) >= 24*time.Hour, nil
	case "weekly":
		return now.Sub(pulled) >= 7*24*time.Hour, nil
	}
	if every, ok := strings.CutPrefix(policy, "every_"); ok {
		d, err := units.Duration(every)
		if err == nil {
			return now.Sub(pulled) >= d, nil
		}
	}
	return false, fmt.Errorf("pull policy %q: expected always, missing, never, daily, weekly or every_<duration>: %w", policy, errdefs.ErrInvalidArgument)
}

// datable says whether policy depends on when an image was pulled, or is none that due knows.
func datable(policy string) bool {
	switch policy {
	case "", "missing", "if_not_present", "never", "build":
		return false
	}
	return true
}

// refreshImages pulls and builds, before there is a plan, each image on which it depends whether a container stays. The others are for the plan's own
// steps, into whose options they go. It returns what it has built.
func (e *Engine) refreshImages(ctx context.Context, p *spec.Project, want *plan.Desired, have *plan.Observed, opt *plan.Options, sink event.Sink) (map[string]earlyBuild, error) {
	d, err := e.dueImages(ctx, p, want, have, *opt)
	if err != nil {
		return nil, err
	}
	opt.Refresh, opt.Rebuild = d.refresh, d.rebuild
	builds := e.makes(p, want, ask.BuildOptions{}, sink)
	keys := slices.Sorted(maps.Keys(d.now))
	for _, key := range keys {
		if due := d.now[key]; due.maker != nil {
			builds.add(due.maker, due.registry)
		}
	}
	var work errgroup.Group
	work.SetLimit(max(parallelPulls, parallelBuilds))
	ids := make([]string, len(keys))
	steps := make([]history.Step, len(keys))
	for i, key := range keys {
		due := d.now[key]
		work.Go(func() error {
			s := due.service
			if due.maker != nil {
				steps[i] = history.Step{What: plan.BuildImage{Ref: due.ref}.String(), Begin: history.Now()}
				id, err := builds.todo[key](ctx)
				ids[i], steps[i].End = id.String(), history.Now()
				return err
			}
			info, err := e.pull(ctx, p.Name, due.ref, s.Spec.Platform, sink)
			if err != nil {
				return position.At(p, spec.Path("services."+s.Name+"."+due.at), fmt.Errorf("cannot get the image of service %s: %w", s.Name, err))
			}
			ids[i] = info.ID.String()
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	built := map[string]earlyBuild{}
	for i, key := range keys {
		have.Images[key] = ids[i]
		if due := d.now[key]; due.maker != nil {
			built[key] = earlyBuild{ref: due.ref, why: cmp.Or(due.why, plan.LookAgain), step: steps[i]}
		}
	}
	return built, nil
}

// Pull fetches the images of services (empty = all). policy "" is always, "missing" leaves local ones alone.
func (e *Engine) Pull(ctx context.Context, p *spec.Project, services []string, policy string, sink event.Sink) error {
	defer e.loop.Enter()()
	want, err := e.desire(p, ask.UpOptions{})
	if err != nil {
		return err
	}
	for _, name := range services {
		if want.Services[name] == nil {
			return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot pull %q: project %s has no such service", name, p.Name))
		}
	}
	names := want.Selected(services, true)
	failures := make([]error, len(names)) // every image gets its try, whatever happens to the others
	done := map[string]bool{}
	var mu sync.Mutex // of failures
	var work errgroup.Group
	work.SetLimit(parallelPulls)
	pull := func(i int, name, ref, at string) {
		s := want.Services[name]
		if s.Provider != "" || s.Build != nil && !s.Build.Named && at == "image" {
			return
		}
		if key := plan.ImageKey(ref, s.Spec.Platform); done[key] {
			return
		} else {
			done[key] = true
		}
		skipped := event.Event{Project: p.Name, Kind: "image", Name: ref, Service: name, Phase: event.Done, Text: "Skipped"}
		if s.PullPolicy == "never" {
			skipped.Detail = "its pull policy is never"
			e.hub.Say(sink, skipped)
			return
		}
		if s.PullPolicy == "build" && s.Build != nil && at == "image" {
			skipped.Detail = "its pull policy is build"
			e.hub.Say(sink, skipped)
			return
		}
		if policy == "missing" {
			if _, err := inventory.Image(ctx, e.drivers, ref, s.Spec.Platform); err == nil {
				skipped.Detail = "it is here already"
				e.hub.Say(sink, skipped)
				return
			}
		}
		work.Go(func() error {
			if _, err := e.pull(ctx, p.Name, ref, s.Spec.Platform, sink); err != nil {
				if s.Build != nil && at == "image" {
					err = fmt.Errorf("%w; `stack build %s` builds it", err, name)
				}
				failed := position.At(p, spec.Path("services."+name+"."+at), fmt.Errorf("cannot pull the image of service %s: %w", name, err))
				mu.Lock()
				defer mu.Unlock()
				failures[i] = errors.Join(failures[i], failed)
			}
			return nil
		})
	}
	for i, name := range names {
		s := want.Services[name]
		s.Spec.EachImage(func(ref, at string) { pull(i, name, ref, at) })
		for n, h := range s.Spec.PreStart {
			if h.Image != "" {
				pull(i, name, h.Image, fmt.Sprintf("pre_start[%d].image", n))
			}
		}
	}
	_ = work.Wait() // its functions return nil
	return errors.Join(failures...)
}

// Load imports images from a docker-archive or OCI layout tar.
func (e *Engine) Load(ctx context.Context, r io.Reader, sink event.Sink) ([]image.Info, error) {
	defer e.loop.Enter()()
	m := &meter{layers: map[string]image.Progress{}}
	infos, err := e.drivers.Images.Load(ctx, r, func(p image.Progress) {
		if text, current, total, ok := m.add(p, time.Now()); ok {
			e.hub.Say(sink, event.Event{Kind: "image", Name: p.Ref, Phase: event.Working, Text: text, Current: current, Total: total})
		}
	})
	if err != nil {
		return nil, fmt.Errorf("cannot load images: %w", err)
	}
	for _, i := range infos {
		name := i.ID.String()
		if len(i.Refs) > 0 {
			name = i.Refs[0]
		}
		e.hub.Say(sink, event.Event{Kind: "image", Name: name, Phase: event.Done, Text: "Loaded"})
	}
	return infos, nil
}
