package definition

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
)

// interfaceNameSize is IFNAMSIZ of linux/if.h: 15 characters and a zero.
const interfaceNameSize = 16

// EndpointConfig is a container's membership of one network.
type EndpointConfig struct {
	Network     string // Config.ID
	ContainerID string
	Interface   string   // name inside; "" = ethN
	Names       []string // DNS names on this network: container, service, aliases
	ShortID     string
	IPv4, IPv6  netip.Addr        // static; zero = any free one
	LinkLocal   []netip.Addr      `json:",omitempty"` // further addresses, which nobody else is kept from
	Sysctls     map[string]string `json:",omitempty"` // of the interface, its name in them as IFNAME
	MAC         string
	GwPriority  int
}

// InterfaceName is that of ep, the i-th of its container.
func (ep EndpointConfig) InterfaceName(i int) string {
	if ep.Interface != "" {
		return ep.Interface
	}
	return fmt.Sprintf("eth%d", i)
}

// SandboxConfig is a sandbox to be: namespace, endpoints, ports and resolver in one step.
type SandboxConfig struct {
	ContainerID string
	Called      string `json:",omitempty"` // the container's name for users, also where no network knows it by a name; "" = Name
	Labels      map[string]string
	Endpoints   []EndpointConfig // order = eth0, eth1, …; empty = only lo (network_mode none)
	Ports       []Port
	Sysctls     map[string]string // net.* of this namespace
	DNS         Resolver
	// Links are names that this container alone knows others by: alias to a name on one of its networks.
	Links map[string]string `json:",omitempty"`
	// Succeeds is the container whose names and ports this one takes over when Handover says so. While that one has a
	// sandbox, this one answers to no name and no port is published to it. "" = none.
	Succeeds string `json:",omitempty"`
	// Holder is for whom ports were held (HoldPort) that this sandbox takes over. It is no part of what the sandbox is.
	Holder string `json:"-"`
}

// Resolver is what the DNS server at 127.0.0.11 does for names that are not ours.
type Resolver struct {
	Servers []netip.Addr // empty = the host's
	Search  []string
	Options []string
}

// Name is what messages call the container.
func (c SandboxConfig) Name() string {
	for _, ep := range c.Endpoints {
		if len(ep.Names) > 0 {
			return ep.Names[0]
		}
	}
	return objectid.Short(c.ContainerID)
}

// Check says what of c cannot be: ErrInvalidArgument or ErrNotSupported.
func (c SandboxConfig) Check() error {
	// The id becomes a file name.
	if c.ContainerID == "" || strings.ContainsAny(c.ContainerID, "/\x00") || strings.HasPrefix(c.ContainerID, ".") || len(c.ContainerID) > 120 {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot set up the network of container %q: not a container id", c.ContainerID))
	}
	seen := map[string]bool{}
	for i, ep := range c.Endpoints {
		if name := ep.InterfaceName(i); seen[name] || len(name) >= interfaceNameSize || strings.ContainsAny(name, "/ \t\n:") || name == "lo" {
			return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot name an interface %q: expected 1 to 15 characters, not used by another network of the container", name))
		} else {
			seen[name] = true
		}
		if _, err := net.ParseMAC(ep.MAC); ep.MAC != "" && err != nil {
			return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot use mac_address %q: expected the form 02:42:ac:11:65:43", ep.MAC))
		}
	}
	for _, p := range c.Ports {
		if p.Protocol != "tcp" && p.Protocol != "udp" {
			return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot publish port %d/%s: expected protocol tcp or udp", p.ContainerPort, p.Protocol))
		}
		if p.ContainerPort == 0 {
			return errdefs.With(errdefs.ErrInvalidArgument, errors.New("cannot publish a port: the container's port is 0"))
		}
	}
	for key := range c.Sysctls {
		if _, err := SysctlPath(key); err != nil {
			return err
		}
	}
	return nil
}

// Same says whether two configurations make the same sandbox.
func (c SandboxConfig) Same(o SandboxConfig) bool {
	c.Called, o.Called, c.Labels, o.Labels = "", "", nil, nil
	c.Succeeds, o.Succeeds = "", "" // whoever it was beside, it is whole
	x, _ := json.Marshal(c)
	y, _ := json.Marshal(o)
	return string(x) == string(y)
}
