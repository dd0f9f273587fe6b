// Package media says what the drivers of networks (bridge, macvlan, ipvlan) do each in its own way, as the interface
// Medium, and which medium a network has.
//
// Called by packages network and cabling. It touches nothing itself; the media do.
package media

import (
	"context"

	"github.com/stackrun/stack/network/bridge"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/parent"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sight"
	"github.com/stackrun/stack/network/sysctl"
)

// Medium is what a driver of networks does in its own way: what there is of a network on the host, and how a container's
// interface gets onto it. All that it is told is in records; what its methods find on the host may be whole, half-made, or gone.
//
// Preconditions: the network's lock is held, and for methods that have an Endpoint that of its sandbox.
type Medium interface {
	// Firewall is what the host's firewall has to know of r; nothing when packets do not pass it. Pure.
	Firewall(r record.Network) (nft.Network, bool)
	// Settings are those of the host that r needs. Pure.
	Settings(r record.Network) []sysctl.Setting
	// Problem says what of r the host does not have, or has otherwise. Pure.
	Problem(r record.Network, v sight.Host) string
	// EndpointProblem says what the host's side of ep is not. Pure.
	EndpointProblem(r record.Network, ep record.Endpoint, v sight.Host) string
	// Peer is the index of the link that the interface of ep is to lead to. Pure.
	Peer(r record.Network, ep record.Endpoint, v sight.Host) int
	// HostLink names the link of the host that the n-th endpoint has for itself; "" = it has none. Pure.
	HostLink(n uint64) string

	// Available says why a network c cannot be made on this host, beside those of networks. Nothing changes.
	Available(c definition.Config, networks []record.Network) error
	// Claim decides which link of the host r has, beside those of networks.
	Claim(r *record.Network, networks []record.Network) error
	// Raise makes the host's side of r what it shall be.
	Raise(ctx context.Context, r record.Network) error
	// Reattach puts back what containers have on the host's side of r, which eps are on, where that was made anew under them.
	Reattach(ctx context.Context, r record.Network, eps []record.Endpoint) error
	// Lower lets no packet pass any more. It is quick.
	Lower(r record.Network) error
	// Remove takes away what Raise has made. It may take a while.
	Remove(r record.Network) error

	// Attach makes the interface of ep in the namespace ns, whose handle is in, and which the calling thread is in.
	Attach(in *rtnl.Handle, r record.Network, ep record.Endpoint, ns int) error
	// Rejoin repairs that interface, or makes it anew, in which case made is true.
	Rejoin(in *rtnl.Handle, r record.Network, ep record.Endpoint, ns int) (made bool, err error)
	// Unplug removes it, while the container runs on. The calling thread is in the namespace.
	Unplug(r record.Network, ep record.Endpoint) error
	// Detach removes it, where the end of the namespace would come too late. The calling thread is in the namespace.
	Detach(r record.Network, ep record.Endpoint) error
}

// Media are those that there are.
type Media struct {
	bridges *bridge.Bridges
	parents *parent.Parents
}

// New are these.
func New(bridges *bridge.Bridges, parents *parent.Parents) *Media {
	return &Media{bridges: bridges, parents: parents}
}

// Of is that of c. Precondition: there is one (definition.Config.Supported).
func (m *Media) Of(c definition.Config) Medium {
	switch c.Driver {
	case definition.Macvlan:
		return m.parents.Macvlan()
	case definition.IPvlan:
		return m.parents.IPvlan()
	}
	return m.bridges
}
