package wiring

import (
	"context"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime/mount"
)

// volumesFrom are the mounts that c has from other containers. What c's file mounts itself comes first, then
// the entries in their order; what c's image declares as a volume gives way. Found at each start and not once: by then who lends
// is there, whatever has become of it since c was made.
func (w *Wiring) volumesFrom(ctx context.Context, c *inventory.Container) ([]mount.Mount, error) {
	if len(c.Spec.VolumesFrom) == 0 {
		return nil, nil
	}
	list, err := inventory.List(ctx, w.drivers, "")
	if err != nil {
		return nil, err
	}
	taken := ownTargets(&c.Spec)
	var out []mount.Mount
	for _, text := range c.Spec.VolumesFrom {
		from, readOnly, err := Lender(text)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(o *inventory.Container) bool {
			steps := c.Step != nil && c.Step.Of == o.ID // that may be a one-off itself, or not the one that commands mean
			return o.ID != c.ID && (steps || !o.OneOff && !o.Spare) && from(c.Project, o) && o.Config != nil
		})
		if i < 0 {
			return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot take the volumes of %q: there is no such container", text))
		}
		for _, m := range bundle.Lends(list[i].Config, readOnly) {
			if taken[m.Target] {
				continue
			}
			taken[m.Target] = true
			if m, err = w.ownView(ctx, c, m); err != nil {
				return nil, fmt.Errorf("cannot take the volumes of %q: %w", text, err)
			}
			out = append(out, m)
		}
	}
	return out, nil
}

// Lender reads SERVICE[:MODE] or container:NAME[:MODE].
func Lender(text string) (is func(project string, c *inventory.Container) bool, readOnly bool, err error) {
	rest, named := strings.CutPrefix(text, "container:")
	name, mode, _ := strings.Cut(rest, ":")
	switch mode {
	case "", "rw":
	case "ro":
		readOnly = true
	default:
		return nil, false, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot take the volumes of %q: the mode is %q, expected ro or rw", text, mode))
	}
	if named {
		return func(_ string, c *inventory.Container) bool { return c.Name == name || c.ID == name }, readOnly, nil
	}
	return func(project string, c *inventory.Container) bool { return c.Project == project && c.Service == name }, readOnly, nil
}

// ownTargets are where the file of a container mounts something itself.
func ownTargets(s *plan.Spec) map[string]bool {
	own := map[string]bool{}
	for _, m := range slices.Concat(s.Mounts, s.Tmpfs) {
		own[m.Target] = true
	}
	for _, f := range slices.Concat(s.Configs, s.Secrets) {
		own[f.Target] = true
	}
	return own
}

// ownView is what c has of m, which another container lends: of an image a view of c's own, for that of the lender goes with it, and with that what holds the image.
func (w *Wiring) ownView(ctx context.Context, c *inventory.Container, m mount.Mount) (mount.Mount, error) {
	if !m.View() {
		return m, nil
	}
	id, err := v1.NewHash(m.Source)
	if err != nil {
		return mount.Mount{}, fmt.Errorf("the image at %s: %w", m.Target, err)
	}
	own, err := w.drivers.Images.View(ctx, c.ID, id)
	if err != nil {
		return mount.Mount{}, fmt.Errorf("the image at %s: %w", m.Target, err)
	}
	own.Target, own.Subpath = m.Target, m.Subpath
	return own, nil
}
