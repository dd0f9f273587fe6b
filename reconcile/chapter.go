package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wording"
)

// chapter is the entry of one plan in the history, from before its first change to its end. A nil one is of a plan that changes nothing.
type chapter struct {
	e       *Engine
	project string
	entry   history.Entry
	do      *performer
	pl      *plan.Plan
	written chan error // of Begin
}

// begin records that do is about to carry out pl for a user's command. It does not wait for the disk: recorded does.
func (e *Engine) begin(c *comparison, pl *plan.Plan, do *performer, o ask.UpOptions) *chapter {
	if e.history == nil || pl.Empty() {
		return nil
	}
	after, err := json.Marshal(c.project)
	if err != nil {
		return nil // beginUp tells it
	}
	before, err := e.wishes.RawFile(c.project.Name)
	if err != nil {
		before = nil // beginUp tells it
	}
	return e.beginChapter(pl, do, history.Entry{Services: o.Services, Scale: o.Scale}, before, after)
}

// beginChapter opens entry, with the project's file as it was and as it is asked for; nil = none.
func (e *Engine) beginChapter(pl *plan.Plan, do *performer, entry history.Entry, before, after []byte) *chapter {
	if e.history == nil || len(pl.Changes) == 0 {
		return nil
	}
	entry.Time, entry.Command, entry.Changes = history.Now(), do.command, preview(pl.Project, pl, nil).Changes
	ch := &chapter{e: e, project: pl.Project, do: do, pl: pl, written: make(chan error, 1), entry: entry}
	go func() { ch.written <- e.history.Begin(ch.project, &ch.entry, before, after) }()
	return ch
}

// recorded returns once what begin wrote is on the disk. The history is no condition of anything: without it the chapter is nil, and what
// is wrong is told once.
func (ch *chapter) recorded(sink event.Sink) *chapter {
	if ch == nil {
		return nil
	}
	if err := <-ch.written; err != nil {
		ch.e.noHistory(ch.project, err, sink)
		return nil
	}
	ch.do.number = ch.entry.Number
	return ch
}

func (e *Engine) noHistory(project string, err error, sink event.Sink) {
	e.historyOnce.Do(func() {
		e.hub.Say(sink, event.Event{Project: project, Kind: "project", Name: project, Phase: event.Warning, Text: "Not recorded in the history", Detail: err.Error()})
	})
}

// end records how it came out.
func (ch *chapter) end(err error, sink event.Sink) {
	if ch == nil {
		return
	}
	ch.entry.Ended = history.Now()
	switch {
	case err == nil:
		ch.entry.Outcome = history.Done
	case errors.Is(err, context.Canceled):
		ch.entry.Outcome = history.Cancelled
	default:
		ch.entry.Outcome, ch.entry.Error = history.Failed, wording.Discreet(err.Error())
	}
	if err := ch.e.history.End(ch.project, &ch.entry, ch.e.withHealth(ch.do.starts(ch.pl))); err != nil {
		ch.e.noHistory(ch.project, err, sink)
	}
}

// starts is how the containers that pl has started came to run: for each the chain of steps that decided when.
func (p *performer) starts(pl *plan.Plan) []*history.Start {
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
		start := &history.Start{
			Container: op.Name, Service: op.Service, ID: id, Time: took.end, Command: p.command, Number: p.number, Action: plan.Start, Path: p.path(pl, s),
		}
		if s := p.want.Services[op.Service]; s != nil {
			if before, ok := p.built[s.Spec.ImageKey()]; ok {
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
func (p *performer) idOf(op plan.StartContainer) string {
	if op.ContainerID != "" {
		return op.ContainerID
	}
	return p.made[plan.Container(op.Service, op.Replica)]
}

// path is the critical path to the end of last: of what each step waited for, the one that ended last. Precondition: p.mu is held.
func (p *performer) path(pl *plan.Plan, last plan.Step) []history.Step {
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
func (p *performer) parts(s plan.Step) []history.Step {
	took := p.spans[s.ID]
	whole := history.Step{What: s.Op.String(), Begin: took.begin, End: took.end}
	switch op := s.Op.(type) {
	case plan.StartContainer:
		id := p.idOf(op)
		at, ok := p.e.startTimes(id)
		if !ok || at.connected.Before(took.begin) || at.connected.After(took.end) {
			return []history.Step{whole} // it ran already, or has been started again since
		}
		whole.Begin = at.connected
		return []history.Step{whole, {What: "set up the network of container " + op.Name, Begin: took.begin, End: at.connected}}
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

// startTimes is when a start had got how far.
type startTimes struct{ begin, connected, started time.Time }

func (e *Engine) setStartTimes(id string, at startTimes) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.times[id] = at
	delete(e.restarts, id) // that was of an earlier run
}

func (e *Engine) startTimes(id string) (startTimes, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok := e.times[id]
	return at, ok
}

// remember keeps in memory how containers came to run, and in the history when no chapter does.
func (e *Engine) remember(project string, starts []*history.Start, inChapter bool) {
	e.mu.Lock()
	for _, s := range starts {
		e.started[[2]string{project, s.Container}] = s
	}
	e.mu.Unlock()
	if !inChapter {
		e.keepStarts(project, starts)
	}
}

// becameHealthy completes what is known of the container's start, when that was in this Engine's time.
func (e *Engine) becameHealthy(id string, n named) {
	e.mu.Lock()
	s := e.started[[2]string{n.project, n.name}]
	first := s != nil && s.ID == id && s.Health == nil
	e.mu.Unlock()
	if !first {
		return
	}
	with := e.withHealth([]*history.Start{s})
	e.mu.Lock()
	e.started[[2]string{n.project, n.name}] = with[0]
	e.mu.Unlock()
	e.keepStarts(n.project, with)
}

func (e *Engine) keepStarts(project string, starts []*history.Start) {
	if e.history == nil {
		return
	}
	for _, s := range e.withHealth(starts) {
		e.history.Keep(project, *s)
	}
}

// withHealth are copies of starts with what is known by now of the containers' health.
func (e *Engine) withHealth(starts []*history.Start) []*history.Start {
	out := make([]*history.Start, len(starts))
	for i, s := range starts {
		with := *s
		if st, ok := e.group.Status(s.ID); ok && with.Health == nil && !st.HealthyAt.IsZero() {
			with.Health = &history.Health{At: st.HealthyAt.Round(0), Probes: st.HealthyProbes}
		}
		out[i] = &with
	}
	return out
}
