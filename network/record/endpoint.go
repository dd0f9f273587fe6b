package record

import (
	"cmp"
	"net"
	"net/netip"
	"slices"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/definition"
)

// Endpoint is a membership as it is on the host.
type Endpoint struct {
	definition.EndpointConfig
	HostLink string // veth end on the bridge; "" = on another medium
	Addr4    netip.Prefix
	Addr6    netip.Prefix
	Gateway4 netip.Addr
	Gateway6 netip.Addr
}

// HardwareAddr is the MAC address of ep's interface, given or derived; "" = it has none of its own.
func (ep Endpoint) HardwareAddr() string {
	mac, err := ep.LinkAddr()
	if err != nil {
		return ""
	}
	return mac.String()
}

// LinkAddr is the MAC address that ep's interface gets. ErrInvalidArgument when what was given is none.
func (ep Endpoint) LinkAddr() (net.HardwareAddr, error) {
	if ep.MAC == "" {
		return LinkAddr(cmp.Or(ep.Addr4.Addr(), ep.Addr6.Addr())), nil
	}
	mac, err := net.ParseMAC(ep.MAC)
	return mac, errdefs.With(errdefs.ErrInvalidArgument, err)
}

// LinkAddr derives a MAC from an address, so that whoever gets the address later has the same and no neighbour
// cache is wrong: 02 marks it as locally administered (IEEE 802 section 8.4).
func LinkAddr(a netip.Addr) net.HardwareAddr {
	b := a.AsSlice()
	return append(net.HardwareAddr{0x02, 0x42}, b[len(b)-4:]...)
}

// Prefixes are the addresses that ep's interface has, with the length of the subnet that it reaches by each. For further ones that is docker's: that of the link-local
// subnets of RFC 3927 and RFC 4291, whatever they are.
func (ep Endpoint) Prefixes() (all []netip.Prefix) {
	for _, p := range []netip.Prefix{ep.Addr4, ep.Addr6} {
		if p.IsValid() {
			all = append(all, p)
		}
	}
	for _, a := range ep.LinkLocal {
		bits := 16
		if a.Is6() {
			bits = 64
		}
		all = append(all, netip.PrefixFrom(a, bits))
	}
	return all
}

// Addresses6 are those of IPv6.
func (ep Endpoint) Addresses6() (all []netip.Addr) {
	for _, p := range ep.Prefixes() {
		if p.Addr().Is6() {
			all = append(all, p.Addr())
		}
	}
	return all
}

// Is says whether ep, as it is, is what cfg asks for. Names and the priority of its gateway are no part of the interface.
func (ep Endpoint) Is(cfg definition.EndpointConfig) bool {
	have := ep.EndpointConfig
	free := func(static, got netip.Addr) bool { return !static.IsValid() || static == got }
	return have.Network == cfg.Network && (cfg.Interface == "" || cfg.Interface == have.Interface) && cfg.MAC == have.MAC &&
		free(cfg.IPv4, ep.Addr4.Addr()) && free(cfg.IPv6, ep.Addr6.Addr()) && slices.Equal(cfg.LinkLocal, have.LinkLocal)
}
