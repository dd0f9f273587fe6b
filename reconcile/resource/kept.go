package resource

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/label"
)

// Ensure makes sure that networks which belong to no file are there and whole, before a container is put on them.
func (a *Networks) Ensure(ctx context.Context, names []string) error {
	states, err := a.drivers.Networks.List(ctx)
	if err != nil {
		return fmt.Errorf("cannot list networks: %w", err)
	}
	for _, name := range names {
		i := slices.IndexFunc(states, func(s network.State) bool { return s.Config.ID == name })
		if i >= 0 && states[i].Healthy || i < 0 && name == HostNetwork {
			continue
		}
		if err := a.ensure(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (a *Networks) ensure(ctx context.Context, name string) error {
	release, err := a.turns.Turn(ctx, networkTurn)
	if err != nil {
		return err
	}
	defer release()
	states, err := a.drivers.Networks.List(ctx)
	if err != nil {
		return fmt.Errorf("cannot list networks: %w", err)
	}
	records, err := a.records()
	if err != nil {
		return err
	}
	r := records[name]
	if i := slices.IndexFunc(states, func(s network.State) bool { return s.Config.ID == name }); i >= 0 {
		if s := states[i]; !s.Healthy && s.Config.Labels[label.Project] == "" { // of a project its healing mends it
			_, err = a.drivers.Networks.Create(ctx, s.Config)
		}
		return err
	}
	switch {
	case r != nil:
		return a.restore(ctx, r)
	case name == DefaultNetwork:
		return a.make(ctx, &Network{
			ID: a.derivedID(name), CreatedAt: time.Now().UTC(), Default: true, Labels: map[string]string{},
			Config: network.Config{ID: name, Driver: "bridge", IPv4: true},
		})
	}
	return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("network %s not found", name))
}

// restore makes the network of r again, with the subnets that it had if they are free. Precondition: the turn is held, and it is not there.
func (a *Networks) restore(ctx context.Context, r *Network) error {
	cfg, err := r.Mark()
	if err != nil {
		return err
	}
	before := cfg
	if len(r.Pools) > 0 {
		before.Pools = r.Pools
	}
	s, err := a.drivers.Networks.Create(ctx, before)
	if errors.Is(err, errdefs.ErrConflict) && len(cfg.Pools) == 0 { // somebody else has them by now, and nobody has asked for these
		s, err = a.drivers.Networks.Create(ctx, cfg)
	}
	if err != nil {
		return fmt.Errorf("cannot make network %s again: %w", cfg.ID, err)
	}
	r.Pools = s.Pools
	return a.put(r)
}

// Adopt makes what networks that belong to no file a daemon, or a boot, has left be what the records say. Before any container is looked at.
func (a *Networks) Adopt(ctx context.Context) error {
	states, err := a.drivers.Networks.List(ctx)
	if err != nil {
		return fmt.Errorf("cannot list networks: %w", err)
	}
	records, err := a.records()
	if err != nil {
		return err
	}
	if a.lost {
		for _, s := range states {
			if r := Marked(s.Config); r != nil && records[s.Config.ID] == nil {
				r.Pools = s.Pools
				if err := a.put(r); err != nil {
					return err
				}
				records[s.Config.ID] = r
			}
		}
	}
	used, err := a.wanted(ctx)
	if err != nil {
		return err
	}
	if r := records[DefaultNetwork]; r != nil && r.Default && !used[DefaultNetwork] {
		// Nobody has asked for it by name: it comes back with the next container that is on it.
		if err := a.store.Delete(bucketNetworks, DefaultNetwork); err != nil {
			return err
		}
		delete(records, DefaultNetwork)
	}
	there := map[string]bool{}
	for _, s := range states {
		name := s.Config.ID
		there[name] = true
		marked := s.Config.Labels[Label] != ""
		var problem error
		switch {
		case !marked:
		case records[name] == nil && !a.recorded(name):
			if problem = a.drivers.Networks.Delete(ctx, name); errors.Is(problem, errdefs.ErrConflict) {
				problem = nil // containers are on it: the store was lost, and it is known by what it says itself
			}
		case !s.Healthy:
			_, problem = a.drivers.Networks.Create(ctx, s.Config)
		}
		if problem != nil {
			a.log.Warn("a network cannot be put right", "network", name, "error", problem)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(records)) {
		if !there[name] {
			if err := a.restore(ctx, records[name]); err != nil {
				a.log.Warn("a network cannot be made again; its containers cannot be started until it can", "network", name, "error", err)
			}
		}
	}
	return nil
}
