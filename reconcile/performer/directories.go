package performer

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/plan"
)

// noteDirectories remembers those of absent that are there now as made by this pass, and tells of those that a container of service mounts: who has mistyped a path
// sees it nowhere else.
func (p *Performer) noteDirectories(service string, absent []string) {
	for _, dir := range absent {
		if lifecycle.Absent(dir) {
			continue
		}
		p.mu.Lock()
		known := slices.Contains(p.directories, dir)
		if !known {
			p.directories = append(p.directories, dir)
		}
		p.mu.Unlock()
		if !known && slices.ContainsFunc(p.Want.Services[service].Spec.Mounts, func(m plan.Mount) bool { return filepath.Clean(m.Source) == dir }) {
			p.say("directory", dir, service, event.Done, "Created", "")
		}
	}
}

// hasMade says whether m's source is a directory that this pass has made.
func (p *Performer) hasMade(m plan.Mount) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return m.Type == "bind" && slices.Contains(p.directories, filepath.Clean(m.Source))
}

// undoDirectories removes those of dirs, which this pass made, that are empty and that no container mounts.
func (p *Performer) undoDirectories(ctx context.Context, dirs []string) {
	if len(dirs) == 0 {
		return
	}
	used, err := p.kit.volumes.Used(ctx)
	if err != nil {
		return
	}
	slices.Sort(dirs)
	for _, dir := range slices.Backward(dirs) { // what is in a directory before it
		if !used[dir] {
			_ = os.Remove(dir) // not empty: somebody has use for it
		}
	}
}
