package lifecycle

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
)

// AbsentSources are the directories that are not there and will be made for the binds among mounts, whatever is above them included.
func AbsentSources(mounts []plan.Mount) []string {
	var all []string
	for _, m := range mounts {
		if m.Type != "bind" || !m.CreateHostPath {
			continue
		}
		for dir := filepath.Clean(m.Source); Absent(dir); dir = filepath.Dir(dir) {
			all = append(all, dir)
		}
	}
	return all
}

// Absent says whether there is nothing at path on the host, not even a link that leads nowhere.
func Absent(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// tellSources tells of those of absent that are there now and that c mounts: they were there when c was made, and have gone since.
func (k *Keeper) tellSources(c *inventory.Container, absent []string, sink event.Sink) {
	for _, dir := range absent {
		if !Absent(dir) && slices.ContainsFunc(c.Spec.Mounts, func(m plan.Mount) bool { return filepath.Clean(m.Source) == dir }) {
			k.hub.Say(sink, event.Event{Project: c.Project, Kind: "directory", Name: dir, Service: c.Service, Phase: event.Done, Text: "Created"})
		}
	}
}
