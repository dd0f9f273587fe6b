// Package volumes answers the operations of the Docker Engine API on volumes.
//
// Called by api/docker. May touch: nothing; what it does it asks of its Engine.
package volumes

import (
	"context"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/reconcile/resource"
)

// Engine is what is needed of the engine: resource.Volumes.
type Engine interface {
	List(ctx context.Context) ([]resource.VolumeDetail, error)
	Inspect(ctx context.Context, name string) (resource.VolumeDetail, error)
	Create(ctx context.Context, r resource.VolumeRequest) (resource.VolumeDetail, error)
	Remove(ctx context.Context, name string) error
	Size(ctx context.Context, d resource.VolumeDetail) (int64, error)
	Prune(ctx context.Context, which func(resource.VolumeDetail) bool) (names []string, freed int64, err error)
}

type handlers struct{ engine Engine }

// Routes are the operations of this package.
func Routes(e Engine) []wire.Route {
	h := &handlers{e}
	return []wire.Route{
		{Method: "GET", Path: "/volumes", Handle: h.list},
		{Method: "GET", Path: "/volumes/{name}", Handle: h.inspect},
		{Method: "POST", Path: "/volumes/create", Handle: h.create},
		{Method: "DELETE", Path: "/volumes/{name}", Handle: h.remove},
		{Method: "POST", Path: "/volumes/prune", Handle: h.prune},
	}
}
