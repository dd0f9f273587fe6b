package performer

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
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
	ran, networks, volumes, directories, made := p.Ran, p.networks, p.volumes, slices.Clone(p.directories), p.made
	p.mu.Unlock()
	if ran {
		return
	}
	containers, err := inventory.List(ctx, p.kit.Drivers, p.Want.Project)
	if err != nil {
		return
	}
	for _, c := range containers {
		if made[plan.Container(c.Service, c.Number)] != c.ID || c.Alive() {
			return
		}
	}
	for _, c := range containers {
		if p.kit.Keeper.Remove(ctx, c, true, p.sink) != nil {
			return
		}
	}
	for _, name := range networks {
		_ = p.kit.Networks.Delete(ctx, p.Want.Project, name, p.sink) // told as an event
	}
	p.undoVolumes(ctx, volumes)
	p.undoDirectories(ctx, directories)
	if p.Keep {
		return
	}
	if os.RemoveAll(p.kit.Keeper.LogDir(p.Want.Project)) == nil {
		_ = p.kit.Wishes.Forget(p.Want.Project) // a record without anything is for down, which takes it
	}
}

// undoVolumes deletes those of names that this pass made and nobody uses: another project may have the same one by its name.
func (p *Performer) undoVolumes(ctx context.Context, names []string) {
	if len(names) == 0 {
		return
	}
	all, err := p.kit.Drivers.Volumes.List(ctx)
	if err != nil {
		return
	}
	used, err := p.kit.Volumes.Used(ctx)
	if err != nil {
		return
	}
	for _, v := range all {
		if slices.Contains(names, v.Config.ID) && v.Config.Labels[label.Project] == p.Want.Project && !used[v.Path] {
			_ = p.kit.Volumes.Delete(ctx, p.Want.Project, v.Config.ID, p.sink) // told as an event
		}
	}
}
