package runtime

import (
	"context"
	"fmt"
	"os"
)

// debris names what is left of containers that are no more and, with remove, removes it: directories without a record, and cgroups.
func (d *Driver) debris(ctx context.Context, remove bool) (names []string, err error) {
	ids, dirs, err := d.records.IDs()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, id := range ids {
		known[id] = true
	}
	for _, id := range dirs {
		names = append(names, d.records.StateDir(id))
		if remove {
			if err := os.RemoveAll(d.records.StateDir(id)); err != nil {
				return names, err
			}
		}
	}
	entries, err := os.ReadDir(d.records.RunDir())
	if err != nil {
		return names, fmt.Errorf("cannot list running containers: %w", err)
	}
	for _, e := range entries {
		if known[e.Name()] {
			continue
		}
		names = append(names, d.records.RunDir(e.Name()))
		if remove {
			if err := os.RemoveAll(d.records.RunDir(e.Name())); err != nil {
				return names, err
			}
		}
	}
	// A cgroup without a record holds no process that anybody wants.
	groups, err := d.cgroups.List()
	if err != nil {
		return names, err
	}
	for _, id := range groups {
		if known[id] {
			continue
		}
		names = append(names, "cgroup "+id)
		if remove {
			if err := d.endCgroup(ctx, id); err != nil {
				return names, err
			}
		}
	}
	if remove {
		d.cgroups.Prune()
	}
	return names, nil
}

// Sweep names what is left of work that was cut off and, with remove, removes it. Precondition: no container is being made or deleted.
func (d *Driver) Sweep(ctx context.Context, remove bool) ([]string, error) {
	return d.debris(ctx, remove)
}
