package single

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/reconcile/wording"
)

// ofItsFile refuses what only the file of c's project can say.
func ofItsFile(c *inventory.Container, verb string) error {
	if c.Alone != nil {
		return nil
	}
	return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot %s container %s: it is of service %s of project %s, whose file says what it is; change that, and `stack up`", verb, c.Name, c.Service, c.Project))
}

// own is the container that ref means, of no file, as it is now that its lock is held. verb is what is to be done, for who is refused.
func (cs *Containers) own(ctx context.Context, ref, verb string) (c *inventory.Container, unlock func(), err error) {
	if c, err = inventory.ByRef(ctx, cs.drivers, ref); err != nil {
		return nil, nil, err
	}
	if err := ofItsFile(c, verb); err != nil {
		return nil, nil, err
	}
	if unlock, err = cs.keep.Locks.Lock(ctx, c.ID); err != nil {
		return nil, nil, err
	}
	name := c.Name
	if c, err = inventory.ByID(ctx, cs.drivers, c.ID); err != nil {
		unlock()
		return nil, nil, wording.Cause(err, ref, name)
	}
	return c, unlock, nil
}

// Rename gives a container another name. Those who share a network with one that runs know it by that from its next start on.
func (cs *Containers) Rename(ctx context.Context, ref, name string) error {
	defer cs.turns.Enter()()
	c, err := inventory.ByRef(ctx, cs.drivers, ref)
	if err != nil {
		return err
	}
	if err := ofItsFile(c, "rename"); err != nil {
		return err
	}
	name = strings.TrimPrefix(name, "/")
	if err := standalone.CheckName(name); err != nil {
		return err
	}
	free, err := cs.holdName(ctx, name)
	if err != nil {
		return err
	}
	defer free()
	unlock, err := cs.keep.Locks.Lock(ctx, c.ID)
	if err != nil {
		return err
	}
	defer unlock()
	// The record first: it is what the next daemon goes by.
	var record *standalone.Record
	if err := cs.alone.Change(c.ID, func(r *standalone.Record) bool {
		r.Name, record = name, r
		return true
	}); err != nil {
		return err
	}
	was := c.Name
	if c, err = inventory.ByID(ctx, cs.drivers, c.ID); err != nil {
		return wording.Cause(err, ref, was)
	}
	if record == nil {
		record = &standalone.Record{ID: c.ID, Name: name, Spec: c.Spec, Traits: *c.Alone}
	}
	if err := cs.agree(ctx, c, record); err != nil {
		return fmt.Errorf("cannot rename container %s: %w", was, err)
	}
	cs.roster.Rename(c.ID, name)
	c.Name = name
	cs.hub.Say(nil, c.Event(event.Done, "Renamed", was))
	return nil
}

// agree makes what the runtime has of c say what its record says, which changes while c runs on: its name, its restart policy, its limits.
func (cs *Containers) agree(ctx context.Context, c *inventory.Container, r *standalone.Record) error {
	if c.Name == r.Name && c.Encoded == plan.Encode(r.Spec) || c.Config == nil {
		return nil
	}
	cfg := bundle.Revise(*c.Config, r.Name, &r.Spec)
	_, err := cs.drivers.Containers.Revise(ctx, cfg)
	return err
}

// Change is what of a container can be changed as it runs. Fields without a value stay as they are.
type Change struct {
	Resources plan.Resources
	Restart   *plan.RestartPolicy
}

// Update changes limits and the restart policy of a container that belongs to no file. Those of one that runs are in force when it returns.
func (cs *Containers) Update(ctx context.Context, ref string, change Change) error {
	defer cs.turns.Enter()()
	c, unlock, err := cs.own(ctx, ref, "update")
	if err != nil {
		return err
	}
	defer unlock()
	if c.Alone.AutoRemove && change.Restart != nil && change.Restart.Name != "" {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot update container %s: it is removed when it ends, so that nothing can restart it", c.Name))
	}
	if err := compatible(c.Spec.Resources, change.Resources); err != nil {
		return err
	}
	spec := c.Spec
	spec.Resources = merged(spec.Resources, change.Resources)
	if change.Restart != nil {
		spec.Restart = *change.Restart
	}
	record := &standalone.Record{ID: c.ID, Name: c.Name, CreatedAt: c.CreatedAt, Spec: spec, ImageID: c.Image, Anonymous: c.Anonymous, Traits: *c.Alone}
	if err := cs.agree(ctx, c, record); err != nil { // the kernel may refuse: then nothing was asked for
		return fmt.Errorf("cannot update container %s: %w", c.Name, err)
	}
	known := false
	err = cs.alone.Change(c.ID, func(r *standalone.Record) bool {
		r.Spec, known = spec, true
		return true
	})
	if err == nil && !known {
		err = cs.alone.Put(record)
	}
	if err != nil {
		return err
	}
	c.Spec = spec
	cs.group.Configure(c.ID, c.Supervision())
	cs.hub.Say(nil, c.Event(event.Done, "Updated", ""))
	return nil
}

// compatible says whether more may be set where have is: of the two ways to bound processor time a container has one.
func compatible(have, more plan.Resources) error {
	const conflict = "Conflicting options: %s cannot be updated as %s has already been set" //nolint:staticcheck // docker's sentence
	switch quota, period := have.CPUQuota != 0, have.CPUPeriod != 0; {
	case more.CPUs != 0 && period:
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf(conflict, "Nano CPUs", "CPU Period"))
	case more.CPUs != 0 && quota:
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf(conflict, "Nano CPUs", "CPU Quota"))
	case have.CPUs != 0 && more.CPUPeriod != 0:
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf(conflict, "CPU Period", "NanoCPUs"))
	case have.CPUs != 0 && more.CPUQuota != 0:
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf(conflict, "CPU Quota", "NanoCPUs"))
	}
	return nil
}

// merged is have with what of more has a value.
func merged(have, more plan.Resources) plan.Resources {
	have.CPUs, have.CPUShares = cmp.Or(more.CPUs, have.CPUs), cmp.Or(more.CPUShares, have.CPUShares)
	have.CPUQuota, have.CPUPeriod = cmp.Or(more.CPUQuota, have.CPUQuota), cmp.Or(more.CPUPeriod, have.CPUPeriod)
	have.CPUSet = cmp.Or(more.CPUSet, have.CPUSet)
	have.Memory, have.MemoryReservation = cmp.Or(more.Memory, have.Memory), cmp.Or(more.MemoryReservation, have.MemoryReservation)
	have.MemorySwap, have.Pids = cmp.Or(more.MemorySwap, have.MemorySwap), cmp.Or(more.Pids, have.Pids)
	return have
}

// Prune removes containers that belong to no file and do not run, if which wants them, and returns their ids and what they took on the disk. What is of a project is its file's.
func (cs *Containers) Prune(ctx context.Context, which func(Detail) bool) (ids []string, freed int64, err error) {
	all, err := cs.List(ctx)
	if err != nil {
		return nil, 0, err
	}
	ids = []string{}
	for _, d := range all {
		if d.Standalone == nil || d.State != "created" && d.State != "exited" || !which(d) {
			continue
		}
		size, _, err := cs.Sizes(ctx, d)
		if err == nil {
			err = cs.Remove(ctx, d.ID, RemoveOptions{})
		}
		switch {
		case err == nil:
			ids, freed = append(ids, d.ID), freed+size
		case errors.Is(err, errdefs.ErrNotFound), errors.Is(err, errdefs.ErrConflict): // it was removed, or started, meanwhile
		default:
			return ids, freed, err
		}
	}
	return ids, freed, nil
}
