package docker

import (
	"errors"
	"net/http"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
)

// operation is one of the API, in the order of its specification.
type operation struct {
	Method, Path string
	// why it is refused; nil = the package of its noun serves it
	why *refusal
}

// refusal is a reason not to serve an operation, and the answer's status.
type refusal struct {
	status int
	reason string
}

var (
	noSwarm   = &refusal{http.StatusServiceUnavailable, "This node is not a swarm manager. stack runs containers on one host and has no swarm; `stack up` runs what a Compose file says"}
	noPlugins = &refusal{http.StatusNotImplemented, "stack has no plugins: networks are of the drivers bridge, macvlan and ipvlan, volumes of the driver local"}
	// Who looks for an object of whichever kind (docker inspect) asks for a plugin last, and goes by the status.
	noSuchPlugin  = &refusal{http.StatusNotFound, "No such plugin: stack has none"}
	noVersion2    = &refusal{http.StatusNotImplemented, "stack does not serve builds of POST /build?version=2, which could be cancelled so: docker with the plugin buildx builds by POST /grpc, and ends a build by hanging up"}
	noWebsocket   = &refusal{http.StatusNotImplemented, "stack does not attach by websocket; POST /containers/{id}/attach is served"}
	noSearch      = &refusal{http.StatusNotImplemented, "stack does not search registries: the protocol of registries has no search, and Docker Hub's is its own"}
	noCheckpoints = &refusal{http.StatusNotImplemented, "stack takes no checkpoints of containers"}
)

// operations are all of version 1.51, and those that its specification leaves out.
// https://github.com/moby/moby/blob/api/v1.57.0/api/docs/v1.51.yaml
var operations = []operation{
	{"GET", "/containers/json", nil},
	{"POST", "/containers/create", nil},
	{"GET", "/containers/{id}/json", nil},
	{"GET", "/containers/{id}/top", nil},
	{"GET", "/containers/{id}/logs", nil},
	{"GET", "/containers/{id}/changes", nil},
	{"GET", "/containers/{id}/export", nil},
	{"GET", "/containers/{id}/stats", nil},
	{"POST", "/containers/{id}/resize", nil},
	{"POST", "/containers/{id}/start", nil},
	{"POST", "/containers/{id}/stop", nil},
	{"POST", "/containers/{id}/restart", nil},
	{"POST", "/containers/{id}/kill", nil},
	{"POST", "/containers/{id}/update", nil},
	{"POST", "/containers/{id}/rename", nil},
	{"POST", "/containers/{id}/pause", nil},
	{"POST", "/containers/{id}/unpause", nil},
	{"POST", "/containers/{id}/attach", nil},
	{"GET", "/containers/{id}/attach/ws", noWebsocket},
	{"POST", "/containers/{id}/wait", nil},
	{"DELETE", "/containers/{id}", nil},
	{"HEAD", "/containers/{id}/archive", nil},
	{"GET", "/containers/{id}/archive", nil},
	{"PUT", "/containers/{id}/archive", nil},
	{"POST", "/containers/prune", nil},
	{"GET", "/images/json", nil},
	{"POST", "/build", nil},
	{"POST", "/build/prune", nil},
	{"POST", "/images/create", nil},
	{"GET", "/images/{name...}/json", nil},
	{"GET", "/images/{name...}/history", nil},
	{"POST", "/images/{name...}/push", nil},
	{"POST", "/images/{name...}/tag", nil},
	{"DELETE", "/images/{name...}", nil},
	{"GET", "/images/search", noSearch},
	{"POST", "/images/prune", nil},
	{"POST", "/auth", nil},
	{"GET", "/info", nil},
	{"GET", "/version", nil},
	{"GET", "/_ping", nil},
	{"HEAD", "/_ping", nil},
	{"POST", "/commit", nil},
	{"GET", "/events", nil},
	{"GET", "/system/df", nil},
	{"GET", "/images/{name...}/get", nil},
	{"GET", "/images/get", nil},
	{"POST", "/images/load", nil},
	{"POST", "/containers/{id}/exec", nil},
	{"POST", "/exec/{id}/start", nil},
	{"POST", "/exec/{id}/resize", nil},
	{"GET", "/exec/{id}/json", nil},
	{"GET", "/volumes", nil},
	{"POST", "/volumes/create", nil},
	{"GET", "/volumes/{name}", nil},
	{"PUT", "/volumes/{name}", noSwarm},
	{"DELETE", "/volumes/{name}", nil},
	{"POST", "/volumes/prune", nil},
	{"GET", "/networks", nil},
	{"GET", "/networks/{id...}", nil},
	{"DELETE", "/networks/{id...}", nil},
	{"POST", "/networks/create", nil},
	{"POST", "/networks/{id...}/connect", nil},
	{"POST", "/networks/{id...}/disconnect", nil},
	{"POST", "/networks/prune", nil},
	{"GET", "/plugins", nil},
	{"GET", "/plugins/privileges", noPlugins},
	{"POST", "/plugins/pull", noPlugins},
	{"GET", "/plugins/{name...}/json", noSuchPlugin},
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
	{"GET", "/distribution/{name...}/json", nil},
	{"POST", "/session", nil},
	{"POST", "/grpc", nil},
	{"POST", "/build/cancel", noVersion2},
	{"GET", "/containers/{id}/checkpoints", noCheckpoints},
	{"POST", "/containers/{id}/checkpoints", noCheckpoints},
	{"DELETE", "/containers/{id}/checkpoints/{checkpoint}", noCheckpoints},
}

// refused are routes for all operations that are refused; they answer why.
func refused() []wire.Route {
	var all []wire.Route
	for _, o := range operations {
		if o.why != nil {
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
