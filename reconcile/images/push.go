package images

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

// parallelPushes bounds the images of one request that are pushed at once; each sends several layers.
const parallelPushes = 3

// Push gives the images of services that are built and have a name to the registries that their names say. Every image gets its try, whatever happens to the others.
func (im *Images) Push(ctx context.Context, p *spec.Project, want *plan.Desired, o ask.PushOptions, sink event.Sink) error {
	for _, name := range o.Services {
		if want.Services[name] == nil {
			return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot push %q: project %s has no such service", name, p.Name))
		}
	}
	var failures []error
	var mu sync.Mutex // of failures
	var work errgroup.Group
	work.SetLimit(parallelPushes)
	seen := map[string]bool{}
	for _, name := range want.Selected(o.Services, !o.Deps) {
		s := p.Services[name]
		if s.Build == nil || s.Image == "" {
			why := "nothing is built for it here"
			if s.Build != nil {
				why = "its image has no name: services." + name + ".image gives it one"
			}
			im.hub.Say(sink, event.Event{Project: p.Name, Kind: "image", Name: p.ImageOf(s), Service: name, Phase: event.Done, Text: "Skipped", Detail: why})
			continue
		}
		refs := []string{s.Image}
		if o.Tags {
			refs = append(refs, s.Build.Tags...)
		}
		for _, ref := range refs {
			if seen[ref] {
				continue
			}
			seen[ref] = true
			work.Go(func() error {
				failed := event.Failed
				if o.IgnoreFailures {
					failed = event.Warning
				}
				err := im.push(ctx, p.Name, name, ref, s.Platform, failed, sink)
				if errors.Is(err, errdefs.ErrNotFound) && ctx.Err() == nil {
					if _, missing := inventory.Image(ctx, im.drivers, ref, s.Platform); missing != nil {
						err = fmt.Errorf("%w; `stack build %s` builds it", err, name)
					}
				}
				if err != nil && !o.IgnoreFailures {
					mu.Lock()
					defer mu.Unlock()
					failures = append(failures, im.at(p, "services."+name+".image", err))
				}
				return nil
			})
		}
	}
	_ = work.Wait() // its functions return nil
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return errors.Join(failures...)
}

// push pushes one. A failure is what failed says.
func (im *Images) push(ctx context.Context, project, service, ref, plat string, failed event.Phase, sink event.Sink) error {
	pl, err := inventory.Platform(plat)
	if err != nil {
		return err
	}
	ev := event.Event{Project: project, Kind: "image", Name: ref, Service: service}
	say := func(phase event.Phase, text, detail string) {
		ev := ev
		ev.Phase, ev.Text, ev.Detail = phase, text, detail
		im.hub.Say(sink, ev)
	}
	say(event.Working, "Pushing", "")
	meter := &meter{layers: map[string]image.Progress{}}
	pushed, err := im.drivers.Images.Push(ctx, ref, image.PushOptions{Platform: pl}, func(pr image.Progress) {
		if pr.Note != "" {
			say(event.Warning, "Note", pr.Note)
			return
		}
		if pr.Phase != image.Sending {
			return // the rest of what becomes of a layer is within a moment
		}
		if _, current, total, ok := meter.add(pr, time.Now()); ok {
			ev := ev
			ev.Phase, ev.Text, ev.Current, ev.Total = event.Working, "Pushing", current, total
			im.hub.Say(sink, ev)
		}
	})
	if err != nil {
		text := "Error"
		if failed == event.Warning {
			text = "Not pushed"
		}
		say(failed, text, err.Error())
		return err
	}
	say(event.Done, "Pushed", pushed.Digest.String())
	return nil
}
