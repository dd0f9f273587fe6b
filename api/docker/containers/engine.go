// Package containers answers the operations of the Docker Engine API on containers.
//
// Called by api/docker. May touch: nothing; what it does it asks of its Engine.
package containers

import "github.com/stackrun/stack/api/docker/wire"

// Engine is what is needed of the engine: *reconcile.Engine.
type Engine interface{}

type handlers struct{ engine Engine }

// Routes are the operations of this package.
func Routes(e Engine) []wire.Route {
	h := &handlers{e}
	_ = h
	return []wire.Route{}
}
