package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wiring"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
)

// MendNetwork repairs the network of a container as it runs, of which damage is said. One that cannot be is not an error: it is marked, and restarted by the
// next plan. What is wrong afterwards and was not before was damaged meanwhile: that is the next plan's to mend. Not running = success.
func (k *Keeper) MendNetwork(ctx context.Context, id, damage string) error {
	return k.mend(ctx, id, func(c *inventory.Container) (problem string, err error) {
		cfg, err := wiring.Sandbox(c)
		if err != nil {
			return "", err
		}
		box, err := k.drivers.Networks.Mend(ctx, cfg, fmt.Sprintf("/proc/%d/ns/net", c.Pid))
		if err != nil {
			return err.Error(), nil
		}
		// The process that was asked about may have ended, and another have its number.
		if now, err := k.drivers.Containers.State(ctx, id); err != nil || now.Pid != c.Pid || now.PidStart != c.PidStart {
			return "it ended while its network was mended", err
		}
		return k.remaining(c, damage, box.Problem), nil
	})
}

// MendContainer puts back the limits of a container as it runs. As MendNetwork.
func (k *Keeper) MendContainer(ctx context.Context, id, damage string) error {
	return k.mend(ctx, id, func(c *inventory.Container) (problem string, err error) {
		s, err := k.drivers.Containers.Mend(ctx, id)
		if err != nil {
			return err.Error(), nil
		}
		return k.remaining(c, damage, s.Problem), nil
	})
}

// remaining is what a mend of damage could not mend of c, which has a problem after it; "" = it was another one, and there is another look.
func (k *Keeper) remaining(c *inventory.Container, damage, problem string) string {
	if problem != "" && problem != damage {
		k.turns.Kick(c.Project)
		return ""
	}
	return problem
}

func (k *Keeper) mend(ctx context.Context, id string, try func(*inventory.Container) (problem string, err error)) error {
	unlock, err := k.Locks.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := inventory.ByID(ctx, k.drivers, id)
	if errors.Is(err, errdefs.ErrNotFound) || err == nil && c.Status != runtime.Running {
		return nil
	}
	if err != nil {
		return err
	}
	problem, err := try(c)
	if err != nil || problem == "" {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	k.roster.Unmended(id)
	k.hub.Say(nil, event.Event{Project: c.Project, Kind: "container", Name: c.Name, Service: c.Service, Phase: event.Warning, Text: "Cannot be mended as it runs",
		Detail: wording.Cause(errors.New(problem), id, c.Name).Error() + "; it is restarted"})
	k.turns.Kick(c.Project)
	return nil
}
