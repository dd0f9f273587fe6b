package volumes

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/moby/moby/api/types/volume"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/resource"
)

func (h *handlers) list(w http.ResponseWriter, r *http.Request) error {
	f, err := wire.ReadFilters(r, "dangling", "driver", "label", "name")
	if err != nil {
		return err
	}
	dangling, err := f.Bool("dangling", false)
	if err != nil {
		return err
	}
	all, err := h.engine.List(r.Context())
	if err != nil {
		return err
	}
	answer := volume.ListResponse{Volumes: []volume.Volume{}}
	for _, d := range all {
		if !f.Is("driver", d.Driver) || !f.Labels("label", d.Labels) || !f.Match("name", d.Name) || f.Has("dangling") && dangling != (len(d.Users) == 0) {
			continue
		}
		answer.Volumes = append(answer.Volumes, describe(d))
	}
	return wire.JSON(w, http.StatusOK, answer)
}

func (h *handlers) inspect(w http.ResponseWriter, r *http.Request) error {
	d, err := h.engine.Inspect(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, describe(d))
}

// describe is d in the API's words.
func describe(d resource.VolumeDetail) volume.Volume {
	v := volume.Volume{Name: d.Name, Driver: d.Driver, Labels: d.Labels, Options: d.Options, Mountpoint: d.Path, Scope: "local"}
	if !d.CreatedAt.IsZero() {
		v.CreatedAt = d.CreatedAt.Format(time.RFC3339)
	}
	return v
}

func (h *handlers) create(w http.ResponseWriter, r *http.Request) error {
	var body volume.CreateRequest
	if err := wire.Decode(w, r, &body); err != nil {
		return err
	}
	if body.ClusterVolumeSpec != nil {
		return errdefs.With(errdefs.ErrNotSupported, errors.New("cannot create volume "+body.Name+": ClusterVolumeSpec is not supported: there is no swarm"))
	}
	d, err := h.engine.Create(r.Context(), resource.VolumeRequest{Name: body.Name, Driver: body.Driver, Options: body.DriverOpts, Labels: body.Labels})
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusCreated, describe(d))
}

// remove: force means that a volume which is not there is no error.
func (h *handlers) remove(w http.ResponseWriter, r *http.Request) error {
	err := h.engine.Remove(r.Context(), r.PathValue("name"))
	if err != nil && !(wire.Bool(r, "force") && errors.Is(err, errdefs.ErrNotFound)) {
		return err
	}
	return wire.NoContent(w)
}

// prune takes the volumes that nobody has named, and with the filter all, or from a client of a version before 1.42, the others too.
func (h *handlers) prune(w http.ResponseWriter, r *http.Request) error {
	f, err := wire.ReadFilters(r, "all", "label", "label!")
	if err != nil {
		return err
	}
	all, err := f.Bool("all", wire.VersionOf(r.Context()) < 42)
	if err != nil {
		return err
	}
	names, freed, err := h.engine.Prune(r.Context(), func(d resource.VolumeDetail) bool {
		return (all || d.Anonymous) && f.Labels("label", d.Labels) && f.NoLabels("label!", d.Labels)
	})
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, volume.PruneReport{VolumesDeleted: names, SpaceReclaimed: uint64(freed)})
}

// Usage is every volume with how large it is, and how many containers have it.
func Usage(ctx context.Context, e Engine) ([]volume.Volume, error) {
	all, err := e.List(ctx)
	if err != nil {
		return nil, err
	}
	rows := []volume.Volume{}
	for _, d := range all {
		row := describe(d)
		row.UsageData = &volume.UsageData{RefCount: int64(len(d.Users))}
		if row.UsageData.Size, err = e.Size(ctx, d); err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}
