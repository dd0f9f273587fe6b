package networks

import (
	"cmp"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/netip"

	"github.com/moby/moby/api/types/network"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/resource"
)

// list has its own type for a row, with docker's empty Containers: clients before 1.52 read it.
func (h *handlers) list(w http.ResponseWriter, r *http.Request) error {
	f, err := wire.ReadFilters(r, "dangling", "driver", "id", "label", "name", "scope", "type")
	if err != nil {
		return err
	}
	dangling, err := f.Bool("dangling", false)
	if err != nil {
		return err
	}
	for _, kind := range f["type"] {
		if kind != "custom" && kind != "builtin" {
			return errdefs.With(errdefs.ErrInvalidArgument, errors.New("invalid filter 'type="+kind+"': expected custom or builtin"))
		}
	}
	all, err := h.engine.List(r.Context())
	if err != nil {
		return err
	}
	rows := []network.Inspect{}
	for _, d := range all {
		kind := "custom"
		if d.Predefined {
			kind = "builtin"
		}
		idle := !d.Predefined && len(d.Members) == 0
		if !f.Is("driver", d.Driver) || !f.Match("id", d.ID) || !f.Labels("label", d.Labels) || !f.Match("name", d.Name) || !f.Is("scope", "local") || !f.Is("type", kind) ||
			f.Has("dangling") && dangling != idle {
			continue
		}
		row := describe(d)
		row.Containers = map[string]network.EndpointResource{}
		rows = append(rows, row)
	}
	return wire.JSON(w, http.StatusOK, rows)
}

func (h *handlers) inspect(w http.ResponseWriter, r *http.Request) error {
	ref := r.PathValue("id")
	if scope := r.URL.Query().Get("scope"); scope != "" && scope != "local" {
		return errdefs.With(errdefs.ErrNotFound, errors.New("network "+ref+" not found: there is none of scope "+scope))
	}
	d, err := h.engine.Inspect(r.Context(), ref)
	if err != nil {
		return err
	}
	return wire.JSON(w, http.StatusOK, describe(d))
}

// describe is d in the API's words.
func describe(d resource.NetworkDetail) network.Inspect {
	out := network.Inspect{
		Network: network.Network{
			Name: d.Name, ID: d.ID, Created: d.CreatedAt, Scope: "local", Driver: d.Driver, EnableIPv4: d.Config.IPv4, EnableIPv6: d.Config.IPv6,
			IPAM:     network.IPAM{Driver: "default", Config: []network.IPAMConfig{}},
			Internal: d.Config.Internal, Attachable: d.Attachable, Options: map[string]string{}, Labels: d.Labels,
		},
		Containers: map[string]network.EndpointResource{},
	}
	maps.Copy(out.Options, d.Config.DriverOpts)
	if d.Predefined && d.Name == resource.DefaultNetwork {
		out.Options["com.docker.network.bridge.default_bridge"] = "true"
		if d.Link != "" {
			out.Options["com.docker.network.bridge.name"] = d.Link
		}
	}
	for _, p := range d.Pools {
		c := network.IPAMConfig{Subnet: p.Subnet, IPRange: p.Range, Gateway: p.Gateway}
		for _, a := range p.Aux {
			if c.AuxAddress == nil {
				c.AuxAddress = map[string]netip.Addr{}
			}
			c.AuxAddress[cmp.Or(d.AuxNames[a.String()], a.String())] = a
		}
		out.IPAM.Config = append(out.IPAM.Config, c)
	}
	for _, m := range d.Members {
		mac, _ := net.ParseMAC(m.MAC) // none = it has none of its own
		out.Containers[m.ContainerID] = network.EndpointResource{
			Name: m.Name, EndpointID: m.EndpointID, MacAddress: network.HardwareAddr(mac), IPv4Address: m.IPv4, IPv6Address: m.IPv6,
		}
	}
	return out
}
