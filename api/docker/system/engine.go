// Package system answers what the Docker Engine API asks of the daemon as a whole: ping, version, info, events.
//
// Called by api/docker. May touch: nothing; it reads what kind of host this is.
package system

import (
	"context"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/event"
)

// Engine is what is needed of the engine: *reconcile.Engine.
type Engine interface {
	HostSummary(ctx context.Context) (reconcile.HostSummary, error)
	Events(ctx context.Context, project string, o event.Window) <-chan event.Event
	EventActor(ctx context.Context, ev event.Event) event.Actor
}

// Options say what the daemon is.
type Options struct {
	Version  string                // of the program
	Mirrors  map[string][]string   // registry → base URLs that are asked first
	Insecure []string              // registries that are asked over plain HTTP
	Pools    []network.AddressPool // where networks without a subnet of their own get one
}

type handlers struct {
	engine Engine
	opt    Options
}

// Routes are the operations of this package.
func Routes(e Engine, opt Options) []wire.Route {
	h := &handlers{e, opt}
	return []wire.Route{
		{Method: "GET", Path: "/_ping", Handle: h.ping},
		{Method: "HEAD", Path: "/_ping", Handle: h.ping},
		{Method: "GET", Path: "/version", Handle: h.version},
		{Method: "GET", Path: "/info", Handle: h.info},
		{Method: "GET", Path: "/events", Handle: h.events},
		{Method: "GET", Path: "/plugins", Handle: h.plugins},
	}
}
