package performer

import (
	"slices"
	"time"

	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wording"
)

// Starts is how the containers that pl has started, and that are there still, came to run: for each the chain of steps that decided when.
func (p *Performer) Starts(pl *plan.Plan) []*history.Start {
	p.mu.Lock()
	defer p.mu.Unlock()
	changes := map[plan.ID]*plan.Change{}
	for i := range pl.Changes {
		changes[pl.Changes[i].ID] = &pl.Changes[i]
	}
	var out []*history.Start
	for _, s := range pl.Steps {
		op, ok := s.Op.(plan.StartContainer)
		took := p.spans[s.ID]
		if !ok || !took.done {
			continue
		}
		id := p.idOf(op)
		if p.gone[id] {
			continue // an update that has failed: who was there before has its name again
		}
		start := &history.Start{
			Container: op.Name, Service: op.Service, ID: id, Time: took.end, Command: p.Command, Number: p.Number, Action: plan.Start, Path: p.path(pl, s),
		}
		if s := p.Want.Services[op.Service]; s != nil {
			if before, ok := p.Built[s.Spec.ImageKey()]; ok {
				start.Path = slices.Insert(start.Path, 0, before.Step)
			}
		}
		if c := changes[plan.Container(op.Service, op.Replica)]; c != nil {
			start.Action = c.Action
			for _, r := range c.Reasons {
				start.Reasons = append(start.Reasons, wording.Redact(r))
			}
		}
		out = append(out, start)
	}
	return out
}

// idOf is the container that op starts. Precondition: p.mu is held.
func (p *Performer) idOf(op plan.StartContainer) string {
	if op.ContainerID != "" {
		return op.ContainerID
	}
	return p.made[plan.Container(op.Service, op.Replica)]
}

// path is the critical path to the end of last: of what each step waited for, the one that ended last. Precondition: p.mu is held.
func (p *Performer) path(pl *plan.Plan, last plan.Step) []history.Step {
	var chain []history.Step
	for s := last; ; {
		chain = append(chain, p.parts(s)...)
		var before plan.Step
		for _, n := range slices.Concat(s.Needs, s.After) {
			took := p.spans[n]
			if took.end.IsZero() {
				continue // skipped or cancelled: nobody waited for it
			}
			if before.ID == 0 || took.end.After(p.spans[before.ID].end) {
				before = pl.Steps[n-1]
			}
		}
		if before.ID == 0 {
			slices.Reverse(chain)
			return chain
		}
		s = before
	}
}

// parts are what s is made of, the last first. Precondition: p.mu is held.
func (p *Performer) parts(s plan.Step) []history.Step {
	took := p.spans[s.ID]
	whole := history.Step{What: s.Op.String(), Begin: took.begin, End: took.end}
	switch op := s.Op.(type) {
	case plan.StartContainer:
		id := p.idOf(op)
		at, ok := p.kit.keep.Memory.Times(id)
		if !ok || at.Connected.Before(took.begin) || at.Connected.After(took.end) {
			return []history.Step{whole} // it ran already, or has been started again since
		}
		whole.Begin = at.Connected
		return []history.Step{whole, {What: "set up the network of container " + op.Name, Begin: took.begin, End: at.Connected}}
	case plan.WaitReady:
		whole.Probes = p.probes[op.Service]
	}
	return []history.Step{whole}
}

// span is when a step was done.
type span struct {
	begin, end time.Time
	done       bool // it succeeded
}
