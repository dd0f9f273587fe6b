// Package chronicle remembers how containers came to run, and writes down what was done to projects. Each plan that
// changes something is an entry of the history.
package chronicle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/history/book"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/spec"
)

// Chronicle is how containers came to run: of this daemon's time in memory, and what the history has. Safe for concurrent use.
type Chronicle struct {
	history     *book.Book // may be nil
	historyOnce sync.Once  // what is wrong with it is told once
	hub         *event.Hub
	group       *supervise.Group

	mu       sync.Mutex
	times    map[string]Times             // of containers that were started, by id
	restarts map[string]ask.Restarted     // by id: without a plan
	started  map[[2]string]*history.Start // by project and container
}

// New is one that begins empty, over what b has, which may be nil. What is wrong with that is told by h; g knows of the containers' health.
func New(b *book.Book, h *event.Hub, g *supervise.Group) *Chronicle {
	return &Chronicle{history: b, hub: h, group: g, times: map[string]Times{}, restarts: map[string]ask.Restarted{}, started: map[[2]string]*history.Start{}}
}

// Chapter is the entry of one plan in the history, from before its first change to its end. A nil one is of a plan that changes nothing.
type Chapter struct {
	of      *Chronicle
	project string
	entry   history.Entry
	written chan error // of Begin
}

// Begin opens entry, of what command is about to do by pl, with the project's file as it was and as it is asked for; nil = none. It does not wait for the disk:
// Recorded does.
func (m *Chronicle) Begin(pl *plan.Plan, command string, entry history.Entry, before, after []byte) *Chapter {
	if m.history == nil || len(pl.Changes) == 0 {
		return nil
	}
	entry.Time, entry.Command, entry.Changes = history.Now(), command, wording.Changes(pl.Changes)
	ch := &Chapter{of: m, project: pl.Project, written: make(chan error, 1), entry: entry}
	go func() { ch.written <- m.history.Begin(ch.project, &ch.entry, before, after) }()
	return ch
}

// Number is that of the entry, 0 = there is none.
func (ch *Chapter) Number() int {
	if ch == nil {
		return 0
	}
	return ch.entry.Number
}

// Recorded returns once what Begin wrote is on the disk. The history is no condition of anything: without it the chapter is nil, and what
// is wrong is told once.
func (ch *Chapter) Recorded(sink event.Sink) *Chapter {
	if ch == nil {
		return nil
	}
	if err := <-ch.written; err != nil {
		ch.of.noHistory(ch.project, err, sink)
		return nil
	}
	return ch
}

func (m *Chronicle) noHistory(project string, err error, sink event.Sink) {
	m.historyOnce.Do(func() {
		m.hub.Say(sink, event.Event{Project: project, Kind: "project", Name: project, Phase: event.Warning, Text: "Not recorded in the history", Detail: err.Error()})
	})
}

// End records how it came out, and how the containers that were started came to run.
func (ch *Chapter) End(err error, starts []*history.Start, sink event.Sink) {
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
	if err := ch.of.history.End(ch.project, &ch.entry, ch.of.withHealth(starts)); err != nil {
		ch.of.noHistory(ch.project, err, sink)
	}
}

// Times is when a start had got how far.
type Times struct{ Begin, Connected, Started time.Time }

// SetTimes takes in the start of container id.
func (m *Chronicle) SetTimes(id string, at Times) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.times[id] = at
	delete(m.restarts, id) // that was of an earlier run
}

// Times are those of the last start of container id; false = it was none of this daemon's.
func (m *Chronicle) Times(id string) (Times, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.times[id]
	return at, ok
}

// Remember keeps in memory how containers came to run, and in the history when no chapter does.
func (m *Chronicle) Remember(project string, starts []*history.Start, inChapter bool) {
	m.mu.Lock()
	for _, s := range starts {
		m.started[[2]string{project, s.Container}] = s
	}
	m.mu.Unlock()
	if !inChapter {
		m.keepStarts(project, starts)
	}
}

// BecameHealthy completes what is known of the start of container id, when that was in this daemon's time.
func (m *Chronicle) BecameHealthy(id, project, name string) {
	m.mu.Lock()
	s := m.started[[2]string{project, name}]
	first := s != nil && s.ID == id && s.Health == nil
	m.mu.Unlock()
	if !first {
		return
	}
	with := m.withHealth([]*history.Start{s})
	m.mu.Lock()
	m.started[[2]string{project, name}] = with[0]
	m.mu.Unlock()
	m.keepStarts(project, with)
}

func (m *Chronicle) keepStarts(project string, starts []*history.Start) {
	if m.history == nil {
		return
	}
	for _, s := range m.withHealth(starts) {
		m.history.Keep(project, *s)
	}
}

// withHealth are copies of starts with what is known by now of the containers' health.
func (m *Chronicle) withHealth(starts []*history.Start) []*history.Start {
	out := make([]*history.Start, len(starts))
	for i, s := range starts {
		with := *s
		if st, ok := m.group.Status(s.ID); ok && with.Health == nil && !st.HealthyAt.IsZero() {
			with.Health = &history.Health{At: st.HealthyAt.Round(0), Probes: st.HealthyProbes}
		}
		out[i] = &with
	}
	return out
}

var errNoHistory = errdefs.With(errdefs.ErrNotSupported, errors.New("this daemon keeps no history"))

// Entries is what was done to project, oldest first: at most book.Kept plans that changed something.
func (m *Chronicle) Entries(project string) ([]history.Entry, error) {
	if m.history == nil {
		return nil, errNoHistory
	}
	return m.history.List(project)
}

// Revision is project as it was applied so many steps before, see history.Before. ErrNotFound when its history does not go back so far.
func (m *Chronicle) Revision(project string, back int) (*ask.Revision, error) {
	if back < 1 {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot go back %d steps: expected a number from 1", back))
	}
	all, err := m.Entries(project)
	if err != nil {
		return nil, err
	}
	entry, err := history.Before(all, back)
	if err != nil {
		return nil, fmt.Errorf("cannot go back %d in project %s: %w; `stack history` shows it", back, project, err)
	}
	raw, err := m.history.Project(project, entry.Project)
	if err != nil {
		return nil, fmt.Errorf("cannot go back to #%d of project %s: %w", entry.Number, project, err)
	}
	p := new(spec.Project)
	if err := json.Unmarshal(raw, p); err != nil {
		return nil, fmt.Errorf("cannot go back to #%d of project %s: its record cannot be read: %w", entry.Number, project, err)
	}
	return &ask.Revision{Number: entry.Number, Time: entry.Time, Project: p, Services: entry.Services, Scale: entry.Scale}, nil
}

// Forget removes what is remembered of a project that is gone with its volumes: nothing could be brought back.
func (m *Chronicle) Forget(project string, sink event.Sink) {
	m.mu.Lock()
	for key := range m.started {
		if key[0] == project {
			delete(m.started, key)
		}
	}
	m.mu.Unlock()
	if m.history == nil {
		return
	}
	if err := m.history.Forget(project); err != nil {
		m.noHistory(project, err, sink)
	}
}

// StartOf is what is known of c's start: of this daemon's time, or kept. What is known of another container of its name says nothing.
func (m *Chronicle) StartOf(c *inventory.Container, kept *history.Start) *history.Start {
	m.mu.Lock()
	s := m.started[[2]string{c.Project, c.Name}]
	m.mu.Unlock()
	if s == nil || s.ID != c.ID {
		s = kept
	}
	if s == nil || s.ID != c.ID {
		return nil
	}
	if s.Health == nil && m.fresh(c.Project, s) {
		return m.withHealth([]*history.Start{s})[0]
	}
	return s
}

// fresh says whether the supervisor has seen all of the run that began with s: one that an earlier daemon began it has only seen a part of.
func (m *Chronicle) fresh(project string, s *history.Start) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.started[[2]string{project, s.Container}] == s
}

// RestartOf is what has started c again since a plan did.
func (m *Chronicle) RestartOf(c *inventory.Container, s supervise.Status) *ask.Restarted {
	m.mu.Lock()
	told, ok := m.restarts[c.ID]
	m.mu.Unlock()
	switch {
	case s.Restarts > 0:
		r := &ask.Restarted{Time: s.StartedAt, Count: s.Restarts, Cause: fmt.Sprintf("its restart policy (%s)", c.Spec.Restart.Name)}
		if s.Exit != nil {
			r.Cause += ": it had " + inventory.Ended(s)
		}
		return r
	case ok:
		return &told
	}
	return nil
}

// NoteRestart remembers that container id was started again just now, without a plan, and why.
func (m *Chronicle) NoteRestart(id, cause string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.restarts[id] = ask.Restarted{Time: time.Now(), Cause: cause}
}

// Kept is what the history has of project: how its containers came to run, by name, and its last plan if that was not carried out to its end. Without a
// history there is nothing.
func (m *Chronicle) Kept(project string) (starts map[string]*history.Start, unfinished *history.Entry, _ error) {
	starts = map[string]*history.Start{}
	if m.history == nil || m.history.Err() != nil {
		return starts, nil, nil
	}
	starts, err := m.history.Starts(project)
	if err != nil {
		return nil, nil, err
	}
	all, err := m.history.List(project)
	if err != nil {
		return nil, nil, err
	}
	if n := len(all); n > 0 && all[n-1].Outcome != history.Done {
		unfinished = &all[n-1]
	}
	return starts, unfinished, nil
}

// ForgetRun drops what is in memory of a container that is gone.
func (m *Chronicle) ForgetRun(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.times, id)
	delete(m.restarts, id)
}
