package reconcile

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/supervise"
	"github.com/stackrun/stack/runtime"
)

// Containers lists every container of project, of every state, one-offs too, by service and number.
func (e *Engine) Containers(ctx context.Context, project string) ([]ask.Container, error) {
	list, err := inventory.List(ctx, e.drivers, project)
	if err != nil {
		return nil, err
	}
	boxes, err := e.drivers.Networks.Sandboxes(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list network namespaces: %w", err)
	}
	byID := map[string]network.Sandbox{}
	for _, b := range boxes {
		byID[b.ContainerID] = b
	}
	p, err := e.wishes.Known(project)
	if err != nil {
		return nil, err
	}
	out := make([]ask.Container, 0, len(list))
	for _, c := range list {
		s := e.keep.StatusOf(c)
		row := inventory.Row(c, byID[c.ID], s)
		row.Orphan = c.Orphan(p)
		if again, err := e.stoppedToRun(c, s); err != nil {
			return nil, err
		} else if again {
			row.State = "restarting"
		}
		out = append(out, row)
	}
	return out, nil
}

// stoppedToRun says whether c, whose supervisor's status is s, was stopped to run again at once: it is wished for, and whoever has stopped it, a restart or healing, is not done yet. Who waits
// for the end of all, as an up in the front does, is not to take it for one.
func (e *Engine) stoppedToRun(c *inventory.Container, s supervise.Status) (bool, error) {
	ended := c.Status == runtime.Stopped || c.Status == runtime.Created && s.Exit != nil // or it is just being started
	if !ended || s.State != supervise.Ended && s.State != supervise.Stopping || !s.Asked || c.OneOff || c.Spare || !e.loop.Taken(c.Project) {
		return false, nil
	}
	r, err := e.wishes.Of(c.Project)
	if err != nil || r == nil {
		return false, err
	}
	return slices.Contains(r.Wanted(), c.Service) && !r.IsOff(c.Replica()), nil
}

// Projects lists every project that has a container, or was brought up and not taken down, by name.
func (e *Engine) Projects(ctx context.Context) ([]ask.ProjectSummary, error) {
	list, err := inventory.List(ctx, e.drivers, "")
	if err != nil {
		return nil, err
	}
	rows := map[string]*ask.ProjectSummary{}
	row := func(name string) *ask.ProjectSummary {
		if rows[name] == nil {
			rows[name] = &ask.ProjectSummary{Name: name, States: map[string]int{}}
		}
		return rows[name]
	}
	for _, c := range list {
		if c.Alone != nil {
			continue
		}
		r := row(c.Project)
		r.States[inventory.StateWord(c, e.keep.StatusOf(c))]++
		if files := c.Labels[label.ConfigFiles]; len(r.Files) == 0 && files != "" {
			r.Files = strings.Split(files, ",")
		}
		if r.Dir == "" {
			r.Dir = c.Labels[label.WorkingDir]
		}
	}
	var names []string
	if err := e.wishes.Each(func(name string, _ []byte) error {
		names = append(names, name)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, name := range names {
		p, err := e.wishes.Known(name)
		if err != nil {
			return nil, err
		}
		r := row(name)
		if p == nil { // it was taken down meanwhile
			continue
		}
		if len(r.Files) == 0 {
			r.Files = p.Files
		}
		r.Dir, r.Isolated = p.Dir, p.Isolated != ""
	}
	out := make([]ask.ProjectSummary, 0, len(rows))
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		out = append(out, *rows[name])
	}
	return out, nil
}
