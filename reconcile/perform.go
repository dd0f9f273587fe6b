package reconcile

import (
	"context"
	"fmt"
	"sync"

	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/images"
	"github.com/stackrun/stack/reconcile/loop"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/position"
	"github.com/stackrun/stack/spec"
)

// performer does the steps of one pass with the drivers. It is apply's Performer.
type performer struct {
	e       *Engine
	project *spec.Project
	want    *plan.Desired
	sink    event.Sink

	mu       sync.Mutex
	made     map[plan.ID]string  // containers that this pass has created
	ids      map[string]string   // of containers, by name, for their events
	rollouts map[string]*rollout // by service: its update
	networks []string            // and networks
	volumes  []string            // and volumes
	ran      bool                // a container of this pass has started
	keep     bool                // the project has a record that this pass did not make
	quiet    bool                // it has been told before
	heals    bool                // nobody has asked for the pass

	round *loop.Round // of healing, nil = a command's

	command string // who asked for the pass, for the history: "" = the daemon itself
	number  int    // of its entry there
	built   map[string]images.EarlyBuild
	spans   map[int]span   // by step: when it was done
	probes  map[string]int // by service: the health checks that a wait for it took, of its slowest container
}

func (e *Engine) performer(p *spec.Project, want *plan.Desired, sink event.Sink) *performer {
	return &performer{e: e, project: p, want: want, sink: sink, made: map[plan.ID]string{}, ids: map[string]string{}, spans: map[int]span{}, probes: map[string]int{}}
}

// Perform does a step and notes when.
func (p *performer) Perform(ctx context.Context, s plan.Step) error {
	if err := p.round.Interrupted(); err != nil {
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

func (p *performer) perform(ctx context.Context, s plan.Step) error {
	switch op := s.Op.(type) {
	case plan.PullImage:
		_, err := p.e.images.Get(ctx, p.want.Project, op.Ref, op.Platform, p.sink)
		return images.At(p.project, op, err)
	case plan.BuildImage:
		return p.e.images.BuildStep(ctx, p.project, p.want, op, p.sink)
	case plan.CreateNetwork:
		return p.createNetwork(ctx, op)
	case plan.DeleteNetwork:
		return p.e.networks.Delete(ctx, p.want.Project, op.Name, p.sink)
	case plan.CreateVolume:
		return p.createVolume(ctx, op)
	case plan.DeleteVolume:
		return p.e.volumes.Delete(ctx, p.want.Project, op.Name, p.sink)
	case plan.CreateContainer:
		return p.createContainer(ctx, op)
	case plan.RunPreStart:
		return p.runPreStart(ctx, op)
	case plan.StartContainer:
		return p.startContainer(ctx, op)
	case plan.StopContainer:
		return p.stopContainer(ctx, op)
	case plan.DeleteContainer:
		return p.deleteContainer(ctx, op)
	case plan.MendNetwork:
		return p.told(plan.KindContainer, op.Name, op.Service, "Mending", "Mended", func() error { return p.e.keep.MendNetwork(ctx, op.ContainerID) })
	case plan.MendContainer:
		return p.told(plan.KindContainer, op.Name, op.Service, "Mending", "Mended", func() error { return p.e.keep.MendContainer(ctx, op.ContainerID) })
	case plan.WaitReady:
		return p.waitReady(ctx, op)
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

func (p *performer) say(kind plan.Kind, name, service string, phase event.Phase, text, detail string) {
	if p.quiet {
		return
	}
	ev := event.Event{Project: p.want.Project, Kind: string(kind), Name: name, Service: service, Phase: phase, Text: text, Detail: detail}
	if kind == plan.KindContainer {
		p.mu.Lock()
		ev.ID = p.ids[name]
		p.mu.Unlock()
	}
	p.e.hub.Say(p.sink, ev)
}

// told wraps the doing of something in its events.
func (p *performer) told(kind plan.Kind, name, service, doing, done string, do func() error) error {
	p.say(kind, name, service, event.Working, doing, "")
	if err := do(); err != nil {
		p.say(kind, name, service, event.Failed, "Error", err.Error())
		return err
	}
	p.say(kind, name, service, event.Done, done, "")
	return nil
}

func (p *performer) createNetwork(ctx context.Context, op plan.CreateNetwork) error {
	w := p.want.Networks[op.Name]
	return p.told(plan.KindNetwork, op.Name, "", "Creating", "Created", func() error {
		cfg, err := bundle.Network(p.want.Project, w)
		if err == nil {
			p.mu.Lock()
			p.networks = append(p.networks, op.Name)
			p.mu.Unlock()
			_, err = p.e.drivers.Networks.Create(ctx, cfg)
		}
		if err != nil {
			return position.At(p.project, spec.Path("networks."+w.Key), fmt.Errorf("cannot create network %s: %w", op.Name, err))
		}
		return nil
	})
}

func (p *performer) createVolume(ctx context.Context, op plan.CreateVolume) error {
	w := p.want.Volumes[op.Name]
	return p.told(plan.KindVolume, op.Name, "", "Creating", "Created", func() error {
		p.mu.Lock()
		p.volumes = append(p.volumes, op.Name)
		p.mu.Unlock()
		if _, err := p.e.drivers.Volumes.Create(ctx, bundle.Volume(p.want.Project, w)); err != nil {
			return position.At(p.project, spec.Path("volumes."+w.Key), fmt.Errorf("cannot create volume %s: %w", op.Name, err))
		}
		return nil
	})
}
