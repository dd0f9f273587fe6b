package networks

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/network"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
	rooms "github.com/stackrun/stack/network"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/reconcile/resource"
)

// predefined are names that nobody can give: there are networks of these names, or docker's clients mean something by them.
var predefined = []string{resource.DefaultNetwork, resource.HostNetwork, resource.NoNetwork, "default"}

func (h *handlers) create(w http.ResponseWriter, r *http.Request) error {
	var body network.CreateRequest
	// CheckDuplicate is of versions before 1.44: names are never given twice.
	if err := wire.Decode(w, r, &body, "CheckDuplicate"); err != nil {
		return err
	}
	req, err := request(body)
	if err != nil {
		return fmt.Errorf("cannot create network %q: %w", body.Name, err)
	}
	d, err := h.engine.Create(r.Context(), req)
	if err != nil {
		return err
	}
	answer := network.CreateResponse{ID: d.ID}
	if unknown := req.Config.UnknownOptions(); len(unknown) > 0 {
		answer.Warning = fmt.Sprintf("driver %s does not know these options, which have no effect: %s", d.Driver, strings.Join(unknown, ", "))
	}
	return wire.JSON(w, http.StatusCreated, answer)
}

// request is body in the engine's words; what cannot be done is refused by name.
func request(body network.CreateRequest) (req resource.NetworkRequest, err error) {
	refuse := func(what string) error {
		return errdefs.With(errdefs.ErrNotSupported, errors.New(what+" is not supported"))
	}
	bad := func(format string, args ...any) error {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf(format, args...))
	}
	driver := cmp.Or(body.Driver, "bridge")
	ipam := network.IPAM{}
	if body.IPAM != nil {
		ipam = *body.IPAM
	}
	switch {
	case strings.TrimSpace(body.Name) == "":
		return req, bad("it has no name")
	case slices.Contains(predefined, body.Name):
		return req, wire.WithStatus(http.StatusForbidden, fmt.Errorf("operation is not permitted on predefined %s network", body.Name))
	case driver == "host" || driver == "null":
		return req, wire.WithStatus(http.StatusForbidden, fmt.Errorf("only one instance of %q network is allowed", driver))
	case body.Scope != "" && body.Scope != "local":
		return req, refuse(fmt.Sprintf("scope %q: there is no swarm, and that", body.Scope))
	case body.Ingress:
		return req, refuse("Ingress: there is no swarm, and that")
	case body.ConfigOnly || body.ConfigFrom != nil && body.ConfigFrom.Network != "":
		return req, refuse("a network of configuration (ConfigOnly, ConfigFrom)")
	case ipam.Driver != "" && ipam.Driver != "default":
		return req, refuse(fmt.Sprintf("IPAM driver %q", ipam.Driver))
	case len(ipam.Options) > 0:
		return req, refuse("IPAM.Options")
	}
	req = resource.NetworkRequest{Labels: body.Labels, Attachable: body.Attachable, AuxNames: map[string]string{}, Config: rooms.Config{
		ID: body.Name, Driver: driver, Internal: body.Internal, DriverOpts: body.Options,
		IPv4: enabled(body.EnableIPv4, body.Options[definition.OptIPv4], true), IPv6: enabled(body.EnableIPv6, body.Options[definition.OptIPv6], false),
	}}
	for _, c := range ipam.Config {
		if !c.Subnet.IsValid() {
			if c.IPRange.IsValid() || c.Gateway.IsValid() || len(c.AuxAddress) > 0 {
				return req, bad("IPAM.Config has an address, a gateway or a range without a Subnet")
			}
			continue
		}
		p := rooms.Pool{Subnet: c.Subnet.Masked(), Range: c.IPRange.Masked(), Gateway: c.Gateway}
		for name, a := range c.AuxAddress {
			p.Aux = append(p.Aux, a)
			req.AuxNames[a.String()] = name
		}
		slices.SortFunc(p.Aux, func(a, b netip.Addr) int { return a.Compare(b) })
		req.Config.Pools = append(req.Config.Pools, p)
	}
	return req, nil
}

// enabled is what said says, else the option; one that is no boolean is told of when the network is checked.
func enabled(said *bool, option string, otherwise bool) bool {
	if said != nil {
		return *said
	}
	if b, err := strconv.ParseBool(option); err == nil {
		return b
	}
	return otherwise
}

// remove answers 403 where another verb would answer 409, as dockerd does.
func (h *handlers) remove(w http.ResponseWriter, r *http.Request) error {
	err := h.engine.Remove(r.Context(), r.PathValue("id"))
	if errors.Is(err, errdefs.ErrConflict) {
		err = wire.WithStatus(http.StatusForbidden, err)
	}
	if err != nil {
		return err
	}
	return wire.NoContent(w)
}

func (h *handlers) prune(w http.ResponseWriter, r *http.Request) error {
	f, err := wire.ReadFilters(r, "until", "label", "label!")
	if err != nil {
		return err
	}
	until, err := wire.Until(f, time.Now())
	if err != nil {
		return err
	}
	gone, err := h.engine.Prune(r.Context(), func(d resource.NetworkDetail) bool {
		return f.Labels("label", d.Labels) && f.NoLabels("label!", d.Labels) && (until.IsZero() || d.CreatedAt.Before(until))
	})
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, network.PruneReport{NetworksDeleted: gone})
}
