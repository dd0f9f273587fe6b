package images

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	api "github.com/moby/moby/api/types/image"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
)

func (h *handlers) list(w http.ResponseWriter, r *http.Request) error {
	f, err := wire.ReadFilters(r, "dangling", "label", "label!", "before", "since", "until", "reference")
	if err != nil {
		return err
	}
	dangling, err := f.Bool("dangling", false)
	if err != nil {
		return err
	}
	var before, since time.Time
	for _, edge := range []struct {
		key string
		to  *time.Time
	}{{"before", &before}, {"since", &since}} {
		for _, ref := range f[edge.key] {
			found, err := h.engine.InspectImage(r.Context(), ref, v1.Platform{})
			if err != nil {
				return err
			}
			*edge.to = found.Created
		}
	}
	until, err := latest(f["until"])
	if err != nil {
		return err
	}
	all, err := h.engine.ListImages(r.Context())
	if err != nil {
		return err
	}
	list := []api.Summary{}
	for _, i := range all {
		tags := i.Refs
		switch {
		case f.Has("dangling") && dangling != (len(i.Refs) == 0),
			!f.Labels("label", i.Config.Labels), !f.NoLabels("label!", i.Config.Labels),
			f.Has("before") && !i.Created.Before(before), f.Has("since") && !i.Created.After(since),
			!until.IsZero() && !i.Created.Before(until):
			continue
		}
		if f.Has("reference") {
			if tags = slices.DeleteFunc(slices.Clone(i.Refs), func(tag string) bool { return !matches(f["reference"], tag) }); len(tags) == 0 {
				continue
			}
		}
		list = append(list, summary(r, i, tags))
	}
	// As dockerd does: the newest first.
	slices.SortStableFunc(list, func(a, b api.Summary) int { return int(b.Created - a.Created) })
	return wire.JSON(w, http.StatusOK, list)
}

func summary(r *http.Request, i image.Info, tags []string) api.Summary {
	s := api.Summary{
		ID: i.ID.String(), RepoTags: append([]string{}, tags...), RepoDigests: append([]string{}, i.Digests...), Created: i.Created.Unix(), Size: i.Size,
		Labels: i.Config.Labels, Containers: -1, SharedSize: -1,
	}
	if i.Created.IsZero() {
		s.Created = 0
	}
	if wire.VersionOf(r.Context()) < 43 && len(s.RepoTags) == 0 {
		// "the client is to show that there are none" came with version 1.43.
		s.RepoTags = []string{"<none>:<none>"}
		if len(s.RepoDigests) == 0 {
			s.RepoDigests = []string{"<none>@<none>"}
		}
	}
	return s
}

// matches says whether tag, a name with its tag, is one that a pattern means: as a whole, or its repository.
func matches(patterns []string, tag string) bool {
	repo := tag
	if i := strings.LastIndexByte(tag, ':'); i > strings.LastIndexByte(tag, '/') {
		repo = tag[:i]
	}
	return slices.ContainsFunc(patterns, func(p string) bool {
		whole, _ := path.Match(p, tag)
		name, _ := path.Match(p, repo)
		return whole || name
	})
}

// latest is the earliest of the moments of the filter until.
func latest(texts []string) (time.Time, error) {
	var until time.Time
	for _, text := range texts {
		t, err := wire.Time("until", text, time.Now())
		if err != nil {
			return until, err
		}
		if until.IsZero() || t.Before(until) {
			until = t
		}
	}
	return until, nil
}

func (h *handlers) remove(w http.ResponseWriter, r *http.Request) error {
	if _, given, err := platform(r, "platforms"); err != nil || given {
		return noPlatforms(err)
	}
	gone, err := h.engine.RemoveImage(r.Context(), r.PathValue("name"), wire.Bool(r, "force"))
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, removed(gone))
}

func noPlatforms(err error) error {
	if err == nil {
		err = errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot remove one platform of an image: each image is here for one"))
	}
	return err
}

func removed(gone image.Removal) []api.DeleteResponse {
	list := []api.DeleteResponse{}
	for _, name := range gone.Untagged {
		list = append(list, api.DeleteResponse{Untagged: name})
	}
	for _, id := range gone.Deleted {
		list = append(list, api.DeleteResponse{Deleted: id.String()})
	}
	return list
}

// pruned is the answer of a prune.
type pruned struct {
	ImagesDeleted  []api.DeleteResponse
	SpaceReclaimed uint64
}

func (h *handlers) prune(w http.ResponseWriter, r *http.Request) error {
	f, err := wire.ReadFilters(r, "dangling", "label", "label!", "until")
	if err != nil {
		return err
	}
	dangling, err := f.Bool("dangling", true)
	if err != nil {
		return err
	}
	until, err := latest(f["until"])
	if err != nil {
		return err
	}
	gone, err := h.engine.PruneImages(r.Context(), !dangling, func(i image.Info) bool {
		return f.Labels("label", i.Config.Labels) && f.NoLabels("label!", i.Config.Labels) && (until.IsZero() || i.Created.Before(until))
	})
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, pruned{removed(gone), uint64(gone.Bytes)})
}
