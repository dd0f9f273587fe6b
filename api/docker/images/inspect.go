package images

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	api "github.com/moby/moby/api/types/image"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
)

// platform reads a query parameter that is a platform in JSON, as of version 1.48: {"os":"linux","architecture":"arm64"}.
func platform(r *http.Request, name string) (p v1.Platform, given bool, err error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return p, false, nil
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil || p.OS == "" || p.Architecture == "" {
		return p, true, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf(`invalid value for %s: %q is no platform as in {"os":"linux","architecture":"amd64"}`, name, text))
	}
	return p, true, nil
}

func (h *handlers) inspect(w http.ResponseWriter, r *http.Request) error {
	p, _, err := platform(r, "platform")
	if err != nil {
		return err
	}
	i, err := h.engine.InspectImage(r.Context(), r.PathValue("name"), p)
	if err != nil {
		return err
	}
	out := api.InspectResponse{
		ID: i.ID.String(), RepoTags: append([]string{}, i.Refs...), RepoDigests: append([]string{}, i.Digests...),
		Author: i.File.Author, Architecture: i.Platform.Architecture, Variant: i.Platform.Variant, Os: i.Platform.OS, OsVersion: i.File.OSVersion, Size: i.Size,
		RootFS: api.RootFS{Type: "layers"}, Metadata: api.Metadata{LastTagTime: i.PulledAt},
	}
	if !i.Created.IsZero() {
		out.Created = i.Created.UTC().Format(time.RFC3339Nano)
	}
	if n := len(i.File.History); n > 0 {
		out.Comment = i.File.History[n-1].Comment
	}
	for _, l := range i.Layers {
		out.RootFS.Layers = append(out.RootFS.Layers, l.DiffID.String())
	}
	// Both are the form of an image's configuration: what the one has written, the other reads.
	conf, err := json.Marshal(map[string]any{"Config": i.File.Config})
	if err == nil {
		err = json.Unmarshal(conf, &out)
	}
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, out)
}

func (h *handlers) history(w http.ResponseWriter, r *http.Request) error {
	p, _, err := platform(r, "platform")
	if err != nil {
		return err
	}
	i, err := h.engine.InspectImage(r.Context(), r.PathValue("name"), p)
	if err != nil {
		return err
	}
	items := []api.HistoryResponseItem{}
	layer := 0
	for _, e := range i.File.History {
		item := api.HistoryResponseItem{ID: "<missing>", Comment: e.Comment, CreatedBy: e.CreatedBy, Tags: []string{}}
		if !e.Created.IsZero() {
			item.Created = e.Created.Unix()
		}
		if !e.EmptyLayer && layer < len(i.Layers) {
			item.Size = i.Layers[layer].Bytes
			layer++
		}
		items = append([]api.HistoryResponseItem{item}, items...)
	}
	// What the history does not tell of is there all the same.
	for ; layer < len(i.Layers); layer++ {
		items = append([]api.HistoryResponseItem{{ID: "<missing>", Size: i.Layers[layer].Bytes, Created: i.Created.Unix(), Tags: []string{}}}, items...)
	}
	if len(items) > 0 {
		items[0].ID, items[0].Tags = i.ID.String(), append([]string{}, i.Refs...)
	}
	return wire.JSON(w, http.StatusOK, items)
}
