// Package performer carries out the steps of a plan: it implements apply.Performer. For each step it calls the
// package that can do it, sends the events, notes when the step began and ended, and gives an error its place in the
// file. When a pass fails, it removes what the pass has made (undo.go).
//
// Called by the engine, errand, healing and oneoff. May touch the host through the drivers and package lifecycle.
package performer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/stackrun/stack/internal/disk"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile/apply"
	"github.com/stackrun/stack/reconcile/await"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/images"
	"github.com/stackrun/stack/reconcile/interim"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/loop"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// Performer does the steps of one pass with the drivers. It is apply's.
type Performer struct {
	kit     *Kit
	project *spec.Project
	sink    event.Sink

	// What there is to say of the pass, by whoever has made the Performer, before the first step.
	Want    *plan.Desired
	Have    *plan.Observed               // what its plan was made of
	Built   map[string]images.EarlyBuild // before there was a plan
	Keep    bool                         // the project has a record that this pass did not make
	Quiet   bool                         // it has been told before
	Heals   bool                         // nobody has asked for the pass
	Round   *loop.Round                  // of healing, nil = a command's
	Command string                       // who asked for the pass, for the history: "" = the daemon itself
	Number  int                          // of its entry there

	addresses sync.Once // see keepAddresses

	mu          sync.Mutex          // guards what follows
	made        map[plan.ID]string  // containers that this pass has created
	ids         map[string]string   // of containers, by name, for their events
	rollouts    map[string]*rollout // by service: its update
	networks    []string            // and networks
	volumes     []string            // and volumes
	directories []string            // and directories of the host, for binds whose source was not there
	successors  map[string]string   // of containers, by what they replace, that was there when they were made
	gone        map[string]bool     // containers, by id, that have been taken away
	ran         bool                // a container of this pass has started
	started     map[string]plan.ID  // containers, by id, that have started
	settled     map[plan.ID]bool    // containers of which it is known how their start came out, see Settled
	spans       map[int]span        // by step: when it was done
	probes      map[string]int      // by service: the health checks that a wait for it took, of its slowest container
}

// Kit is what steps are done with. Safe for concurrent use: it keeps nothing.
type Kit struct {
	drivers  driver.Set
	hub      *event.Hub
	images   *images.Images
	networks *resource.Networks
	volumes  *resource.Volumes
	keep     *lifecycle.Keeper
	wishes   *wish.Book
	interim  *interim.Book
	roots    roots.Roots
}

// Options of NewKit.
type Options struct {
	Drivers  driver.Set
	Roots    roots.Roots // of the instance
	Hub      *event.Hub
	Images   *images.Images
	Networks *resource.Networks
	Volumes  *resource.Volumes
	Keep     *lifecycle.Keeper
	Wishes   *wish.Book
	Interim  *interim.Book
}

// NewKit is a kit of o.
func NewKit(o Options) *Kit {
	return &Kit{drivers: o.Drivers, hub: o.Hub, images: o.Images, networks: o.Networks, volumes: o.Volumes, keep: o.Keep, wishes: o.Wishes, interim: o.Interim, roots: o.Roots}
}

// New is one of a pass that makes of p, which may be nil, what want says, and tells sink of it.
func (k *Kit) New(p *spec.Project, want *plan.Desired, sink event.Sink) *Performer {
	return &Performer{kit: k, project: p, Want: want, sink: sink, made: map[plan.ID]string{}, ids: map[string]string{}, successors: map[string]string{}, started: map[string]plan.ID{}, settled: map[plan.ID]bool{}, spans: map[int]span{}, probes: map[string]int{}}
}

// Perform does a step and notes when.
func (p *Performer) Perform(ctx context.Context, s plan.Step) error {
	if err := p.Round.Interrupted(); err != nil {
		return err
	}
	begin := history.Now()
	do := p.perform
	if s.Update != "" {
		do = p.inRollout
	}
	err := do(ctx, s)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spans[s.ID] = span{begin: begin, end: history.Now(), done: err == nil}
	return err
}

func (p *Performer) perform(ctx context.Context, s plan.Step) error {
	switch op := s.Op.(type) {
	case plan.PullImage:
		_, err := p.kit.images.Get(ctx, p.Want.Project, op.Ref, op.Platform, p.sink)
		return p.kit.images.At(p.project, op, err)
	case plan.BuildImage:
		return p.kit.images.BuildStep(ctx, p.project, p.Want, op, p.sink)
	case plan.CreateNetwork:
		return p.createNetwork(ctx, op)
	case plan.DeleteNetwork:
		return p.kit.networks.Delete(ctx, p.Want.Project, op.Name, p.sink)
	case plan.CreateVolume:
		return p.createVolume(ctx, op)
	case plan.DeleteVolume:
		return p.kit.volumes.Delete(ctx, p.Want.Project, op.Name, p.sink)
	case plan.CreateContainer:
		return p.createContainer(ctx, op, s.Update != "")
	case plan.RunPreStart:
		p.keepAddresses()
		err := p.runPreStart(ctx, op)
		if err != nil && ctx.Err() == nil {
			p.settle(s.For)
		}
		return err
	case plan.ReserveStart:
		return p.reserveStart(ctx, op)
	case plan.StartContainer:
		p.keepAddresses()
		return p.startContainer(ctx, op, s.For)
	case plan.StopContainer:
		return p.stopContainer(ctx, op, s.For)
	case plan.DeleteContainer:
		return p.deleteContainer(ctx, op)
	case plan.MendNetwork:
		return p.told(plan.KindContainer, op.Name, op.Service, "Mending", "Mended", func() error { return p.kit.keep.MendNetwork(ctx, op.ContainerID, s.Cause.Path) })
	case plan.MendContainer:
		return p.told(plan.KindContainer, op.Name, op.Service, "Mending", "Mended", func() error { return p.kit.keep.MendContainer(ctx, op.ContainerID, s.Cause.Path) })
	case plan.WaitReady:
		return p.WaitReady(ctx, op)
	case plan.BeginBatch:
		return p.beginBatch(ctx, op)
	case plan.ProveContainer:
		return p.prove(ctx, op)
	case plan.Handover:
		return p.handover(ctx, op)
	case plan.EndUpdate:
		return p.endUpdate(ctx, op)
	}
	return fmt.Errorf("cannot %s: this program has no such operation", s.Op)
}

func (p *Performer) say(kind plan.Kind, name, service string, phase event.Phase, text, detail string) {
	if p.Quiet {
		return
	}
	ev := event.Event{Project: p.Want.Project, Kind: string(kind), Name: name, Service: service, Phase: phase, Text: text, Detail: detail}
	if kind == plan.KindContainer {
		p.mu.Lock()
		ev.ID = p.ids[name]
		p.mu.Unlock()
	}
	p.kit.hub.Say(p.sink, ev)
}

// told wraps the doing of something in its events.
func (p *Performer) told(kind plan.Kind, name, service, doing, done string, do func() error) error {
	p.say(kind, name, service, event.Working, doing, "")
	if err := do(); err != nil {
		text := err.Error()
		var d *diag.Diagnostic
		if errors.As(err, &d) && d.Err != nil { // its place and hint come at the end
			text = d.Err.Error()
		}
		p.say(kind, name, service, event.Failed, "Error", text)
		return err
	}
	p.say(kind, name, service, event.Done, done, "")
	return nil
}

func (p *Performer) createNetwork(ctx context.Context, op plan.CreateNetwork) error {
	w := p.Want.Networks[op.Name]
	return p.told(plan.KindNetwork, op.Name, "", "Creating", "Created", func() error {
		cfg, err := bundle.Network(p.Want.Project, w)
		if err == nil {
			p.mu.Lock()
			p.networks = append(p.networks, op.Name)
			p.mu.Unlock()
			_, err = p.kit.drivers.Networks.Create(ctx, cfg) // whose error says what it could not do
		} else {
			err = fmt.Errorf("cannot create network %q: %w", op.Name, err)
		}
		if err != nil {
			return p.at(spec.Path("networks."+w.Key), err)
		}
		return nil
	})
}

func (p *Performer) createVolume(ctx context.Context, op plan.CreateVolume) error {
	w := p.Want.Volumes[op.Name]
	return p.told(plan.KindVolume, op.Name, "", "Creating", "Created", func() error {
		p.mu.Lock()
		p.volumes = append(p.volumes, op.Name)
		p.mu.Unlock()
		if _, err := p.kit.drivers.Volumes.Create(ctx, bundle.Volume(p.Want.Project, w)); err != nil {
			return p.at(spec.Path("volumes."+w.Key), err) // it says what could not be done
		}
		return nil
	})
}

// at is err with its place in the project's file, if it has one there.
func (p *Performer) at(path spec.Path, err error) error {
	return position.At(p.project, path, disk.Advised(err, p.kit.roots))
}

// CarryOut does all of pl, remembers how the containers came to run, and undoes what it has made when it fails, see undo.
func (p *Performer) CarryOut(ctx context.Context, pl *plan.Plan, opt apply.Options) error {
	err := apply.Run(ctx, pl, p, opt)
	p.kit.keep.Memory.Remember(p.Want.Project, p.Starts(pl), p.Number > 0)
	if err != nil {
		p.Undo(ctx)
		p.dropSuccessors(ctx)
	}
	var failed *apply.Error
	is := errors.As(err, &failed)
	// With a cancelled pass the cancellation is the news; what failed because of it is not, but for whom a wait that took too long was.
	if cause := context.Cause(ctx); cause != nil && err != nil {
		var late *await.Late
		if !is || !errors.As(cause, &late) {
			return cause
		}
		failed.Failures = slices.DeleteFunc(failed.Failures, func(f apply.Failure) bool { return !errors.Is(f.Err, cause) })
		if len(failed.Failures) == 0 {
			return cause
		}
	}
	if is {
		return position.Diagnostics(failed)
	}
	return err
}
