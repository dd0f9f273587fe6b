package images

import (
	"errors"
	"net/http"

	api "github.com/moby/moby/api/types/image"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/errdefs"
)

// Usage is every image with how many bytes of it other images have too, and how many bytes all have together. users says how many containers have which, by id.
func Usage(r *http.Request, e Engine, users map[string]int64) (rows []api.Summary, total int64, err error) {
	all, err := e.ListImages(r.Context())
	if err != nil {
		return nil, 0, err
	}
	layers := map[v1.Hash][]image.LayerInfo{} // by image
	among := map[v1.Hash]int{}                // how many images have which layer
	for _, i := range all {
		found, err := e.InspectImage(r.Context(), i.ID.String(), i.Platform)
		if errors.Is(err, errdefs.ErrNotFound) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, 0, err
		}
		layers[i.ID] = found.Layers
		for _, l := range found.Layers {
			if among[l.DiffID] == 0 {
				total += l.Bytes
			}
			among[l.DiffID]++
		}
	}
	rows = []api.Summary{}
	for _, i := range all {
		row := summary(r, i, i.Refs)
		row.Containers, row.SharedSize = users[row.ID], 0
		for _, l := range layers[i.ID] {
			if among[l.DiffID] > 1 {
				row.SharedSize += l.Bytes
			}
		}
		rows = append(rows, row)
	}
	return rows, total, nil
}
