package performer

import (
	"context"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
)

// undoTime bounds the undoing of a pass that failed.
const undoTime = 30 * time.Second

// Undo takes away what a failed pass made for a project that has nothing else: containers that have not run, their anonymous
// volumes, networks, volumes, which nobody has written to, directories made for binds, and the record. It is then as if the command had not been given.
//
// When something of this pass has run, or was there before, all stays: data may be in it, the next pass goes on from there, and the user can
// look at what failed. A pass that is killed is not undone; the next one finds what it made.
//
// What cannot be taken away is told as an event, and left to `down`.
func (p *Performer) Undo(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	p.mu.Lock()
	kept, networks, volumes, directories, made := p.ran || len(p.gone) > 0, p.networks, p.volumes, slices.Clone(p.directories), p.made
	p.mu.Unlock()
	if kept {
		return
	}
	containers, err := inventory.List(ctx, p.kit.drivers, p.Want.Project)
	if err != nil {
		return
	}
	for _, c := range containers {
		if made[plan.Container(c.Service, c.Number)] != c.ID || c.Alive() {
			return
		}
	}
	for _, c := range containers {
		if p.kit.keep.Remove(ctx, c, true, p.sink) != nil {
			return
		}
	}
	for _, name := range networks {
		_ = p.kit.networks.Delete(ctx, p.Want.Project, name, p.sink) // told as an event
	}
	p.undoVolumes(ctx, volumes)
	p.undoDirectories(ctx, directories)
	if p.Keep {
		return
	}
	if os.RemoveAll(p.kit.keep.LogDir(p.Want.Project)) == nil {
		_ = p.kit.wishes.Forget(p.Want.Project) // a record without anything is for down, which takes it
	}
}

// dropSuccessors takes away the containers that a failed pass has made to replace others that are still there: those go on, or are started again. Whatever comes of
// the pass, nobody finds two of one number.
func (p *Performer) dropSuccessors(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	p.mu.Lock()
	successors := maps.Clone(p.successors)
	p.mu.Unlock()
	for _, old := range slices.Sorted(maps.Keys(successors)) {
		if _, err := inventory.ByID(ctx, p.kit.drivers, old); err != nil {
			continue // it is not there any more: the other is the container
		}
		new, err := inventory.ByID(ctx, p.kit.drivers, successors[old])
		if err == nil && new.Status == runtime.Created {
			_ = p.kit.keep.Remove(ctx, new, true, p.sink) // told as an event; the next pass takes it away
		}
	}
}

// undoVolumes deletes those of names that this pass made and nobody uses: another project may have the same one by its name.
func (p *Performer) undoVolumes(ctx context.Context, names []string) {
	if len(names) == 0 {
		return
	}
	all, err := p.kit.drivers.Volumes.List(ctx)
	if err != nil {
		return
	}
	used, err := p.kit.volumes.Used(ctx)
	if err != nil {
		return
	}
	for _, v := range all {
		if slices.Contains(names, v.Config.ID) && v.Config.Labels[label.Project] == p.Want.Project && !used[v.Path] {
			_ = p.kit.volumes.Delete(ctx, p.Want.Project, v.Config.ID, p.sink) // told as an event
		}
	}
}
