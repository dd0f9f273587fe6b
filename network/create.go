package network

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/membership"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/subnet"
)

// Create makes the network c, or completes and repairs it when it exists. ErrConflict when a network of that name
// exists with other settings, or its subnet is in use; ErrInvalidArgument and ErrNotSupported name the setting.
func (d *Driver) Create(ctx context.Context, c Config) (State, error) {
	if err := c.CheckSettings(); err != nil {
		return State{}, err
	}
	d.vacate(c)
	defer d.lock(c.ID)()
	n := d.networks.Find(c.ID)
	fresh := n == nil
	switch {
	case fresh:
		var err error
		if n, err = d.allocate(c); err != nil {
			return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
		}
	case !n.Record().Config.Same(c):
		return State{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf(
			"cannot create network %q: it exists with other settings; remove it first (stack down)", c.ID))
	default:
		if err := n.Configure(c); err != nil {
			return State{}, fmt.Errorf("cannot change network %q: %w", c.ID, err)
		}
	}
	m, rec := d.media.Of(c), n.Record()
	if err := m.Raise(ctx, rec); err != nil {
		if fresh {
			d.undoCreate(n)
		}
		return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	if !fresh {
		if err := m.Reattach(ctx, rec, d.book.On(c.ID)); err != nil {
			return State{}, fmt.Errorf("cannot repair network %q: %w", c.ID, err)
		}
	}
	if fresh && c.OnHost() {
		if err := d.contested(rec); err != nil {
			d.undoCreate(n)
			if len(c.Pools) == 0 && errors.Is(err, errdefs.ErrConflict) && ctx.Err() == nil {
				return d.createElsewhere(ctx, c, rec.Pools)
			}
			return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
		}
	}
	return d.networkState(rec, d.sight.Look()), nil
}

// vacate ends deletions that the background has to do, where they hold the bridge that c names. Precondition: no lock is held.
func (d *Driver) vacate(c Config) {
	if name := c.BridgeName(); c.OnHost() && name != "" {
		for _, n := range d.networks.Retired(name) {
			d.finishDelete(n)
		}
	}
}

// allocate decides the network's link and the subnets, and records them.
func (d *Driver) allocate(c Config, avoid ...Pool) (*membership.Network, error) {
	addrs, routes, err := d.link.Prefixes(d.names.Ours)
	if err != nil {
		return nil, err
	}
	for _, p := range avoid {
		routes = append(routes, p.Subnet)
	}
	return d.networks.Add(func(networks []record.Network) (record.Network, error) {
		rec := record.Network{Config: c, Created: time.Now()}
		if err := d.media.Of(c).Claim(&rec, networks); err != nil {
			return rec, err
		}
		rec.Pools, err = d.subnets.Choose(c, networks, addrs, routes)
		return rec, err
	})
}

// contested finds out whether another daemon of this host took an overlapping subnet at the same time. There is no lock between
// instances: each puts its address on a link first and looks afterwards, so of two at least one sees the other.
func (d *Driver) contested(n record.Network) error {
	addrs, _, err := d.link.Prefixes(func(link string) bool { return link == n.Link })
	if err != nil {
		return err
	}
	for _, p := range n.Pools {
		if err := subnet.Apart(p, addrs); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) createElsewhere(ctx context.Context, c Config, avoid []Pool) (State, error) {
	n, err := d.allocate(c, avoid...)
	if err != nil {
		return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	rec := n.Record()
	if err = d.media.Of(c).Raise(ctx, rec); err == nil {
		err = d.contested(rec)
	}
	if err != nil {
		d.undoCreate(n)
		return State{}, fmt.Errorf("cannot create network %q: %w", c.ID, err)
	}
	return d.networkState(rec, d.sight.Look()), nil
}

func (d *Driver) undoCreate(n *membership.Network) {
	rec := n.Record()
	// What cannot be undone now stays recorded, and the next Delete or the next daemon does it.
	if m := d.media.Of(rec.Config); m.Lower(rec) == nil && m.Remove(rec) == nil && n.Undo() == nil {
		d.lastOut()
	}
}
