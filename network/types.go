package network

import (
	"net/netip"
	"time"

	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/sandbox"
	"github.com/stackrun/stack/network/subnet"
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
	Sandbox        = sandbox.State
	AddressPool    = subnet.Range
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

// HostsEntry is a line of /etc/hosts.
type HostsEntry struct {
	Addr  netip.Addr
	Names []string
}
