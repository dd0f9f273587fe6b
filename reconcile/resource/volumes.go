package resource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/volume"
)

// Volumes is for those who mean a volume by its name, whoever's it is. Volumes that belong to no file
// (docs/adr/0071-networks-and-volumes-without-a-file.md) are made here only, but for a container's anonymous ones. Errors as errdefs has them. Safe for concurrent use.
type Volumes struct {
	drivers driver.Set
	hub     *event.Hub
	turns   Turns
}

// NewVolumes are those of d.
func NewVolumes(d driver.Set, h *event.Hub, t Turns) *Volumes {
	return &Volumes{drivers: d, hub: h, turns: t}
}

// VolumeDetail is a volume as it is.
type VolumeDetail struct {
	Name      string
	Driver    string
	Options   map[string]string
	Labels    map[string]string // as clients see them
	Path      string            // of the directory that containers see
	CreatedAt time.Time         // zero = nobody knows
	Anonymous bool
	Project   string   // whose it is; "" = nobody's
	Users     []string // ids of the containers that have it, of any state
	size      bool     // Path is a directory of the volume's own
}

// VolumeRequest is a volume to be. Name "" = an anonymous one, with a name that is made up.
type VolumeRequest struct {
	Name, Driver    string
	Options, Labels map[string]string
}

// VolumeTurn is the key of the turn of whoever makes or removes a volume by its name, or makes a container that belongs to no file with volumes: until it is on
// record nothing says that they are in use. No project has such a name.
const VolumeTurn = "\x00volumes"

// List is every volume, by name.
func (a *Volumes) List(ctx context.Context) ([]VolumeDetail, error) {
	states, err := a.drivers.Volumes.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list volumes: %w", err)
	}
	list, err := inventory.List(ctx, a.drivers, "")
	if err != nil {
		return nil, err
	}
	users := inventory.VolumeUsers(list, func(c *inventory.Container) string { return c.ID })
	all := make([]VolumeDetail, 0, len(states))
	for _, s := range states {
		d := volumeDetail(s)
		d.Users = users[d.Name]
		slices.Sort(d.Users)
		d.Users = slices.Compact(d.Users)
		all = append(all, d)
	}
	return all, nil
}

func volumeDetail(s volume.State) VolumeDetail {
	c := s.Config
	d := VolumeDetail{
		Name: c.ID, Driver: cmp.Or(c.Driver, "local"), Options: c.DriverOpts, Labels: map[string]string{}, Path: s.Path, CreatedAt: s.CreatedAt, Anonymous: c.Anonymous,
		Project: c.Labels[label.Project], size: len(c.DriverOpts) == 0,
	}
	maps.Copy(d.Labels, c.Labels)
	for _, ours := range []string{label.Want, label.Anonymous, Label} { // for nobody to read
		delete(d.Labels, ours)
	}
	maps.Copy(d.Labels, c.ClientLabels)
	return d
}

// Inspect is the volume of that name.
func (a *Volumes) Inspect(ctx context.Context, name string) (VolumeDetail, error) {
	all, err := a.List(ctx)
	if err != nil {
		return VolumeDetail{}, err
	}
	i := slices.IndexFunc(all, func(d VolumeDetail) bool { return d.Name == name })
	if i < 0 {
		return VolumeDetail{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("get %s: no such volume", name))
	}
	return all[i], nil
}

// Create makes a volume, or finds the one of that name, whoever's it is. ErrConflict when that one has another driver or other options.
func (a *Volumes) Create(ctx context.Context, r VolumeRequest) (VolumeDetail, error) {
	release, err := a.turns.Turn(ctx, VolumeTurn)
	if err != nil {
		return VolumeDetail{}, err
	}
	defer release()
	return a.Make(ctx, r)
}

// Make is Create. Precondition: the turn is held.
func (a *Volumes) Make(ctx context.Context, r VolumeRequest) (VolumeDetail, error) {
	c := volume.Config{
		ID: r.Name, Driver: r.Driver, DriverOpts: r.Options, ClientLabels: maps.Clone(r.Labels), Labels: map[string]string{Label: "volume"},
	}
	if c.ID == "" {
		c.ID, c.Anonymous = objectid.New(), true
		if c.ClientLabels == nil {
			c.ClientLabels = map[string]string{}
		}
		c.ClientLabels[LabelAnonymous] = ""
	}
	if have, err := a.Inspect(ctx, c.ID); err == nil && len(r.Options) == 0 && cmp.Or(r.Driver, "local") == have.Driver {
		return have, nil // as it is, with docker
	}
	s, err := a.drivers.Volumes.Create(context.WithoutCancel(ctx), c)
	if err != nil {
		return VolumeDetail{}, err
	}
	a.hub.Say(nil, event.Event{Kind: "volume", Name: c.ID, ID: c.ID, Phase: event.Done, Text: "Created"})
	return volumeDetail(s), nil
}

// Remove deletes a volume with what is in it. ErrConflict while a container of any state has it; ErrNotFound when there is none. It waits for a command that is
// under way with the volume's project: the volume may be made for a container that is to come.
func (a *Volumes) Remove(ctx context.Context, name string) error {
	d, err := a.Inspect(ctx, name)
	if err != nil {
		return err
	}
	if d.Project != "" {
		release, err := a.turns.Pass(ctx, d.Project) // before the turn, which others wait for
		if err != nil {
			return err
		}
		defer release()
	}
	release, err := a.turns.Turn(ctx, VolumeTurn)
	if err != nil {
		return err
	}
	defer release()
	if d, err = a.Inspect(ctx, name); err != nil {
		return err
	}
	if len(d.Users) > 0 {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("remove %s: volume is in use - [%s]", name, strings.Join(d.Users, ", ")))
	}
	used, err := a.Used(ctx)
	if err != nil {
		return err
	}
	if used[d.Path] { // by volumes_from, say
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("remove %s: volume is in use: a container mounts %s", name, d.Path))
	}
	if err := a.drivers.Volumes.Delete(context.WithoutCancel(ctx), name); err != nil {
		return err
	}
	a.hub.Say(nil, event.Event{Project: d.Project, Kind: "volume", Name: name, ID: name, Phase: event.Done, Text: "Removed"})
	return nil
}

// Prune removes the volumes that no container has and that which says yes to. It gives their names, and how many bytes they had.
func (a *Volumes) Prune(ctx context.Context, which func(VolumeDetail) bool) (names []string, freed int64, err error) {
	all, err := a.List(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, d := range all {
		if len(d.Users) > 0 || !which(d) {
			continue
		}
		size, _ := a.Size(ctx, d)
		err := a.Remove(ctx, d.Name)
		switch {
		case errors.Is(err, errdefs.ErrConflict), errors.Is(err, errdefs.ErrNotFound): // since it was listed
		case err != nil:
			return names, freed, err
		default:
			names, freed = append(names, d.Name), freed+max(size, 0)
		}
	}
	return names, freed, nil
}

// Size is how many bytes a volume takes on the disk, -1 for one whose bytes are elsewhere: a directory of the host's, a device, memory.
func (a *Volumes) Size(ctx context.Context, d VolumeDetail) (int64, error) {
	if !d.size {
		return -1, nil
	}
	return diskUsage(ctx, d.Path)
}

// diskUsage adds up the blocks of all that is below dir; a file of several names counts once.
func diskUsage(ctx context.Context, dir string) (total int64, err error) {
	type file struct{ dev, inode uint64 }
	seen := map[file]bool{}
	err = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
				return nil
			}
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return nil //nolint:nilerr // removed meanwhile
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok || st.Nlink > 1 && !info.IsDir() && seen[file{st.Dev, st.Ino}] {
			return nil
		}
		seen[file{st.Dev, st.Ino}] = true
		total += st.Blocks * 512 // stat(2)
		return nil
	})
	return total, err
}

// Delete removes volume name of project.
func (a *Volumes) Delete(ctx context.Context, project, name string, sink event.Sink) error {
	a.hub.Say(sink, event.Event{Project: project, Kind: "volume", Name: name, Phase: event.Working, Text: "Removing"})
	if err := a.drivers.Volumes.Delete(ctx, name); err != nil {
		err = fmt.Errorf("cannot remove volume %s: %w", name, err)
		a.hub.Say(sink, event.Event{Project: project, Kind: "volume", Name: name, Phase: event.Failed, Text: "Error", Detail: err.Error()})
		return err
	}
	a.hub.Say(sink, event.Event{Project: project, Kind: "volume", Name: name, Phase: event.Done, Text: "Removed"})
	return nil
}

// Used are the paths of the host that containers, of whichever project, mount.
func (a *Volumes) Used(ctx context.Context) (map[string]bool, error) {
	all, err := a.drivers.Containers.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list containers: %w", err)
	}
	used := map[string]bool{}
	for _, c := range all {
		if c.Config == nil {
			continue
		}
		for _, m := range c.Config.Mounts {
			used[m.Source] = true
		}
	}
	return used, nil
}

// DeleteAnonymous deletes the anonymous volumes of c, which is gone. Its record alone is not enough to lose data on: a volume
// goes when its own record calls it anonymous and of c's project, and no other container mounts it.
func (a *Volumes) DeleteAnonymous(ctx context.Context, c *inventory.Container) error {
	return a.deleteAnonymous(ctx, c, func(volume.State) bool { return true })
}

// DeleteEmpty is DeleteAnonymous of those that nothing is in.
func (a *Volumes) DeleteEmpty(ctx context.Context, c *inventory.Container) error {
	return a.deleteAnonymous(ctx, c, func(v volume.State) bool {
		in, err := os.ReadDir(v.Path)
		return errors.Is(err, fs.ErrNotExist) || err == nil && len(in) == 0
	})
}

func (a *Volumes) deleteAnonymous(ctx context.Context, c *inventory.Container, which func(volume.State) bool) error {
	if len(c.Anonymous) == 0 {
		return nil
	}
	all, err := a.drivers.Volumes.List(ctx)
	if err != nil {
		return fmt.Errorf("cannot list volumes: %w", err)
	}
	used, err := a.Used(ctx)
	if err != nil {
		return err
	}
	names := slices.Collect(maps.Values(c.Anonymous))
	for _, v := range all {
		if !slices.Contains(names, v.Config.ID) || !v.Config.Anonymous || v.Config.Labels[label.Project] != c.Project || used[v.Path] || !which(v) {
			continue
		}
		if err := a.drivers.Volumes.Delete(ctx, v.Config.ID); err != nil {
			return err
		}
	}
	return nil
}
