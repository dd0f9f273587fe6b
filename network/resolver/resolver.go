// Package resolver answers the names that containers ask for, each container at 127.0.0.11 in its own namespace.
package resolver

import (
	"net/netip"

	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/membership"
	"github.com/stackrun/stack/network/record"
)

// Resolver is what all containers' servers have in common. Safe for concurrent use.
type Resolver struct {
	networks *membership.Networks
	host     *dns.HostConfig
	out      *dns.Forwarder
}

// New answers by the names of networks, and asks servers for others; without any, those of the host's configuration at resolvConf.
func New(networks *membership.Networks, resolvConf string, servers []netip.Addr) *Resolver {
	r := &Resolver{networks: networks, host: &dns.HostConfig{Path: resolvConf}}
	r.out = dns.NewForwarder(func() []netip.AddrPort { return r.host.Load().Servers })
	if len(servers) > 0 {
		r.out = dns.NewForwarder(fixed(servers))
	}
	return r
}

func fixed(servers []netip.Addr) func() []netip.AddrPort {
	var at []netip.AddrPort
	for _, s := range servers {
		at = append(at, netip.AddrPortFrom(s, 53))
	}
	return func() []netip.AddrPort { return at }
}

// view is what the container of b sees of the names.
func (r *Resolver) view(b record.Sandbox) *dns.View {
	zones, outward := r.networks.Zones(b.Endpoints)
	v := &dns.View{Links: b.Config.Links, Zones: zones}
	if !outward {
		return v
	}
	v.Out = r.out
	if len(b.Config.DNS.Servers) > 0 {
		v.Out = dns.NewForwarder(fixed(b.Config.DNS.Servers))
	}
	return v
}

// File is the content of the /etc/resolv.conf of a container.
func (r *Resolver) File(c definition.SandboxConfig) string {
	if len(c.Endpoints) == 0 {
		return "" // only lo: there is nobody to ask
	}
	search, options := c.DNS.Search, c.DNS.Options
	if len(search) == 0 {
		search = r.host.Load().Search
	} else if len(search) == 1 && search[0] == "." {
		search = nil // docker's way to say: none
	}
	return dns.Render(search, options)
}
