package gate

import (
	"context"
	"slices"
	"strings"
)

// Directories keeps those who begin to use directories apart from whoever changes all that is in one: many begin at a time, or one changes. Who
// uses a directory already is for whoever holds it to find. The zero value is ready.
type Directories struct {
	gate   Gate // its await and change; nobody enters it
	begins []*[]string
	holds  []*[]string
}

// Begin waits until nobody holds one of paths or what it is in, or for the end of ctx. done says that it is seen by whoever looks who uses them.
func (d *Directories) Begin(ctx context.Context, paths []string) (done func(), err error) {
	return d.enter(ctx, &d.begins, paths, func() bool { return !overlap(d.holds, paths, within) })
}

// Hold waits until nobody begins to use what is in one of dirs, and nobody else holds one of them, or for the end of ctx. Until release nobody begins to.
func (d *Directories) Hold(ctx context.Context, dirs []string) (release func(), err error) {
	return d.enter(ctx, &d.holds, dirs, func() bool {
		return !overlap(d.begins, dirs, func(path, dir string) bool { return within(dir, path) }) && !overlap(d.holds, dirs, func(a, b string) bool { return a == b })
	})
}

// enter adds paths to list as soon as free says so.
func (d *Directories) enter(ctx context.Context, list *[]*[]string, paths []string, free func() bool) (leave func(), err error) {
	err = d.gate.await(ctx, func() bool {
		if !free() {
			return false
		}
		*list = append(*list, &paths)
		return true
	})
	if err != nil {
		return nil, err
	}
	return func() {
		d.gate.change(func() { *list = slices.DeleteFunc(*list, func(p *[]string) bool { return p == &paths }) })
	}, nil
}

// overlap says whether meets holds for a path of list and one of paths.
func overlap(list []*[]string, paths []string, meets func(theirs, ours string) bool) bool {
	return slices.ContainsFunc(list, func(theirs *[]string) bool {
		return slices.ContainsFunc(*theirs, func(t string) bool {
			return slices.ContainsFunc(paths, func(p string) bool { return meets(t, p) })
		})
	})
}

// within says whether path is dir or below it. Both are clean.
func within(dir, path string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }
