package reconcile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/volume"
)

// AllVolumes is the engine for those who mean a volume by its name, whoever's it is: the Docker Engine API. Volumes that belong to no file
// (docs/adr/0071-networks-and-volumes-without-a-file.md) are made here only, but for a container's anonymous ones. Errors as errdefs has them. Safe for concurrent use.
type AllVolumes struct{ e *Engine }

// AllVolumes is e by volume.
func (e *Engine) AllVolumes() AllVolumes { return AllVolumes{e} }

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

// volumeTurn is the key of the turn of whoever makes or removes a volume by its name, or makes a container that belongs to no file with volumes: until it is on
// record nothing says that they are in use. No project has such a name.
const volumeTurn = "\x00volumes"

// List is every volume, by name.
func (a AllVolumes) List(ctx context.Context) ([]VolumeDetail, error) {
	e := a.e
	states, err := e.drivers.Volumes.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("cannot list volumes: %w", err)
	}
	list, err := inventory.List(ctx, e.drivers, "")
	if err != nil {
		return nil, err
	}
	users := volumeUsers(list, func(c *inventory.Container) string { return c.ID })
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
	for _, ours := range []string{label.Want, label.Anonymous, resource.Label} { // for nobody to read
		delete(d.Labels, ours)
	}
	maps.Copy(d.Labels, c.ClientLabels)
	return d
}

// Inspect is the volume of that name.
func (a AllVolumes) Inspect(ctx context.Context, name string) (VolumeDetail, error) {
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
func (a AllVolumes) Create(ctx context.Context, r VolumeRequest) (VolumeDetail, error) {
	release, err := a.e.loop.Turn(ctx, volumeTurn)
	if err != nil {
		return VolumeDetail{}, err
	}
	defer release()
	return a.make(ctx, r)
}

// make is Create. Precondition: the turn is held.
func (a AllVolumes) make(ctx context.Context, r VolumeRequest) (VolumeDetail, error) {
	e := a.e
	c := volume.Config{
		ID: r.Name, Driver: r.Driver, DriverOpts: r.Options, ClientLabels: maps.Clone(r.Labels), Labels: map[string]string{resource.Label: "volume"},
	}
	if c.ID == "" {
		c.ID, c.Anonymous = resource.NewID(), true
		if c.ClientLabels == nil {
			c.ClientLabels = map[string]string{}
		}
		c.ClientLabels[resource.LabelAnonymous] = ""
	}
	if have, err := a.Inspect(ctx, c.ID); err == nil && len(r.Options) == 0 && cmp.Or(r.Driver, "local") == have.Driver {
		return have, nil // as it is, with docker
	}
	s, err := e.drivers.Volumes.Create(context.WithoutCancel(ctx), c)
	if err != nil {
		return VolumeDetail{}, err
	}
	e.hub.Say(nil, event.Event{Kind: "volume", Name: c.ID, ID: c.ID, Phase: event.Done, Text: "Created"})
	return volumeDetail(s), nil
}

// Remove deletes a volume with what is in it. ErrConflict while a container of any state has it; ErrNotFound when there is none. It waits for a command that is
// under way with the volume's project: the volume may be made for a container that is to come.
func (a AllVolumes) Remove(ctx context.Context, name string) error {
	e := a.e
	d, err := a.Inspect(ctx, name)
	if err != nil {
		return err
	}
	if d.Project != "" {
		release, err := e.loop.Pass(ctx, d.Project) // before the turn, which others wait for
		if err != nil {
			return err
		}
		defer release()
	}
	release, err := e.loop.Turn(ctx, volumeTurn)
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
	used, err := e.usedSources(ctx)
	if err != nil {
		return err
	}
	if used[d.Path] { // by volumes_from, say
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("remove %s: volume is in use: a container mounts %s", name, d.Path))
	}
	if err := e.drivers.Volumes.Delete(context.WithoutCancel(ctx), name); err != nil {
		return err
	}
	e.hub.Say(nil, event.Event{Project: d.Project, Kind: "volume", Name: name, ID: name, Phase: event.Done, Text: "Removed"})
	return nil
}

// Prune removes the volumes that no container has and that which says yes to. It gives their names, and how many bytes they had.
func (a AllVolumes) Prune(ctx context.Context, which func(VolumeDetail) bool) (names []string, freed int64, err error) {
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
func (a AllVolumes) Size(ctx context.Context, d VolumeDetail) (int64, error) {
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
