// Package docker answers the Docker Engine API on the daemon's socket, beside the API of its own below /v1: docker, docker compose and what is made for them
// work with it as with dockerd (ADR 67).
//
// Its handlers are in packages of one noun each: system, containers, images, networks, volumes; each says in its engine.go what it needs of the engine. They translate, and decide
// nothing. Package buildkit speaks BuildKit's protocol, by which docker's plugin buildx builds (ADR 80). Package wire has what they share. An operation that is not served is answered with its name and the reason; docs/engine-api.md lists all.
//
// Called by cmd/stack, for api/server. May touch: the socket's connections.
package docker

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/stackrun/stack/api/docker/buildkit"
	"github.com/stackrun/stack/api/docker/containers"
	"github.com/stackrun/stack/api/docker/images"
	"github.com/stackrun/stack/api/docker/networks"
	"github.com/stackrun/stack/api/docker/system"
	"github.com/stackrun/stack/api/docker/volumes"
	"github.com/stackrun/stack/api/docker/wire"
)

// Engines are what the API stands in front of: *reconcile.Engine, by noun.
type Engines struct {
	System     system.Engine
	Containers containers.Engine
	Images     images.Engine
	Builds     buildkit.Engine
	Networks   networks.Engine
	Volumes    volumes.Engine
}

// Options of New.
type Options struct {
	System system.Options
	Log    *slog.Logger // nil = nowhere
}

// New makes the handler.
func New(e Engines, opt Options) http.Handler {
	m := &wire.Mux{Server: "stack/" + opt.System.Version + " (linux)", Log: opt.Log}
	m.Add(routes(e, opt)...)
	m.Add(refused()...)
	return m
}

// routes are those of the operations that are served.
func routes(e Engines, opt Options) []wire.Route {
	df := []wire.Route{{Method: "GET", Path: "/system/df", Handle: e.df}}
	return slices.Concat(df, system.Routes(e.System, opt.System), containers.Routes(e.Containers), images.Routes(e.Images), networks.Routes(e.Networks), volumes.Routes(e.Volumes),
		buildkit.Routes(e.Builds, buildkit.Options{Version: opt.System.Version}))
}
