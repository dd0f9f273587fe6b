package containers

import (
	"errors"
	"net/http"

	"github.com/moby/moby/api/types/network"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
)

// connect and disconnect change a container, whatever their paths begin with.
func (h *handlers) connect(w http.ResponseWriter, r *http.Request) error {
	var body network.ConnectRequest
	if err := wire.Decode(w, r, &body); err != nil {
		return err
	}
	at, links, err := endpoint(r.PathValue("id"), body.EndpointConfig)
	if err == nil && len(links) > 0 {
		err = cannot("EndpointConfig.Links: links are made when a container is; Aliases are names on the network")
	}
	if err != nil {
		return err
	}
	return moved(w, h.engine.Connect(r.Context(), body.Container, r.PathValue("id"), at))
}

// disconnect: Force is for a container whose node is gone, and there is one node.
func (h *handlers) disconnect(w http.ResponseWriter, r *http.Request) error {
	var body network.DisconnectRequest
	if err := wire.Decode(w, r, &body); err != nil {
		return err
	}
	return moved(w, h.engine.Disconnect(r.Context(), body.Container, r.PathValue("id")))
}

// moved answers 403 where another verb would answer 409, as dockerd does.
func moved(w http.ResponseWriter, err error) error {
	if errors.Is(err, errdefs.ErrConflict) {
		err = wire.WithStatus(http.StatusForbidden, err)
	}
	if err == nil {
		w.WriteHeader(http.StatusOK)
	}
	return err
}
