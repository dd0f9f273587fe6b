// Package inventory reads what is on the host, anew each time: the containers, with what their labels and facts say,
// sorted by project, service and number, and the whole as a plan's Observed. It keeps nothing and changes nothing.
package inventory

import (
	"errors"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/signals"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// Container is one of ours on the host, its labels and facts read.
type Container struct {
	runtime.State
	Project   string
	Service   string
	Number    int
	Name      string
	OneOff    bool
	Remove    bool
	Aliases   bool    // one-off that answers to its service's names
	Step      *StepOf // of a one-off that is a step of pre_start
	Succeeds  string  // id of the container that it is made to replace
	Beside    string  // id of the container that has its names and ports while it starts; not on the host but said by who starts it
	Spare     bool    // another container of its number is meant by commands, see pairUp
	Note      string  // what its lines in the log begin with
	Past      bool    // not itself, but the log of its predecessors
	shown     string  // what lists call it while another has its name
	Encoded   string
	Spec      plan.Spec // encoded, read
	Health    *health.Check
	Anonymous map[string]string
	mounted   map[string]string // reference → image id
	Joined    []runtime.State   // in whose namespaces it is about to be started
	Exposed   string            // as bundle.FactExposed
	Image     string            // id of what it was made from

	Alone *standalone.Traits // of one that belongs to no file, and has no project, service and number; nil = it does
}

// Alive says whether c has processes, which may be frozen.
func (c *Container) Alive() bool { return c.Status == runtime.Running || c.Status == runtime.Paused }

// StopSignal is what a stop of c sends.
func (c *Container) StopSignal() unix.Signal {
	if c.Config != nil && c.Config.StopSignal != "" {
		if own, err := signals.Parse(c.Config.StopSignal); err == nil {
			return own
		}
	}
	return unix.SIGTERM
}

// Replica is the replica that c is.
func (c *Container) Replica() plan.ID { return plan.Container(c.Service, c.Number) }

// Whose says for people whom c belongs to.
func (c *Container) Whose() string {
	if c.Alone != nil {
		return "that belongs to no file"
	}
	return "of project " + c.Project
}

// Orphan says whether p, the last applied file, has c's service no more. Without a file nobody is.
func (c *Container) Orphan(p *spec.Project) bool {
	return p != nil && p.Services[c.Service] == nil && p.Inactive[c.Service] == nil
}

// Owners are the ids of the containers whose pid or ipc namespaces c has joined.
func (c *Container) Owners() []string {
	ids := c.Config.Facts[bundle.FactOwners]
	if ids == "" {
		return nil
	}
	return strings.Split(ids, ",")
}

// Supervision is how c is to be looked after while it runs.
func (c *Container) Supervision() supervise.Config {
	s := supervise.Config{Policy: c.Spec.Restart}
	if c.Health != nil {
		check := *c.Health
		check.Ports = c.expected()
		s.Health = &check
	}
	return s
}

// expected are the TCP ports that others expect c to listen on: those that are exposed, and those that are published.
func (c *Container) expected() []health.PortRange {
	var all []health.PortRange
	for entry := range strings.SplitSeq(c.Exposed, ",") {
		// What cannot be read is in the image's own words, which bind nobody.
		if first, last, protocol, err := Ports(entry); err == nil && protocol == "tcp" {
			all = append(all, health.PortRange{First: first, Last: last})
		}
	}
	for _, p := range c.Spec.Ports {
		if p.Protocol == "" || p.Protocol == "tcp" {
			all = append(all, health.PortRange{First: int(p.Target), Last: int(p.Target)})
		}
	}
	return all
}

// ExitOf is x in the words of package supervise; nil gives nil. An end without a time is one of now.
func ExitOf(x *process.Exit) *supervise.Exit {
	if x == nil {
		return nil
	}
	at := x.FinishedAt
	if at.IsZero() {
		at = time.Now()
	}
	return &supervise.Exit{Code: x.Code, OOM: x.OOM, At: at, Error: x.Error}
}

// RunsNoMore is the error of a look at a container that does not run any more.
func RunsNoMore(err error) bool {
	return errors.Is(err, errdefs.ErrConflict) || errors.Is(err, errdefs.ErrNotFound)
}

// Event is what becomes of c, to be told.
func (c *Container) Event(phase event.Phase, text, detail string) event.Event {
	return event.Event{Project: c.Project, Kind: "container", Name: c.Name, ID: c.ID, Service: c.Service, Phase: phase, Text: text, Detail: detail}
}

// Replicas are those of list, without one-offs.
func Replicas(list []*Container) []plan.ID {
	var ids []plan.ID
	for _, c := range list {
		if !c.OneOff {
			ids = append(ids, c.Replica())
		}
	}
	return ids
}

// Runs are when the last runs of Replicas began. Of two that take turns in one place it is the later.
func Runs(list []*Container) map[plan.ID]time.Time {
	runs := map[plan.ID]time.Time{}
	for _, c := range list {
		if id := c.Replica(); !c.OneOff && (runs[id].IsZero() || c.StartedAt.After(runs[id])) {
			runs[id] = c.StartedAt
		}
	}
	return runs
}
