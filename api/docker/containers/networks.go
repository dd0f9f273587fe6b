package containers

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/single"
)

// defaultNetwork is where a container is that says nothing.
const defaultNetwork = "bridge"

// Driver options of a place on a network that have a meaning here.
const (
	optIfname  = "com.docker.network.endpoint.ifname"
	optSysctls = "com.docker.network.endpoint.sysctls"
)

// setNetworks takes the network mode, the places on networks, published ports and names.
func setNetworks(want *single.Want, h *container.HostConfig, n *network.NetworkingConfig) error {
	s := &want.Spec
	mode := string(h.NetworkMode)
	if mode == "" || mode == network.NetworkDefault {
		mode = defaultNetwork // and inspect says so, as dockerd's
	}
	want.Traits.NetworkMode = mode
	var endpoints map[string]*network.EndpointSettings
	if n != nil {
		endpoints = n.EndpointsConfig
	}
	switch {
	case mode == "none" || mode == "host" || strings.HasPrefix(mode, "container:"):
		if len(endpoints) > 1 || len(endpoints) == 1 && endpoints[mode] == nil && !only(endpoints, mode) {
			return invalid("conflicting options: cannot attach both user-defined and non-user-defined network-modes: %s", mode)
		}
		s.NetworkMode = mode
	default:
		if err := setEndpoints(s, mode, endpoints); err != nil {
			return err
		}
	}
	if err := setPorts(s, h.PortBindings); err != nil {
		return err
	}
	for _, a := range h.DNS {
		s.DNS = append(s.DNS, a.String())
	}
	s.DNSOpt, s.DNSSearch = h.DNSOptions, h.DNSSearch
	for _, text := range h.ExtraHosts {
		// HOST:ADDRESS, and HOST=ADDRESS for addresses with colons.
		name, address, ok := strings.Cut(text, "=")
		if !ok {
			name, address, ok = strings.Cut(text, ":")
		}
		if !ok || name == "" || address == "" {
			return invalid("bad format for add-host: %q", text)
		}
		s.ExtraHosts = append(s.ExtraHosts, plan.HostEntry{Host: name, Address: strings.Trim(address, "[]")})
	}
	for _, link := range h.Links {
		s.ExternalLinks = append(s.ExternalLinks, strings.TrimPrefix(link, "/"))
	}
	return nil
}

// only says that endpoints has the one for mode, or nothing.
func only(endpoints map[string]*network.EndpointSettings, mode string) bool {
	_, ok := endpoints[mode]
	return ok || len(endpoints) == 0
}

// setEndpoints: what is said of places on networks goes before the mode, as with dockerd.
func setEndpoints(s *plan.Spec, mode string, endpoints map[string]*network.EndpointSettings) error {
	s.Networks = map[string]plan.Endpoint{}
	for _, name := range slices.Sorted(maps.Keys(endpoints)) {
		e := endpoints[name]
		if name == network.NetworkDefault {
			name = defaultNetwork
		}
		out, links, err := endpoint(name, e)
		if err != nil {
			return err
		}
		s.Networks[name] = out
		s.ExternalLinks = append(s.ExternalLinks, links...)
	}
	if len(s.Networks) == 0 {
		s.Networks[mode] = plan.Endpoint{}
	}
	// Its first interface is that of the mode.
	if e, ok := s.Networks[mode]; ok && len(s.Networks) > 1 {
		e.Priority = 1
		s.Networks[mode] = e
	}
	return nil
}

func endpoint(name string, e *network.EndpointSettings) (out plan.Endpoint, links []string, err error) {
	if e == nil {
		return out, nil, nil
	}
	out = plan.Endpoint{Aliases: e.Aliases, GwPriority: e.GwPriority, MacAddress: e.MacAddress.String()}
	if c := e.IPAMConfig; c != nil {
		if c.IPv4Address.IsValid() {
			out.IPv4 = c.IPv4Address.String()
		}
		if c.IPv6Address.IsValid() {
			out.IPv6 = c.IPv6Address.String()
		}
		for _, a := range c.LinkLocalIPs {
			out.LinkLocal = append(out.LinkLocal, a.String())
		}
	}
	for key, value := range e.DriverOpts {
		switch key {
		case optIfname:
			out.Interface = value
		case optSysctls:
			out.Sysctls = value
		default:
			return out, nil, cannot("driver option %s of the endpoint on network %s: stack has %s and %s", key, name, optIfname, optSysctls)
		}
	}
	for _, link := range e.Links {
		links = append(links, strings.TrimPrefix(link, "/"))
	}
	return out, links, nil
}

func setPorts(s *plan.Spec, bindings network.PortMap) error {
	for port, all := range bindings {
		if len(all) == 0 {
			all = []network.PortBinding{{}}
		}
		for _, b := range all {
			p := plan.Port{Target: port.Num()}
			if proto := string(port.Proto()); proto != "tcp" {
				p.Protocol = proto
			}
			if b.HostIP.IsValid() {
				p.HostIP = b.HostIP.String()
			}
			first, last, ranged := strings.Cut(b.HostPort, "-")
			n, err := hostPort(first)
			if err != nil {
				return err
			}
			p.Published = n
			if ranged {
				if p.PublishedEnd, err = hostPort(last); err != nil || p.PublishedEnd < p.Published {
					return invalid("invalid port specification: %q", b.HostPort)
				}
			}
			s.Ports = append(s.Ports, p)
		}
	}
	slices.SortFunc(s.Ports, func(a, b plan.Port) int {
		if a.Target != b.Target {
			return int(a.Target) - int(b.Target)
		}
		return strings.Compare(a.Protocol+a.HostIP, b.Protocol+b.HostIP)
	})
	return nil
}

func hostPort(text string) (uint16, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, invalid("invalid port specification: %q", text)
	}
	return uint16(n), nil
}
