package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/reconcile/interim"
	"github.com/stackrun/stack/reconcile/inventory"
)

// creation is the note of the anonymous volumes that are made for a container before there is one, which alone would know them. It is below the run root and not synced: one that
// outlives a power cut would cost each creation two syncs of the disk, and what is lost with it is the name of an empty volume. The zero value is of no volumes.
type creation struct {
	path string
	left bool // a volume may be there that is nobody's
}

// creations is where the notes are.
func (k *Keeper) creations() string { return k.roots.InRun("creations") }

// creating notes that volumes (target → volume) are about to be made for container id of project.
func (k *Keeper) creating(id, project string, volumes map[string]string) *creation {
	if len(volumes) == 0 {
		return &creation{}
	}
	note, _ := json.Marshal(interim.Discard{Project: project, Volumes: volumes}) // strings
	c := &creation{path: filepath.Join(k.creations(), id)}
	err := atomicfile.Write(c.path, note, 0o600, atomicfile.NoSync)
	if errors.Is(err, fs.ErrNotExist) { // the first of this boot
		if err = os.MkdirAll(k.creations(), 0o700); err == nil {
			err = atomicfile.Write(c.path, note, 0o600, atomicfile.NoSync)
		}
	}
	if err != nil {
		// All that is lost is that the next daemon would go on with it.
		k.log.Warn("cannot note which volumes are made for a container", "container", id, "error", err)
		return &creation{}
	}
	return c
}

// done drops the note: the container is there, or its volumes are gone.
func (c *creation) done() {
	if c.path != "" && !c.left {
		_ = os.Remove(c.path) // the next daemon does
	}
}

// FinishCreations removes the anonymous volumes of containers that an earlier daemon did not come to make. there are the containers that there are.
func (k *Keeper) FinishCreations(ctx context.Context, there []*inventory.Container) error {
	dir := k.creations()
	if err := atomicfile.Sweep(dir); err != nil {
		return err
	}
	notes, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot look for containers that were being made: %w", err)
	}
	for _, note := range notes {
		path := filepath.Join(dir, note.Name())
		if !slices.ContainsFunc(there, func(c *inventory.Container) bool { return c.ID == note.Name() }) {
			var d interim.Discard // what cannot be read names none
			if raw, err := os.ReadFile(path); err != nil || json.Unmarshal(raw, &d) != nil {
				k.log.Warn("cannot read which volumes were made for a container that is not there", "note", path)
			}
			if err := k.volumes.DeleteEmpty(ctx, &inventory.Container{Project: d.Project, Anonymous: d.Volumes}); err != nil {
				return err
			}
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
