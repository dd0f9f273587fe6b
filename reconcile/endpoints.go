package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/plan"
)

// networkOrder are the networks of c: by priority downwards, then by name.
func networkOrder(c *plan.Spec) []string {
	names := slices.Collect(maps.Keys(c.Networks))
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(c.Networks[b].Priority, c.Networks[a].Priority), strings.Compare(a, b))
	})
	return names
}

// endpointConfigs are the memberships of a container, in the order in which its interfaces are numbered.
func endpointConfigs(c *container) ([]network.EndpointConfig, error) {
	var out []network.EndpointConfig
	for i, name := range networkOrder(&c.spec) {
		ep := c.spec.Networks[name]
		e := network.EndpointConfig{
			Network: name, ContainerID: c.ID, ShortID: shortID(c.ID), Interface: ep.Interface, MAC: ep.MacAddress, GwPriority: ep.GwPriority,
			Names: dnsNames(c, ep.Aliases),
		}
		if c.alone != nil && name == DefaultNetwork {
			e.Names = nil // nobody is called by a name there, as with docker
		}
		if i == 0 && e.MAC == "" {
			e.MAC = c.spec.MacAddress // goes to the primary network
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
		if e.Sysctls, err = network.InterfaceSysctls(ep.Sysctls); err != nil {
			return nil, fmt.Errorf("network %s: %w", name, err)
		}
		out = append(out, e)
	}
	return out, nil
}

// dnsNames are the names of a container on a network: its own, its service's, its aliases, and the hostname that the file
// gives it, as with docker: members of a cluster call each other by it. A one-off has only its own, so that clients of the
// service do not end up there, unless it was given aliases on purpose.
func dnsNames(c *container, aliases []string) []string {
	names := []string{c.name}
	if !c.oneOff || c.aliases {
		if c.alone == nil {
			names = append(names, c.service)
		}
		names = append(names, aliases...)
		if c.spec.Hostname != "" {
			names = append(names, c.spec.Hostname)
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

// sandboxConfig says which network a container gets.
func sandboxConfig(c *container) (network.SandboxConfig, error) {
	cfg := network.SandboxConfig{ContainerID: c.ID, Succeeds: cmp.Or(c.beside, c.succeeds), Holder: c.project, Labels: map[string]string{label.Project: c.project, label.Service: c.service, label.Name: c.name}, Sysctls: bundle.NetSysctls(&c.spec)}
	if c.spec.NetworkMode != "none" {
		endpoints, err := endpointConfigs(c)
		if err != nil {
			return cfg, err
		}
		cfg.Endpoints = endpoints
	}
	for _, p := range c.spec.Ports {
		out, err := networkPort(p)
		if err != nil {
			return cfg, err
		}
		cfg.Ports = append(cfg.Ports, out)
	}
	for _, s := range c.spec.DNS {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return cfg, fmt.Errorf("cannot use dns %q: expected an address", s)
		}
		cfg.DNS.Servers = append(cfg.DNS.Servers, a)
	}
	cfg.DNS.Search, cfg.DNS.Options = c.spec.DNSSearch, c.spec.DNSOpt
	for _, link := range c.spec.ExternalLinks {
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
