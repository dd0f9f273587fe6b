package network

import (
	"context"

	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sight"
	"github.com/stackrun/stack/network/sysctl"
)

// medium is what a driver of networks does in its own way: what there is of a network on the host, and how a container's
// interface gets onto it. All that it is told is in records; what its methods find on the host may be whole, half-made, or gone.
//
// Preconditions: the network's lock is held, and for methods that have an Endpoint that of its sandbox.
type medium interface {
	// firewall is what the host's firewall has to know of r; nothing when packets do not pass it. Pure.
	firewall(r record.Network) (nft.Network, bool)
	// settings are those of the host that r needs. Pure.
	settings(r record.Network) []sysctl.Setting
	// problem says what of r the host does not have, or has otherwise. Pure.
	problem(r record.Network, v sight.Host) string
	// endpointProblem says what the host's side of ep is not. Pure.
	endpointProblem(r record.Network, ep Endpoint, v sight.Host) string
	// peer is the index of the link that the interface of ep is to lead to. Pure.
	peer(r record.Network, ep Endpoint, v sight.Host) int
	// hostLink names the link of the host that the n-th endpoint has for itself; "" = it has none. Pure.
	hostLink(n uint64) string

	// available says why a network c cannot be made on this host. Nothing changes.
	available(c Config) error
	// vacate ends deletions that the background has to do, where they hold the link that c names. Precondition: no lock is held.
	vacate(c Config)
	// claim decides which link of the host r has. Precondition: d.mu is held.
	claim(r *record.Network) error
	// raise makes the host's side of r what it shall be.
	raise(ctx context.Context, r record.Network) error
	// reattach puts back what containers have on the host's side of n, where that was made anew under them.
	reattach(ctx context.Context, n *network) error
	// lower lets no packet pass any more. It is quick.
	lower(r record.Network) error
	// remove takes away what raise has made. It may take a while.
	remove(n *network) error

	// attach makes the interface of ep in the namespace ns, whose handle is in, and which the calling thread is in.
	attach(in *rtnl.Handle, r record.Network, ep Endpoint, ns int) error
	// rejoin repairs that interface, or makes it anew, in which case made is true.
	rejoin(in *rtnl.Handle, r record.Network, ep Endpoint, ns int) (made bool, err error)
	// detach removes it, where the end of the namespace would come too late. The calling thread is in the namespace.
	detach(r record.Network, ep Endpoint) error
}

// mediumOf is the medium of a driver; nil = there is none of that name. d may be nil for what is pure.
func mediumOf(d *Driver, driver string) medium {
	switch driver {
	case "", definition.Bridge:
		return onBridge{d}
	case definition.Macvlan:
		return onParent{d, macvlan{}}
	case definition.IPvlan:
		return onParent{d, ipvlan{}}
	}
	return nil
}

// medium is that of a network that is there.
func (d *Driver) medium(r record.Network) medium { return mediumOf(d, r.Config.Driver) }
