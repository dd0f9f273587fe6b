// Package networks answers the operations of the Docker Engine API on networks.
//
// Called by api/docker. May touch: nothing; what it does it asks of its Engine.
package networks

import (
	"context"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/reconcile/resource"
)

// Engine is what is needed of the engine: resource.Networks.
type Engine interface {
	List(ctx context.Context) ([]resource.NetworkDetail, error)
	Inspect(ctx context.Context, ref string) (resource.NetworkDetail, error)
	Create(ctx context.Context, r resource.NetworkRequest) (resource.NetworkDetail, error)
	Remove(ctx context.Context, ref string) error
	Prune(ctx context.Context, which func(resource.NetworkDetail) bool) ([]string, error)
}

type handlers struct{ engine Engine }

// Routes are the operations of this package.
func Routes(e Engine) []wire.Route {
	h := &handlers{e}
	return []wire.Route{
		{Method: "GET", Path: "/networks", Handle: h.list},
		{Method: "GET", Path: "/networks/{id...}", Handle: h.inspect},
		{Method: "POST", Path: "/networks/create", Handle: h.create},
		{Method: "DELETE", Path: "/networks/{id...}", Handle: h.remove},
		{Method: "POST", Path: "/networks/prune", Handle: h.prune},
	}
}
