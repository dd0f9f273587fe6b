package images

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sync/errgroup"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/spec"
)

// parallelBuilds bounds the builds under way: each may use several processors.
var parallelBuilds = goruntime.NumCPU()

// Build makes the images of services, whether they are here or not, and those that they build on. It makes no container another one: the
// next up does.
func (im *Images) Build(ctx context.Context, p *spec.Project, want *plan.Desired, o ask.BuildOptions, sink event.Sink) error {
	for _, name := range o.Services {
		if want.Services[name] == nil {
			return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot build %q: project %s has no such service", name, p.Name))
		}
	}
	names := want.Selected(o.Services, !o.Deps)
	work := im.makes(p, want, o, sink)
	for _, name := range names {
		s := want.Services[name]
		if s.Build == nil {
			continue
		}
		if platforms := p.Services[name].Build.Platforms; len(platforms) > 1 {
			im.hub.Say(sink, event.Event{Project: p.Name, Kind: "image", Name: s.Spec.Image, Service: name, Phase: event.Warning, Text: "Built for one platform", Detail: "its platforms are " + strings.Join(platforms, ", ") + "; images are built for the platform that they run on"})
		}
		work.add(s, false)
	}
	if len(work.todo) == 0 {
		im.hub.Say(sink, event.Event{Project: p.Name, Kind: "project", Name: p.Name, Phase: event.Warning, Text: "No services to build"})
		return nil
	}
	var builds []*plan.Service
	for _, key := range work.order {
		builds = append(builds, work.makers[key])
	}
	lacking, err := im.Lacking(ctx, p, builds)
	if err = cmp.Or(err, lacking.Err()); err != nil {
		return err
	}
	return work.run(ctx)
}

// TakePlace waits for one of the places for builds, or for the end of ctx.
func (im *Images) TakePlace(ctx context.Context) (leave func(), err error) {
	select {
	case im.builds <- struct{}{}:
		return func() { <-im.builds }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// makes are builds that depend on each other.
type makes struct {
	im      *Images
	project *spec.Project
	want    *plan.Desired
	options ask.BuildOptions
	sink    event.Sink
	makers  map[string]*plan.Service
	todo    map[string]func(context.Context) (v1.Hash, error) // by ImageKey; each is done once
	order   []string
}

func (im *Images) makes(p *spec.Project, want *plan.Desired, o ask.BuildOptions, sink event.Sink) *makes {
	return &makes{im: im, project: p, want: want, options: o, sink: sink, makers: want.Makers(), todo: map[string]func(context.Context) (v1.Hash, error){}}
}

// add adds the build of the image of s, and of those that it builds on. Precondition: they are in no circle.
func (m *makes) add(s *plan.Service, registryFirst bool) {
	key := s.Spec.ImageKey()
	if m.todo[key] != nil {
		return
	}
	maker := m.makers[key]
	var once sync.Once
	var id v1.Hash
	var err error
	m.todo[key] = func(ctx context.Context) (v1.Hash, error) {
		once.Do(func() {
			op := plan.BuildImage{Ref: maker.Spec.Image, Platform: maker.Spec.Platform, Service: maker.Name, RegistryFirst: registryFirst}
			o := m.options
			o.Offline = o.Offline || maker.Offline
			id, err = m.im.buildImage(ctx, m.project, op, o, m.built(ctx), m.sink)
		})
		return id, err
	}
	m.order = append(m.order, key)
	for _, from := range maker.Build.From {
		if on := m.want.Services[from]; on != nil && on.Build != nil {
			m.add(on, false)
		}
	}
}

// built builds what another service of the project builds.
func (m *makes) built(ctx context.Context) func(string) (v1.Hash, error) {
	return func(service string) (v1.Hash, error) {
		s := m.project.Services[service] // a plan may want fewer of them
		if s == nil {
			return v1.Hash{}, fmt.Errorf("there is no such service: %w", errdefs.ErrNotFound)
		}
		ref := m.project.ImageOf(s)
		if do := m.todo[plan.ImageKey(ref, s.Platform)]; do != nil {
			return do(ctx)
		}
		info, err := inventory.Image(ctx, m.im.drivers, ref, s.Platform)
		return info.ID, err
	}
}

// run does them side by side. The first that fails ends the others.
func (m *makes) run(ctx context.Context) error {
	work, within := errgroup.WithContext(ctx)
	for _, key := range m.order {
		work.Go(func() error {
			_, err := m.todo[key](within)
			return err
		})
	}
	err := work.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// buildImage carries op out. built gives the images of other services. Where a registry is to be asked first and has no such image, or
// none can be asked, one that is here already is kept, and none is built.
func (im *Images) buildImage(ctx context.Context, p *spec.Project, op plan.BuildImage, o ask.BuildOptions, built func(string) (v1.Hash, error), sink event.Sink) (v1.Hash, error) {
	if op.RegistryFirst {
		info, err := im.pullAs(ctx, p.Name, op.Ref, op.Platform, event.Warning, sink)
		if err == nil {
			return info.ID, nil
		}
		if cause := context.Cause(ctx); cause != nil {
			return v1.Hash{}, cause
		}
		if info, err := inventory.Image(ctx, im.drivers, op.Ref, op.Platform); err == nil {
			return info.ID, nil
		}
	}
	s := p.Services[op.Service]
	r, err := im.request(ctx, p, s, o, built)
	if err != nil {
		return v1.Hash{}, err
	}
	leave, err := im.TakePlace(ctx) // not before what it builds on is built: that needs a place too
	if err != nil {
		return v1.Hash{}, err
	}
	defer leave()
	ev := event.Event{Project: p.Name, Kind: "image", Name: op.Ref, Service: op.Service, Phase: event.Working, Text: "Building"}
	im.hub.Say(sink, ev)
	info, err := im.drivers.Builder.Build(ctx, r, func(pr build.Progress) { im.sayStep(ev, pr, sink) })
	if cause := context.Cause(ctx); err != nil && cause != nil { // of another build that has failed, or of the caller: it tells of that
		ev.Phase, ev.Text = event.Warning, "Canceled"
		im.hub.Say(sink, ev)
		return v1.Hash{}, cause
	}
	if err != nil {
		err = im.buildError(p, s, r, err)
		ev.Phase, ev.Text = event.Failed, "Error"
		ev.Detail, _, _ = strings.Cut(err.Error(), "\n")
		im.hub.Say(sink, ev)
		return v1.Hash{}, err
	}
	ev.Phase, ev.Text = event.Done, "Built"
	im.hub.Say(sink, ev)
	return info.ID, nil
}

// sayStep tells the caller alone, of is the event of the whole: for all others a build is one thing that happens.
func (im *Images) sayStep(of event.Event, pr build.Progress, sink event.Sink) {
	if sink == nil {
		return
	}
	of.Time = time.Now()
	step := ""
	if pr.Steps > 0 {
		step = "[" + strings.TrimLeft(fmt.Sprintf("%s %d/%d", pr.Stage, pr.Step, pr.Steps), " ") + "] " // as BuildKit
	}
	of.Detail = step + pr.Text
	switch pr.Phase {
	case build.Output:
		of.Detail, of.Output = strings.TrimSuffix(step, " "), pr.Output
	case build.Warning:
		of.Phase, of.Text = event.Warning, "Note"
	case build.Cached:
		of.Detail += ": cached"
	case build.Done:
		of.Detail += fmt.Sprintf(": done in %.1fs", pr.Took.Seconds())
	case build.Failed:
		return // the end of the whole says it
	}
	sink(of)
}

// buildError is err with the place of the build in p's file, and in the Dockerfile. Its further lines are the output of what has failed.
func (im *Images) buildError(p *spec.Project, s *spec.Service, r build.Request, err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	place := "services." + s.Name + ".build"
	if at := (*build.Error)(nil); errors.As(err, &at) {
		text := at.Error()
		switch {
		case r.Inline != "":
			place = position.Written(p, place+".dockerfile_inline", place)
		case at.File != "":
			place = position.Written(p, place+".dockerfile", place)
			if rel, relErr := filepath.Rel(p.Dir, at.File); relErr == nil && filepath.IsLocal(rel) {
				text = strings.Replace(text, filepath.Base(at.File), rel, 1)
			}
		}
		return im.at(p, place, &saidOf{fmt.Sprintf("cannot build the image of service %s: %s", s.Name, text), err})
	}
	return im.at(p, place, fmt.Errorf("cannot build the image of service %s: %w", s.Name, err))
}

// saidOf is an error in other words.
type saidOf struct {
	text string
	err  error
}

func (s *saidOf) Error() string { return s.text }
func (s *saidOf) Unwrap() error { return s.err }

// BuildStep is the step of a plan. What it builds on has been built by another one, or was here.
func (im *Images) BuildStep(ctx context.Context, p *spec.Project, want *plan.Desired, op plan.BuildImage, sink event.Sink) error {
	_, err := im.buildImage(ctx, p, op, ask.BuildOptions{Offline: want.Services[op.Service].Offline}, im.makes(p, want, ask.BuildOptions{}, sink).built(ctx), sink)
	return err
}

// EarlyBuild is an image that was built before there was a plan, because its containers depend on what came of it.
type EarlyBuild struct {
	ref, why string
	Step     history.Step
}

// TellBuilt has what was built before pl in its changes, if it has any: the history tells of it, and of what took so long.
func TellBuilt(pl *plan.Plan, built map[string]EarlyBuild) {
	if len(pl.Changes) == 0 {
		return
	}
	var changes []plan.Change
	for _, key := range slices.Sorted(maps.Keys(built)) {
		b := built[key]
		changes = append(changes, plan.Change{ID: plan.ID{Kind: plan.KindImage, Name: b.ref}, Name: b.ref, Action: plan.Make, Reasons: []plan.Reason{{Path: b.why}}})
	}
	pl.Changes = append(changes, pl.Changes...)
}
