package single

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/reconcile/standalone"
	"github.com/stackrun/stack/reconcile/wording"
)

// Connect puts a container that belongs to no file on a network too, as at says; one that runs is on it when it returns. networkRef is a name, an id, or the beginning of one.
// ErrNotFound: there is no such network; ErrConflict: it is on it already, it lives in another's network, or an address is taken.
func (cs *Containers) Connect(ctx context.Context, ref, networkRef string, at plan.Endpoint) error {
	return cs.changeNetworks(ctx, ref, networkRef, "connect", "Connected", func(c *inventory.Container, n resource.NetworkDetail, networks map[string]plan.Endpoint) error {
		if _, there := networks[n.Name]; there {
			return fmt.Errorf("endpoint with name %s already exists in network %s", c.Name, n.Name)
		}
		networks[n.Name] = at
		return nil
	})
}

// Disconnect takes a container that belongs to no file off a network; one that runs is off it when it returns. ErrConflict: it is not on it.
func (cs *Containers) Disconnect(ctx context.Context, ref, networkRef string) error {
	return cs.changeNetworks(ctx, ref, networkRef, "disconnect", "Disconnected", func(c *inventory.Container, n resource.NetworkDetail, networks map[string]plan.Endpoint) error {
		if _, there := networks[n.Name]; !there {
			return fmt.Errorf("container %s is not connected to network %s", c.Name, n.Name)
		}
		delete(networks, n.Name)
		return nil
	})
}

// changeNetworks is Connect and Disconnect. The record goes first: a container that runs and is not where its record says is put there by the next daemon.
func (cs *Containers) changeNetworks(ctx context.Context, ref, networkRef, verb, done string, change func(*inventory.Container, resource.NetworkDetail, map[string]plan.Endpoint) error) error {
	defer cs.turns.Enter()()
	n, err := cs.networks.Inspect(ctx, networkRef)
	if err != nil {
		return err
	}
	c, unlock, err := cs.own(ctx, ref, verb)
	if err != nil {
		return err
	}
	defer unlock()
	was := c.Spec
	spec := c.Spec
	if spec.Networks = maps.Clone(spec.Networks); spec.Networks == nil {
		spec.Networks = map[string]plan.Endpoint{}
	}
	err = movable(c, n)
	if err == nil {
		err = change(c, n, spec.Networks)
	}
	if err != nil {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot %s container %s: %w", verb, c.Name, err))
	}
	// Begun, it is done, or undone: whoever asks may go.
	ctx = context.WithoutCancel(ctx)
	if err := cs.recordSpec(ctx, c, spec); err != nil {
		return fmt.Errorf("cannot %s container %s: %w", verb, c.Name, err)
	}
	if c.Alive() {
		if err := cs.wiring.Rewire(ctx, c); err != nil {
			return errors.Join(fmt.Errorf("cannot %s container %s: %w", verb, c.Name, wording.Cause(err, c.ID, c.Name)), cs.recordSpec(ctx, c, was))
		}
	}
	cs.hub.Say(nil, event.Event{Kind: "network", Name: n.Name, ID: n.ID, Phase: event.Done, Text: done, Detail: c.ID})
	return nil
}

// movable says why a container cannot be put on n or taken off it.
func movable(c *inventory.Container, n resource.NetworkDetail) error {
	switch {
	case n.Name == resource.HostNetwork && n.Predefined:
		return errors.New("a container is on the host's network from its creation on, or never")
	case n.Name == resource.NoNetwork && n.Predefined:
		return errors.New("network none is to be on no network; disconnect it from those that it is on")
	case c.Spec.NetworkMode == resource.NoNetwork:
		return errors.New("container cannot be connected to multiple networks with one of the networks in private (none) mode")
	case c.Spec.NetworkMode != "":
		return errors.New("container sharing network namespace with another container or host cannot be connected to any other network")
	}
	return nil
}

// recordSpec makes spec what c's record and the runtime say. Precondition: the container's lock is held. Postcondition: c says it too.
func (cs *Containers) recordSpec(ctx context.Context, c *inventory.Container, spec plan.Spec) error {
	record := &standalone.Record{ID: c.ID, Name: c.Name, CreatedAt: c.CreatedAt, Spec: spec, ImageID: c.Image, Anonymous: c.Anonymous, Traits: *c.Alone}
	known := false
	err := cs.alone.Change(c.ID, func(r *standalone.Record) bool {
		r.Spec, known, record = spec, true, r
		return true
	})
	if err == nil && !known { // it has lost its record
		err = cs.alone.Put(record)
	}
	if err == nil {
		err = cs.agree(ctx, c, record)
	}
	if err == nil {
		c.Spec = spec
		c.Encoded = plan.Encode(spec)
	}
	return err
}

// finishRewiring is rewire of what a daemon that is no more has not come to.
func (cs *Containers) finishRewiring(ctx context.Context, c *inventory.Container) error {
	if c.Spec.NetworkMode != "" {
		return nil
	}
	boxes, err := inventory.Sandboxes(ctx, cs.drivers)
	if err != nil {
		return err
	}
	box, ok := boxes[c.ID]
	same := len(box.Endpoints) == len(c.Spec.Networks) && !slices.ContainsFunc(box.Endpoints, func(ep network.Endpoint) bool {
		_, there := c.Spec.Networks[ep.Network]
		return !there
	})
	if !ok || same {
		return nil
	}
	return cs.wiring.Rewire(ctx, c)
}
