package images

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

// Refresh pulls and builds, before there is a plan, each image on which it depends whether a container stays. The others are for the plan's own
// steps, into whose options they go. It returns what it has built.
func (im *Images) Refresh(ctx context.Context, p *spec.Project, want *plan.Desired, have *plan.Observed, opt *plan.Options, sink event.Sink) (map[string]EarlyBuild, error) {
	d, err := im.Due(ctx, p, want, have, *opt)
	if err != nil {
		return nil, err
	}
	opt.Refresh, opt.Rebuild = d.Refresh, d.Rebuild
	builds := im.makes(p, want, ask.BuildOptions{}, sink)
	keys := slices.Sorted(maps.Keys(d.Now))
	for _, key := range keys {
		if due := d.Now[key]; due.Maker != nil {
			builds.add(due.Maker, due.Registry)
		}
	}
	var work errgroup.Group
	work.SetLimit(max(parallelPulls, parallelBuilds))
	ids := make([]string, len(keys))
	steps := make([]history.Step, len(keys))
	for i, key := range keys {
		due := d.Now[key]
		work.Go(func() error {
			s := due.service
			if due.Maker != nil {
				steps[i] = history.Step{What: plan.BuildImage{Ref: due.Ref}.String(), Begin: history.Now()}
				id, err := builds.todo[key](ctx)
				ids[i], steps[i].End = id.String(), history.Now()
				return err
			}
			info, err := im.Get(ctx, p.Name, due.Ref, s.Spec.Platform, sink)
			if err != nil {
				return im.at(p, "services."+s.Name+"."+due.at, fmt.Errorf("cannot get the image of service %s: %w", s.Name, err))
			}
			ids[i] = info.ID.String()
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	built := map[string]EarlyBuild{}
	for i, key := range keys {
		have.Images[key] = ids[i]
		if due := d.Now[key]; due.Maker != nil {
			built[key] = EarlyBuild{ref: due.Ref, why: cmp.Or(due.Why, plan.LookAgain), Step: steps[i]}
		}
	}
	return built, nil
}

// Pull fetches the images of services (empty = all). policy "" is always, "missing" leaves local ones alone, ask.PullOffline fetches nothing: what is not here is a fault. That holds too
// where want may fetch nothing.
func (im *Images) Pull(ctx context.Context, p *spec.Project, want *plan.Desired, services []string, policy string, sink event.Sink) error {
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
		absent := func() error {
			_, err := inventory.Image(ctx, im.drivers, ref, s.Spec.Platform)
			return err
		}
		built := s.PullPolicy == "build" && s.Build != nil && at == "image"
		if (s.Offline || policy == ask.PullOffline) && !built {
			if err := absent(); err != nil {
				fault := plan.OfflineFault(name, at, ref)
				fault.Subject, fault.Err = p.Sources.At(spec.Path(fault.Address)), err
				mu.Lock()
				defer mu.Unlock()
				failures[i] = errors.Join(failures[i], fault)
				return
			}
			skipped.Detail = "it is here, and nothing is fetched offline"
			im.hub.Say(sink, skipped)
			return
		}
		if s.PullPolicy == "never" {
			skipped.Detail = "its pull policy is never"
			im.hub.Say(sink, skipped)
			return
		}
		if built {
			skipped.Detail = "its pull policy is build"
			im.hub.Say(sink, skipped)
			return
		}
		if policy == "missing" {
			if absent() == nil {
				skipped.Detail = "it is here already"
				im.hub.Say(sink, skipped)
				return
			}
		}
		work.Go(func() error {
			if _, err := im.Get(ctx, p.Name, ref, s.Spec.Platform, sink); err != nil {
				if s.Build != nil && at == "image" {
					err = fmt.Errorf("%w; `stack build %s` builds it", err, name)
				}
				failed := im.at(p, "services."+name+"."+at, fmt.Errorf("cannot pull the image of service %s: %w", name, err))
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
func (im *Images) Load(ctx context.Context, r io.Reader, sink event.Sink) ([]image.Info, error) {
	m := &meter{layers: map[string]image.Progress{}}
	infos, err := im.drivers.Images.Load(ctx, r, func(p image.Progress) {
		if text, current, total, ok := m.add(p, time.Now()); ok {
			im.hub.Say(sink, event.Event{Kind: "image", Name: p.Ref, Phase: event.Working, Text: text, Current: current, Total: total})
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
		im.hub.Say(sink, event.Event{Kind: "image", Name: name, Phase: event.Done, Text: "Loaded"})
	}
	return infos, nil
}

// Get fetches an image and tells of its progress.
func (im *Images) Get(ctx context.Context, project, ref, plat string, sink event.Sink) (image.Info, error) {
	return im.pullAs(ctx, project, ref, plat, event.Failed, sink)
}

// pullAs is pull, to whose caller a failure is what failed says.
func (im *Images) pullAs(ctx context.Context, project, ref, plat string, failed event.Phase, sink event.Sink) (image.Info, error) {
	pl, err := inventory.Platform(plat)
	if err != nil {
		return image.Info{}, err
	}
	ev := event.Event{Project: project, Kind: "image", Name: ref}
	say := func(phase event.Phase, text, detail string) {
		ev := ev
		ev.Phase, ev.Text, ev.Detail = phase, text, detail
		im.hub.Say(sink, ev)
	}
	say(event.Working, "Pulling", "")
	meter := &meter{layers: map[string]image.Progress{}}
	info, err := im.drivers.Images.Pull(ctx, ref, pl, func(pr image.Progress) {
		if pr.Note != "" {
			say(event.Warning, "Note", pr.Note)
			return
		}
		if text, current, total, ok := meter.add(pr, time.Now()); ok {
			ev := ev
			ev.Phase, ev.Text, ev.Current, ev.Total = event.Working, text, current, total
			im.hub.Say(sink, ev)
		}
	})
	if err != nil {
		text := "Error"
		if failed == event.Warning {
			text = "Not pulled"
		}
		say(failed, text, err.Error())
		return info, err
	}
	say(event.Done, "Pulled", "")
	return info, nil
}
