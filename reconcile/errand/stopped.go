package errand

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/apply"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/reconcile/wish"
	"github.com/stackrun/stack/reconcile/wording"
)

// VerbVolumes is the verb of a command on volumes for which containers are stopped, as wish.Pass has it.
const VerbVolumes = "volumes"

// Stopped is the record of such a command: what the next daemon needs to carry it to its end.
type Stopped struct {
	Services []string       // whose containers are stopped
	Timeout  *time.Duration // of the stops
	Snapshot string         // the volumes are to be restored from it; "" = they are only read, which is not done again
	Volumes  []string
	Done     bool // what they were stopped for is done
}

// WhileStopped stops the containers of o's services that are active, dependents first, calls do, and starts those again, what they depend on first. None is stopped that could not be started again on a disk that is full. Whatever becomes of
// do they are started. From before the first stop on the record says that they are owed. Precondition: the project's turn is held.
func (er *Errands) WhileStopped(ctx context.Context, project string, o Stopped, sink event.Sink, do func(context.Context) error) error {
	m, err := inventory.ListMembers(ctx, er.drivers, project)
	if err != nil {
		return err
	}
	owed := plan.Debts{}
	for _, c := range m.List {
		if !c.OneOff && slices.Contains(o.Services, c.Service) && (c.Alive() || er.keep.StatusOf(c).State == supervise.Backoff) {
			owed[c.Replica()] = plan.Debt{Run: c.StartedAt}
		}
	}
	if err := er.wishes.Begin(project, VerbVolumes, o, nil, func(r *wish.Record) { r.Owe(owed) }); err != nil {
		return err
	}
	for _, c := range m.List {
		if _, stops := owed[c.Replica()]; c.OneOff || !stops {
			continue
		}
		if err := er.keep.Reserve(ctx, c.ID); err != nil && !errors.Is(err, errdefs.ErrNotFound) {
			err = fmt.Errorf("cannot stop container %s, which could not be started again: %w", c.Name, wording.Cause(err, c.ID, c.Name))
			return er.wishes.End(project, err, func(r *wish.Record) { r.Settle(slices.Collect(maps.Keys(owed))...) })
		}
	}
	return er.CarryOutStopped(ctx, project, o, owed, sink, do)
}

// CarryOutStopped is whileStopped once it is on record.
func (er *Errands) CarryOutStopped(ctx context.Context, project string, o Stopped, owed plan.Debts, sink event.Sink, do func(context.Context) error) error {
	c, err := er.stoppedErrand(ctx, project)
	if err != nil {
		return er.wishes.End(project, err, nil)
	}
	c.have = er.present(c.members)
	deps := c.members.DependsOn(c.file)
	c.plan = plan.BuildStop(project, c.have, plan.StopOptions{DependsOn: deps, Services: o.Services, Timeout: o.Timeout})
	if !o.Done {
		if err = er.errandRunner(c, sink).CarryOut(ctx, c.plan, apply.Options{}); err == nil {
			err = do(ctx)
		}
		if err == nil { // a daemon that comes now does not do it again to what has been written since
			o.Done = true
			err = er.notePass(project, o)
		}
	}
	// Also for a caller who has gone: they were stopped for this.
	ctx = context.WithoutCancel(ctx)
	again, failed := er.stoppedErrand(ctx, project)
	if failed == nil {
		for id := range owed {
			again.wished[id] = true
		}
		var r *wish.Record
		if r, failed = er.wishes.Of(project); r != nil {
			owed = r.Latest(owed)
		}
	}
	if failed == nil {
		again.plan = plan.BuildRestart(project, commanded(er.present(again.members), again.members), plan.RestartOptions{DependsOn: again.members.DependsOn(again.file), Services: []string{""}, Resume: true, Owed: owed})
		failed = er.carryOutErrand(ctx, again, er.errandRunner(again, sink), sink)
	} else {
		failed = er.wishes.End(project, failed, nil)
	}
	return errors.Join(err, failed)
}

// stoppedErrand is an errand without its plan.
func (er *Errands) stoppedErrand(ctx context.Context, project string) (*task, error) {
	m, err := inventory.ListMembers(ctx, er.drivers, project)
	if err != nil {
		return nil, err
	}
	c := &task{project: project, members: m, wished: map[plan.ID]bool{}}
	c.file, err = er.wishes.File(project)
	return c, err
}

// notePass records how far a command on volumes has come.
func (er *Errands) notePass(project string, o Stopped) error {
	raw, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("cannot record project %s: %w", project, err)
	}
	return er.wishes.Change(project, func(r *wish.Record) {
		if r.Pass != nil {
			r.Pass = &wish.Pass{Verb: VerbVolumes, Options: raw}
		}
	})
}
