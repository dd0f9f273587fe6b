package reconcile

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/runtime"
)

// stray is Debris with the way to remove it.
type stray struct {
	ask.Debris
	remove func(context.Context) error
}

// GC finds what no container and no project has any more, and removes it unless o says otherwise: what a killed daemon left half-made,
// which the next one has removed when it began, so that there is something only when a record was lost; images without a name that
// nothing uses; logs of projects that are gone. Volumes are nobody's garbage, nor are images with a name. It waits until no other verb is
// under way: what is being made is no garbage either.
func (e *Engine) GC(ctx context.Context, o ask.GCOptions) (*ask.Garbage, error) {
	defer e.loop.Enter()()
	open, err := e.gate.StandStill(ctx)
	if err != nil {
		return nil, err
	}
	defer open()
	out := &ask.Garbage{Found: []ask.Debris{}, Removed: !o.Check}
	// Builds first: what they take down behind them belongs to no container.
	if err := sweep(ctx, out, "it is of no build", e.drivers.Builder, o); err != nil {
		return out, err
	}
	found, err := e.strays(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot look for garbage: %w", err)
	}
	logs, err := e.strayLogs(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot look for garbage: %w", err)
	}
	for _, s := range append(found, logs...) {
		out.Found = append(out.Found, s.Debris)
		if !o.Check {
			if err := s.remove(ctx); err != nil {
				return out, fmt.Errorf("cannot remove %s: %w", s.Name, err)
			}
		}
	}
	// Images last: a snapshot holds layers.
	for _, room := range []struct {
		why string
		driver.Sweeper
	}{
		{"it is of no container", e.drivers.Containers}, {"it is of no network and no container", e.drivers.Networks},
		{"it was being made or removed, or has been kept for long enough", e.drivers.Volumes}, {"nothing leads to it", e.drivers.Images},
	} {
		if err := sweep(ctx, out, room.why, room.Sweeper, o); err != nil {
			return out, err
		}
	}
	return out, nil
}

// sweep adds to g what a room has found of its own.
func sweep(ctx context.Context, g *ask.Garbage, why string, room driver.Sweeper, o ask.GCOptions) error {
	names, err := room.Sweep(ctx, !o.Check)
	for _, name := range names {
		g.Found = append(g.Found, ask.Debris{Name: name, Why: why})
	}
	switch {
	case errors.Is(err, errdefs.ErrConflict):
		g.Skipped = append(g.Skipped, err.Error())
	case err != nil:
		return fmt.Errorf("cannot look for garbage: %w", err)
	}
	return nil
}

// strays are the snapshots and sandboxes that no container has: a daemon died while it made or deleted one, or its record was lost.
func (e *Engine) strays(ctx context.Context) ([]stray, error) {
	all, err := e.drivers.Containers.List(ctx)
	if err != nil {
		return nil, err
	}
	there := map[string]runtime.Status{}
	for _, s := range all {
		there[s.ID] = s.Status // also those that are not of a project
	}
	snapshots, err := e.drivers.Images.Snapshots(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list snapshots: %w", err)
	}
	var found []stray
	for _, key := range snapshots {
		if _, ok := there[key]; !ok {
			found = append(found, stray{ask.Debris{Name: "snapshot " + key, Why: "no container has it"}, func(ctx context.Context) error { return e.drivers.Images.Remove(ctx, key) }})
		}
	}
	boxes, err := e.drivers.Networks.Sandboxes(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list network namespaces: %w", err)
	}
	for _, box := range boxes {
		id := box.ContainerID
		why := "no container has it"
		status, ok := there[id]
		if ok {
			why = "its container has never been started"
		}
		if !ok || status == runtime.Created && !e.roster.Held(id) { // a Run holds the one that it is about to start
			found = append(found, stray{ask.Debris{Name: "network of container " + id, Why: why}, func(ctx context.Context) error { return e.drivers.Networks.Teardown(ctx, id) }})
		}
	}
	return found, nil
}

// strayLogs are the directories of logs of projects that have neither a container nor a record.
func (e *Engine) strayLogs(ctx context.Context) ([]stray, error) {
	projects, err := e.Projects(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, p := range projects {
		known[p.Name] = true
	}
	dirs, err := os.ReadDir(e.roots.InState("logs"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot list logs: %w", err)
	}
	var found []stray
	for _, d := range dirs {
		path := e.keep.LogDir(d.Name())
		if !known[d.Name()] {
			found = append(found, stray{ask.Debris{Name: path, Why: "its project is gone"}, func(context.Context) error { return os.RemoveAll(path) }})
		}
	}
	return found, nil
}
