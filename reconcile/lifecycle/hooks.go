package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/output"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// A HookError says that a hook has failed. The container is there and runs.
type HookError struct {
	Key     string // "post_start[0]"
	service string
	err     error
}

func (e *HookError) Error() string { return e.err.Error() }
func (e *HookError) Unwrap() error { return e.err }

// Advice is what can be done about it.
func (e *HookError) Advice() string {
	if !strings.HasPrefix(e.Key, "pre_stop") {
		return ""
	}
	return "it runs on; `stack kill " + e.service + "` ends it without its hooks"
}

// postStart runs the hooks of a container that has just been started, one after the other. The first that fails ends it, with a
// *HookError; the container runs on, as with docker compose.
//
// Precondition: the container's lock is not held. A hook may take for ever, and a stop must not wait for it.
func (k *Keeper) postStart(ctx context.Context, c *inventory.Container, sink event.Sink) error {
	return k.runHooks(ctx, c, "post_start", c.Spec.PostStart, sink)
}

// PreStop runs the hooks of a container that is about to be stopped. They take as long as they take: like docker compose, nothing bounds
// them but ctx and a kill of the container. One that has ended meanwhile, or does not run, is success.
func (k *Keeper) PreStop(ctx context.Context, c *inventory.Container, sink event.Sink) error {
	if len(c.Spec.PreStop) == 0 || !c.Alive() {
		return nil
	}
	if c.Status == runtime.Paused { // it is going to be stopped, and nothing runs in what is frozen
		if err := k.drivers.Containers.Resume(ctx, c.ID); err != nil {
			if inventory.RunsNoMore(err) {
				return nil
			}
			return wording.Cause(err, c.ID, c.Name)
		}
		c.Status = runtime.Running
		k.hub.Say(sink, c.Event(event.Done, "Unpaused", "for its pre_stop hooks"))
	}
	err := k.runHooks(ctx, c, "pre_stop", c.Spec.PreStop, sink)
	if err == nil || ctx.Err() != nil {
		return err
	}
	now, look := k.drivers.Containers.State(ctx, c.ID)
	if errors.Is(look, errdefs.ErrNotFound) || look == nil && now.Status != runtime.Running {
		return nil
	}
	return err
}

// UnaskedGrace is how long the hooks of a container without a grace period may take when nobody has asked for its stop.
const UnaskedGrace = 10 * time.Second

// PreStopUnasked is PreStop for a stop that heals: a hook that fails or hangs is told and holds nothing up, for the container that it
// would keep is one that does not work.
func (k *Keeper) PreStopUnasked(ctx context.Context, c *inventory.Container) error {
	grace := UnaskedGrace
	if g := c.Spec.StopGrace; g != nil {
		grace = *g
	}
	bound, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	if err := k.PreStop(bound, c, nil); err != nil && ctx.Err() == nil {
		k.hub.Say(nil, c.Event(event.Warning, "Hook failed", err.Error()))
	}
	return context.Cause(ctx)
}

func (k *Keeper) runHooks(ctx context.Context, c *inventory.Container, kind string, hooks []plan.Hook, sink event.Sink) error {
	for i, h := range hooks {
		key := fmt.Sprintf("%s[%d]", kind, i)
		k.hub.Say(sink, c.Event(event.Working, "Running "+kind, strings.Join(h.Command, " ")))
		if err := k.runHook(ctx, c, h); err != nil {
			return &HookError{Key: key, service: c.Service, err: fmt.Errorf("cannot run %s of container %s: %w", key, c.Name, err)}
		}
	}
	return nil
}

// HookProcess is the process of hook h. What it prints goes to the container's log.
func HookProcess(h plan.Hook) runtime.Process {
	p := runtime.Process{Args: h.Command, Cwd: h.WorkingDir, User: h.User, Privileged: h.Privileged, Note: output.HookNote}
	for _, k := range slices.Sorted(maps.Keys(h.Environment)) {
		p.Env = append(p.Env, k+"="+h.Environment[k])
	}
	return p
}

func (k *Keeper) runHook(ctx context.Context, c *inventory.Container, h plan.Hook) error {
	out := &head{max: health.MaxOutput}
	exit, err := k.drivers.Containers.Exec(ctx, c.ID, HookProcess(h), process.IO{Stdout: out, Stderr: out})
	if err != nil {
		return wording.Cause(err, c.ID, c.Name)
	}
	if exit.Code != 0 {
		said := ""
		if text := strings.TrimSpace(out.String()); text != "" {
			said = ": " + text
		}
		return fmt.Errorf("%q exited with code %d%s", strings.Join(h.Command, " "), exit.Code, said)
	}
	return nil
}
