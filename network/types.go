package network

import (
	"net/netip"
	"time"
)

// Config is a network to be. ID is unique per instance: the network's name.
type Config struct {
	ID         string
	Labels     map[string]string
	Driver     string // bridge, macvlan, ipvlan; "" = bridge
	Internal   bool   // no way out, no way in from the host's ports
	IPv4       bool
	IPv6       bool
	Pools      []Pool // empty = from the instance's pool
	DriverOpts map[string]string
}

// Pool is one subnet. Invalid Range = all of Subnet; invalid Gateway = its first address, where the network has a gateway.
type Pool struct {
	Subnet  netip.Prefix
	Range   netip.Prefix
	Gateway netip.Addr
	Aux     []netip.Addr
}

// State is a network as it is on the host.
type State struct {
	Config    Config
	Link      string // of the host: a bridge, or the parent of the containers' interfaces; "" = it is gone
	Pools     []Pool // as allocated
	Healthy   bool   // link, addresses and firewall rules are as recorded
	Problem   string // what is not, when not Healthy
	Endpoints []Endpoint
	CreatedAt time.Time // zero: by a version that did not record it
}

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

// Endpoint is a membership as it is on the host.
type Endpoint struct {
	EndpointConfig
	HostLink string // veth end on the bridge; "" = on another medium
	Addr4    netip.Prefix
	Addr6    netip.Prefix
	Gateway4 netip.Addr
	Gateway6 netip.Addr
}

// HardwareAddr is the MAC address of ep's interface, given or derived; "" = it has none of its own.
func (ep Endpoint) HardwareAddr() string {
	mac, err := ep.hardwareAddr()
	if err != nil {
		return ""
	}
	return mac.String()
}

// Sandbox is a container's network namespace: the CRI's word for what outlives the
// container's processes, so that a restart keeps its addresses.
type Sandbox struct {
	ContainerID string
	Path        string // bind-mounted nsfs file, <run>/netns/<id>
	Endpoints   []Endpoint
	Ports       []Port // as bound: HostPort is never 0
	ResolvConf  string // content for the container's /etc/resolv.conf
	Healthy     bool
	Problem     string
	Waiting     bool // it has neither names nor ports before Handover gives it its predecessor's
	Relieved    bool // it has handed both over
}

// SandboxConfig is a sandbox to be: namespace, endpoints, ports and resolver in one step.
type SandboxConfig struct {
	ContainerID string
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

// Port is one published port. HostPort 0 = any free one; HostPortEnd > HostPort = one free of the range.
type Port struct {
	HostIP        netip.Addr // zero = all, IPv4 and IPv6
	HostPort      uint16
	HostPortEnd   uint16
	ContainerPort uint16
	Protocol      string // tcp udp
}

// HostsEntry is a line of /etc/hosts.
type HostsEntry struct {
	Addr  netip.Addr
	Names []string
}
