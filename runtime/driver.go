package runtime

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/runtime/cgroup"
	"github.com/stackrun/stack/runtime/child"
	"github.com/stackrun/stack/runtime/event"
	"github.com/stackrun/stack/runtime/exec"
	"github.com/stackrun/stack/runtime/guard"
	"github.com/stackrun/stack/runtime/idlock"
	"github.com/stackrun/stack/runtime/logloss"
	"github.com/stackrun/stack/runtime/record"
	"github.com/stackrun/stack/runtime/seccomp"
	"github.com/stackrun/stack/runtime/supervision"
	"github.com/stackrun/stack/runtime/unmount"
	"github.com/stackrun/stack/runtime/visit"
)

// Options of a Driver. The zero value of each field but Roots is right for most.
type Options struct {
	Roots roots.Roots

	// StrictLimits makes a resource limit that the host cannot apply an error of Start. Otherwise it
	// is one of State.Warnings.
	StrictLimits bool

	// Notice tells, once each, what somebody should know and what is no error: a damaged record that was put aside. nil = nobody.
	Notice func(text string)
}

// Driver runs containers. It is safe for concurrent use. Two verbs on one container take turns where they must;
// different containers never wait for each other.
//
// What is true is on the host: the state directory of a container, its run directory, and its processes. A Driver
// holds in memory only handles (pidfds, connections to monitors) and caches that can be made again.
type Driver struct {
	records  *record.Records
	cgroups  *cgroup.Parent
	children *child.Pool
	events   event.Hub
	losses   *logloss.Listener
	guard    *guard.Guard
	filters  seccomp.Cache
	unmounts unmount.Queue
	ids      idlock.Locks
	guests   idlock.Guests
	runs     *supervision.Supervisor
	files    visit.Visitor
	execs    exec.Executor
}

// New makes a Driver for roots and adopts the containers that run there: those of an earlier daemon that has ended or was
// killed. It finishes what that one left half done: a container whose monitor is dead is killed,
// and directories without a record are removed. There must be one Driver per roots that starts containers.
func New(ctx context.Context, opt Options) (*Driver, error) {
	d, err := compose(opt)
	if err != nil {
		return nil, err
	}
	if err := d.runs.Recover(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// compose makes the parts, in the order of the imports.
func compose(opt Options) (_ *Driver, err error) {
	d := &Driver{}
	if d.cgroups, err = cgroup.Open("stack-"+opt.Roots.Instance(), cgroup.Options{Strict: opt.StrictLimits}); err != nil {
		return nil, err
	}
	if d.children, err = child.Open(); err != nil {
		return nil, err
	}
	if d.records, err = record.Open(opt.Roots); err != nil {
		d.children.Close()
		return nil, err
	}
	d.losses = logloss.Open(d.records, d.events.Publish)
	if d.guard, err = guard.Open(d.records, d.cgroups); err != nil {
		d.losses.Close()
		d.children.Close()
		return nil, fmt.Errorf("cannot watch the containers: %w", err)
	}
	notice := opt.Notice
	if notice == nil {
		notice = func(string) {}
	}
	d.runs = supervision.New(supervision.Parts{
		Records: d.records, Cgroups: d.cgroups, Children: d.children, Events: &d.events, Losses: d.losses, Guard: d.guard, Filters: &d.filters, Unmounts: &d.unmounts,
		Locks: &d.ids, Guests: &d.guests, Notice: notice,
	})
	d.files = visit.Visitor{Records: d.records, Runs: d.runs, Locks: &d.ids, Guests: &d.guests, Unmounts: &d.unmounts}
	d.execs = exec.Executor{Children: d.children, Filters: &d.filters}
	return d, nil
}

// Close lets go of every container and leaves it running: the next New adopts it. Calls that
// wait return ErrUnavailable.
func (d *Driver) Close() error {
	if !d.runs.Close() {
		return nil
	}
	d.unmounts.Close()
	d.events.Close()
	d.losses.Close()
	d.guard.Close()
	d.cgroups.Prune()
	return d.children.Close()
}

// Expect says that somebody may soon start a process: who does then does not wait for a program of ours to start. It does not wait, and need not be called.
func (d *Driver) Expect() { d.children.Expect() }

// Sweep names what is left of work that was cut off and, with remove, removes it. Precondition: no container is being made or deleted.
func (d *Driver) Sweep(ctx context.Context, remove bool) ([]string, error) {
	return d.runs.Debris(ctx, remove)
}
