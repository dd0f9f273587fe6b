package docker

import (
	"errors"
	"net/http"
	"slices"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
)

// operation is one of the API, in the order of its specification.
type operation struct {
	Method, Path string
	// why it is refused, where no package serves it
	why *refusal
}

// refusal is a reason not to serve an operation, and the answer's status.
type refusal struct {
	status int
	reason string
}

var (
	noSwarm       = &refusal{http.StatusServiceUnavailable, "This node is not a swarm manager. stack runs containers on one host and has no swarm; `stack up` runs what a Compose file says"}
	noPlugins     = &refusal{http.StatusNotImplemented, "stack has no plugins: networks are of the drivers bridge, macvlan and ipvlan, volumes of the driver local"}
	noBuildKit    = &refusal{http.StatusNotImplemented, "stack does not speak BuildKit's protocol. Set DOCKER_BUILDKIT=0 to build by POST /build, or use `stack build`"}
	noWebsocket   = &refusal{http.StatusNotImplemented, "stack does not attach by websocket; POST /containers/{id}/attach is served"}
	noSearch      = &refusal{http.StatusNotImplemented, "stack does not search registries: the protocol of registries has no search, and Docker Hub's is its own"}
	noCheckpoints = &refusal{http.StatusNotImplemented, "stack takes no checkpoints of containers"}
	notYet        = &refusal{http.StatusNotImplemented, "this version of stack does not serve it"}
)

// operations are all of version 1.51, and those that its specification leaves out.
// https://github.com/moby/moby/blob/api/v1.57.0/api/docs/v1.51.yaml
var operations = []operation{
	{"GET", "/containers/json", notYet},
	{"POST", "/containers/create", notYet},
	{"GET", "/containers/{id}/json", notYet},
	{"GET", "/containers/{id}/top", notYet},
	{"GET", "/containers/{id}/logs", notYet},
	{"GET", "/containers/{id}/changes", notYet},
	{"GET", "/containers/{id}/export", notYet},
	{"GET", "/containers/{id}/stats", notYet},
	{"POST", "/containers/{id}/resize", notYet},
	{"POST", "/containers/{id}/start", notYet},
	{"POST", "/containers/{id}/stop", notYet},
	{"POST", "/containers/{id}/restart", notYet},
	{"POST", "/containers/{id}/kill", notYet},
	{"POST", "/containers/{id}/update", notYet},
	{"POST", "/containers/{id}/rename", notYet},
	{"POST", "/containers/{id}/pause", notYet},
	{"POST", "/containers/{id}/unpause", notYet},
	{"POST", "/containers/{id}/attach", notYet},
	{"GET", "/containers/{id}/attach/ws", noWebsocket},
	{"POST", "/containers/{id}/wait", notYet},
	{"DELETE", "/containers/{id}", notYet},
	{"HEAD", "/containers/{id}/archive", notYet},
	{"GET", "/containers/{id}/archive", notYet},
	{"PUT", "/containers/{id}/archive", notYet},
	{"POST", "/containers/prune", notYet},
	{"GET", "/images/json", notYet},
	{"POST", "/build", notYet},
	{"POST", "/build/prune", notYet},
	{"POST", "/images/create", notYet},
	{"GET", "/images/{name...}/json", notYet},
	{"GET", "/images/{name...}/history", notYet},
	{"POST", "/images/{name...}/push", notYet},
	{"POST", "/images/{name...}/tag", notYet},
	{"DELETE", "/images/{name...}", notYet},
	{"GET", "/images/search", noSearch},
	{"POST", "/images/prune", notYet},
	{"POST", "/auth", notYet},
	{"GET", "/info", notYet},
	{"GET", "/version", notYet},
	{"GET", "/_ping", notYet},
	{"HEAD", "/_ping", notYet},
	{"POST", "/commit", notYet},
	{"GET", "/events", notYet},
	{"GET", "/system/df", notYet},
	{"GET", "/images/{name...}/get", notYet},
	{"GET", "/images/get", notYet},
	{"POST", "/images/load", notYet},
	{"POST", "/containers/{id}/exec", notYet},
	{"POST", "/exec/{id}/start", notYet},
	{"POST", "/exec/{id}/resize", notYet},
	{"GET", "/exec/{id}/json", notYet},
	{"GET", "/volumes", notYet},
	{"POST", "/volumes/create", notYet},
	{"GET", "/volumes/{name}", notYet},
	{"PUT", "/volumes/{name}", noSwarm},
	{"DELETE", "/volumes/{name}", notYet},
	{"POST", "/volumes/prune", notYet},
	{"GET", "/networks", notYet},
	{"GET", "/networks/{id...}", notYet},
	{"DELETE", "/networks/{id...}", notYet},
	{"POST", "/networks/create", notYet},
	{"POST", "/networks/{id...}/connect", notYet},
	{"POST", "/networks/{id...}/disconnect", notYet},
	{"POST", "/networks/prune", notYet},
	{"GET", "/plugins", noPlugins},
	{"GET", "/plugins/privileges", noPlugins},
	{"POST", "/plugins/pull", noPlugins},
	{"GET", "/plugins/{name...}/json", noPlugins},
	{"DELETE", "/plugins/{name...}", noPlugins},
	{"POST", "/plugins/{name...}/enable", noPlugins},
	{"POST", "/plugins/{name...}/disable", noPlugins},
	{"POST", "/plugins/{name...}/upgrade", noPlugins},
	{"POST", "/plugins/create", noPlugins},
	{"POST", "/plugins/{name...}/push", noPlugins},
	{"POST", "/plugins/{name...}/set", noPlugins},
	{"GET", "/nodes", noSwarm},
	{"GET", "/nodes/{id}", noSwarm},
	{"DELETE", "/nodes/{id}", noSwarm},
	{"POST", "/nodes/{id}/update", noSwarm},
	{"GET", "/swarm", noSwarm},
	{"POST", "/swarm/init", noSwarm},
	{"POST", "/swarm/join", noSwarm},
	{"POST", "/swarm/leave", noSwarm},
	{"POST", "/swarm/update", noSwarm},
	{"GET", "/swarm/unlockkey", noSwarm},
	{"POST", "/swarm/unlock", noSwarm},
	{"GET", "/services", noSwarm},
	{"POST", "/services/create", noSwarm},
	{"GET", "/services/{id}", noSwarm},
	{"DELETE", "/services/{id}", noSwarm},
	{"POST", "/services/{id}/update", noSwarm},
	{"GET", "/services/{id}/logs", noSwarm},
	{"GET", "/tasks", noSwarm},
	{"GET", "/tasks/{id}", noSwarm},
	{"GET", "/tasks/{id}/logs", noSwarm},
	{"GET", "/secrets", noSwarm},
	{"POST", "/secrets/create", noSwarm},
	{"GET", "/secrets/{id}", noSwarm},
	{"DELETE", "/secrets/{id}", noSwarm},
	{"POST", "/secrets/{id}/update", noSwarm},
	{"GET", "/configs", noSwarm},
	{"POST", "/configs/create", noSwarm},
	{"GET", "/configs/{id}", noSwarm},
	{"DELETE", "/configs/{id}", noSwarm},
	{"POST", "/configs/{id}/update", noSwarm},
	{"GET", "/distribution/{name...}/json", notYet},
	{"POST", "/session", noBuildKit},
	{"POST", "/grpc", noBuildKit},
	{"POST", "/build/cancel", noBuildKit},
	{"GET", "/containers/{id}/checkpoints", noCheckpoints},
	{"POST", "/containers/{id}/checkpoints", noCheckpoints},
	{"DELETE", "/containers/{id}/checkpoints/{checkpoint}", noCheckpoints},
}

// refused are routes for all operations that are not among served; they answer why not.
func refused(served []wire.Route) []wire.Route {
	var all []wire.Route
	for _, o := range operations {
		if !slices.ContainsFunc(served, func(r wire.Route) bool { return r.Method == o.Method && r.Path == o.Path }) {
			all = append(all, o.refuse())
		}
	}
	return all
}

// refuse is the route that answers why not.
func (o operation) refuse() wire.Route {
	text := "cannot " + o.Method + " " + o.Path + ": " + o.why.reason
	if o.why == noSwarm {
		text = o.why.reason // clients know docker's sentence
	}
	err := wire.WithStatus(o.why.status, errdefs.With(errdefs.ErrNotSupported, errors.New(text)))
	return wire.Route{Method: o.Method, Path: o.Path, Handle: func(http.ResponseWriter, *http.Request) error { return err }}
}
