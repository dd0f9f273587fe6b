package reconcile

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

// mendNetwork repairs the network of a container as it runs. One that cannot be is not an error: it is marked, and restarted by the
// next plan. Not running = success.
func (e *Engine) mendNetwork(ctx context.Context, id string) error {
	return e.mend(ctx, id, func(c *inventory.Container) (problem string, err error) {
		cfg, err := wiring.Sandbox(c)
		if err != nil {
			return "", err
		}
		box, err := e.drivers.Networks.Mend(ctx, cfg, fmt.Sprintf("/proc/%d/ns/net", c.Pid))
		if err != nil {
			return err.Error(), nil
		}
		// The process that was asked about may have ended, and another have its number.
		if now, err := e.drivers.Containers.State(ctx, id); err != nil || now.Pid != c.Pid || now.PidStart != c.PidStart {
			return "it ended while its network was mended", err
		}
		return box.Problem, nil
	})
}

// mendContainer puts back the limits of a container as it runs. As mendNetwork.
func (e *Engine) mendContainer(ctx context.Context, id string) error {
	return e.mend(ctx, id, func(*inventory.Container) (problem string, err error) {
		s, err := e.drivers.Containers.Mend(ctx, id)
		if err != nil {
			return err.Error(), nil
		}
		return s.Problem, nil
	})
}

func (e *Engine) mend(ctx context.Context, id string, try func(*inventory.Container) (problem string, err error)) error {
	unlock, err := e.single.Lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	c, err := inventory.ByID(ctx, e.drivers, id)
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
	e.roster.Unmended(id)
	e.hub.Say(nil, event.Event{Project: c.Project, Kind: "container", Name: c.Name, Service: c.Service, Phase: event.Warning, Text: "Cannot be mended as it runs",
		Detail: wording.Cause(errors.New(problem), id, c.Name).Error() + "; it is restarted"})
	e.loop.Kick(c.Project)
	return nil
}
