package wiring

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/resource"
)

// EndpointConfigs are the memberships of a container, in the order in which its interfaces are numbered.
func EndpointConfigs(c *inventory.Container) ([]network.EndpointConfig, error) {
	var out []network.EndpointConfig
	for i, name := range bundle.NetworkOrder(&c.Spec) {
		ep := c.Spec.Networks[name]
		e := network.EndpointConfig{
			Network: name, ContainerID: c.ID, ShortID: objectid.Short(c.ID), Interface: ep.Interface, MAC: ep.MacAddress, GwPriority: ep.GwPriority,
			Names: dnsNames(c, ep.Aliases),
		}
		if c.Alone != nil && name == resource.DefaultNetwork {
			e.Names = nil // nobody is called by a name there, as with docker
		}
		if i == 0 && e.MAC == "" {
			e.MAC = c.Spec.MacAddress // goes to the primary network
		}
		for _, a := range []struct {
			value string
			into  *netip.Addr
		}{{ep.IPv4, &e.IPv4}, {ep.IPv6, &e.IPv6}} {
			if a.value == "" {
				continue
			}
			addr, err := netip.ParseAddr(a.value)
			if err != nil {
				return nil, fmt.Errorf("cannot use address %q on network %s", a.value, name)
			}
			*a.into = addr
		}
		for _, s := range ep.LinkLocal {
			addr, err := netip.ParseAddr(s)
			if err != nil {
				return nil, fmt.Errorf("cannot use address %q on network %s", s, name)
			}
			e.LinkLocal = append(e.LinkLocal, addr)
		}
		var err error
		if e.Sysctls, err = definition.InterfaceSysctls(ep.Sysctls); err != nil {
			return nil, fmt.Errorf("network %s: %w", name, err)
		}
		out = append(out, e)
	}
	return out, nil
}

// dnsNames are the names of a container on a network: its own, its service's, its aliases, and the hostname that the file
// gives it, as with docker: members of a cluster call each other by it. A one-off has only its own, so that clients of the
// service do not end up there, unless it was given aliases on purpose.
func dnsNames(c *inventory.Container, aliases []string) []string {
	names := []string{c.Name}
	if !c.OneOff || c.Aliases {
		if c.Alone == nil {
			names = append(names, c.Service)
		}
		names = append(names, aliases...)
		if c.Spec.Hostname != "" {
			names = append(names, c.Spec.Hostname)
		}
	}
	var out []string
	for _, n := range names {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// externalLink reads CONTAINER[:ALIAS].
func externalLink(text string) (container, alias string) {
	container, alias, ok := strings.Cut(text, ":")
	if !ok {
		alias = container
	}
	return container, alias
}

// Sandbox says which network a container gets.
func Sandbox(c *inventory.Container) (network.SandboxConfig, error) {
	cfg := network.SandboxConfig{ContainerID: c.ID, Called: c.Name, Succeeds: cmp.Or(c.Beside, c.Succeeds), Holder: c.Project, Labels: map[string]string{label.Project: c.Project, label.Service: c.Service, label.Name: c.Name}, Sysctls: bundle.NetSysctls(&c.Spec)}
	if c.Spec.NetworkMode != "none" {
		endpoints, err := EndpointConfigs(c)
		if err != nil {
			return cfg, err
		}
		cfg.Endpoints = endpoints
	}
	for _, p := range c.Spec.Ports {
		out, err := bundle.Port(p)
		if err != nil {
			return cfg, err
		}
		cfg.Ports = append(cfg.Ports, out)
	}
	for _, s := range c.Spec.DNS {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return cfg, fmt.Errorf("cannot use dns %q: expected an address", s)
		}
		cfg.DNS.Servers = append(cfg.DNS.Servers, a)
	}
	cfg.DNS.Search, cfg.DNS.Options = c.Spec.DNSSearch, c.Spec.DNSOpt
	for _, link := range c.Spec.ExternalLinks {
		name, alias := externalLink(link)
		if alias == name {
			continue // which is its name on the network anyway
		}
		if cfg.Links == nil {
			cfg.Links = map[string]string{}
		}
		cfg.Links[strings.ToLower(alias)] = strings.ToLower(name) // names in the DNS have no case, RFC 4343
	}
	return cfg, nil
}
