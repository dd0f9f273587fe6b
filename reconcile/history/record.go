package history

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/plan"
)

// Outcome of a plan.
type Outcome string

const (
	Done        Outcome = "done"
	Failed      Outcome = "failed"
	Cancelled   Outcome = "cancelled"   // by whoever asked for it
	UnderWay    Outcome = "under way"   // now
	Interrupted Outcome = "interrupted" // no outcome was recorded: the daemon was killed, or the machine went down
)

// Entry is one plan of a project that changed something.
type Entry struct {
	Number   int            `json:"number"` // counts up from 1 for each project
	Time     time.Time      `json:"time"`   // when its first step was due
	Ended    time.Time      `json:"ended,omitzero"`
	Command  string         `json:"command"` // as typed: up --scale web=2
	Outcome  Outcome        `json:"outcome"`
	Error    string         `json:"error,omitempty"` // of Failed
	Changes  []plan.Change  `json:"changes"`         // without values that are secret
	Services []string       `json:"services,omitempty"`
	Scale    map[string]int `json:"scale,omitempty"`

	// Keys of the project's file as it was before and as it was asked for; "" = there was none, and of a restart neither. Two with the same key ask for the same.
	Before  string `json:"before,omitempty"`
	Project string `json:"project,omitempty"`
}

// Duration is how long it took, 0 when it has no end.
func (e *Entry) Duration() time.Duration {
	if e.Ended.IsZero() {
		return 0
	}
	return e.Ended.Sub(e.Time)
}

// Start is how a container came to run the last time.
type Start struct {
	Container string    `json:"container"` // shop-web-1
	Service   string    `json:"service"`
	ID        string    `json:"id"`
	Time      time.Time `json:"time"`             // when it ran
	Command   string    `json:"command"`          // who asked: as typed, "" = the daemon
	Number    int       `json:"number,omitempty"` // of the Entry that it is part of, 0 = of none

	// Cause is why it was made, made anew or started.
	Action  plan.Action   `json:"action"`
	Reasons []plan.Reason `json:"reasons,omitempty"`

	Path   []Step  `json:"path"` // the chain of steps that decided when it ran, in order
	Health *Health `json:"health,omitempty"`
}

// Step is one part of a critical path.
type Step struct {
	What   string    `json:"what"`
	Begin  time.Time `json:"begin"`
	End    time.Time `json:"end"`
	Probes int       `json:"probes,omitempty"` // of a wait for health: how many it took
}

// Health is when a container was healthy for the first time since its start.
type Health struct {
	At     time.Time `json:"at"`
	Probes int       `json:"probes"`
}

// Before is the entry that n steps back from the last one leads to: the n-th, from the end, that was carried out to its end and asks for
// something else than what comes after it; a restart asks for nothing. errdefs.ErrNotFound when there are not so many.
func Before(all []Entry, n int) (*Entry, error) {
	all = slices.DeleteFunc(slices.Clone(all), func(e Entry) bool { return e.Project == "" })
	if len(all) == 0 {
		return nil, errdefs.With(errdefs.ErrNotFound, errors.New("it has no history"))
	}
	steps := 0
	after := &all[len(all)-1]
	for i := len(all) - 2; i >= 0; i-- {
		e := &all[i]
		if e.Outcome != Done || e.Project == after.Project && maps.Equal(e.Scale, after.Scale) {
			continue
		}
		if steps++; steps == n {
			return e, nil
		}
		after = e
	}
	return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("its history goes back %d %s", steps, map[bool]string{true: "step", false: "steps"}[steps == 1]))
}

// Now is the time of a record: without the monotonic clock, which means nothing to the next daemon.
func Now() time.Time { return time.Now().Round(0) }
