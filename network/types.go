package network

import (
	"net/netip"
	"time"

	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/record"
)

// What is asked of the Driver, and what it tells, in the words of the packages that they are made of.
type (
	Config         = definition.Config
	Pool           = definition.Pool
	EndpointConfig = definition.EndpointConfig
	SandboxConfig  = definition.SandboxConfig
	Resolver       = definition.Resolver
	Port           = definition.Port
	Endpoint       = record.Endpoint
)

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

// HostsEntry is a line of /etc/hosts.
type HostsEntry struct {
	Addr  netip.Addr
	Names []string
}
