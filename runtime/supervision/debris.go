package supervision

import (
	"context"
	"fmt"
	"os"
)

// Debris names what is left of containers that are no more and, with remove, removes it: directories without a record, and cgroups.
//
// Precondition: no container is being made or deleted.
func (sv *Supervisor) Debris(ctx context.Context, remove bool) (names []string, err error) {
	ids, dirs, err := sv.records.IDs()
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, id := range ids {
		known[id] = true
	}
	for _, id := range dirs {
		names = append(names, sv.records.StateDir(id))
		if remove {
			if err := os.RemoveAll(sv.records.StateDir(id)); err != nil {
				return names, err
			}
		}
	}
	entries, err := os.ReadDir(sv.records.RunDir())
	if err != nil {
		return names, fmt.Errorf("cannot list running containers: %w", err)
	}
	for _, e := range entries {
		if known[e.Name()] {
			continue
		}
		names = append(names, sv.records.RunDir(e.Name()))
		if remove {
			if err := os.RemoveAll(sv.records.RunDir(e.Name())); err != nil {
				return names, err
			}
		}
	}
	// A cgroup without a record holds no process that anybody wants.
	groups, err := sv.cgroups.List()
	if err != nil {
		return names, err
	}
	for _, id := range groups {
		if known[id] {
			continue
		}
		names = append(names, "cgroup "+id)
		if remove {
			if err := sv.endCgroup(ctx, id); err != nil {
				return names, err
			}
		}
	}
	if remove {
		sv.cgroups.Prune()
	}
	return names, nil
}
