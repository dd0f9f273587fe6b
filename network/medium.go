package network

import (
	"context"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/network/nft"
)

// medium is what a driver of networks does in its own way: what there is of a network on the host, and how a container's
// interface gets onto it. All that it is told is in records; what its methods find on the host may be whole, half-made, or gone.
//
// Preconditions: the network's lock is held, and for methods that have an Endpoint that of its sandbox.
type medium interface {
	// options are those that the driver knows. Pure.
	options() []option
	// checkEndpoint says why no container can be on c as ep says. Pure.
	checkEndpoint(c Config, ep EndpointConfig) error
	// wantsGateway says whether an address of each subnet of c is a gateway's: the first, if the file names none. Pure.
	wantsGateway(c Config) bool
	// outward says whether containers reach the world by c. Pure.
	outward(c Config) bool
	// publishes says whether the host's ports lead to containers on c. Pure.
	publishes(c Config) bool
	// onHost says whether the host itself is on the subnets, so that nobody else there may use them. Pure.
	onHost() bool
	// firewall is what the host's firewall has to know of r; nothing when packets do not pass it. Pure.
	firewall(r networkRecord) (nft.Network, bool)
	// settings are those of the host that r needs. Pure.
	settings(r networkRecord) []sysctl
	// problem says what of r the host does not have, or has otherwise. Pure.
	problem(r networkRecord, v sight) string
	// endpointProblem says what the host's side of ep is not. Pure.
	endpointProblem(r networkRecord, ep Endpoint, v sight) string
	// peer is the index of the link that the interface of ep is to lead to. Pure.
	peer(r networkRecord, ep Endpoint, v sight) int
	// hostLink names the link of the host that the n-th endpoint has for itself; "" = it has none. Pure.
	hostLink(n uint64) string

	// available says why a network c cannot be made on this host. Nothing changes.
	available(c Config) error
	// vacate ends deletions that the background has to do, where they hold the link that c names. Precondition: no lock is held.
	vacate(c Config)
	// claim decides which link of the host r has. Precondition: d.mu is held.
	claim(r *networkRecord) error
	// raise makes the host's side of r what it shall be.
	raise(ctx context.Context, r networkRecord) error
	// reattach puts back what containers have on the host's side of n, where that was made anew under them.
	reattach(ctx context.Context, n *network) error
	// lower lets no packet pass any more. It is quick.
	lower(r networkRecord) error
	// remove takes away what raise has made. It may take a while.
	remove(n *network) error

	// attach makes the interface of ep in the namespace ns, whose handle is in, and which the calling thread is in.
	attach(in *netlink.Handle, r networkRecord, ep Endpoint, ns int) error
	// rejoin repairs that interface, or makes it anew, in which case made is true.
	rejoin(in *netlink.Handle, r networkRecord, ep Endpoint, ns int) (made bool, err error)
	// detach removes it, where the end of the namespace would come too late. The calling thread is in the namespace.
	detach(r networkRecord, ep Endpoint) error
}

// The drivers of networks, with docker's names.
const (
	driverBridge  = "bridge"
	driverMacvlan = "macvlan"
	driverIPvlan  = "ipvlan"
)

// mediumOf is the medium of a driver; nil = there is none of that name. d may be nil for what is pure.
func mediumOf(d *Driver, driver string) medium {
	switch driver {
	case "", driverBridge:
		return onBridge{d}
	case driverMacvlan:
		return onParent{d, macvlan{}}
	case driverIPvlan:
		return onParent{d, ipvlan{}}
	}
	return nil
}

// medium is that of a network that is there.
func (d *Driver) medium(r networkRecord) medium { return mediumOf(d, r.Config.Driver) }

func (r networkRecord) outward() bool { return mediumOf(nil, r.Config.Driver).outward(r.Config) }
