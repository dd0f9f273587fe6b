// Package sandbox has the network namespaces of containers, and the verbs on them: set up, mend while the container
// runs, move to other networks, hand names and ports over to a successor, tear down.
//
// Called by package network. May touch: namespaces, the host's firewall and ports, through the packages that it is
// given.
package sandbox

import (
	"context"

	"github.com/stackrun/stack/internal/background"
	"github.com/stackrun/stack/internal/keylock"
	"github.com/stackrun/stack/network/alarm"
	"github.com/stackrun/stack/network/cabling"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/membership"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/publish"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/resolver"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sight"
)

// Parts are what a Keeper works with; all are needed.
type Parts struct {
	Book       *Book
	Records    *record.Store
	Networks   *membership.Networks
	Cabling    *cabling.Cabling
	Published  *publish.Ports
	Resolver   *resolver.Resolver
	Firewall   *nft.Firewall
	Link       *rtnl.Handle // of the host's namespace
	Alarm      *alarm.Alarm
	Sight      *sight.Lookout
	Background *background.Group // removals that nobody waits for
}

// Keeper makes, changes and removes those of its Book: these are the verbs. Safe for concurrent use.
//
// Lock order: that of a sandbox, of two in the order of their ids, then those of the parts.
type Keeper struct {
	book       *Book
	records    *record.Store
	networks   *membership.Networks
	cabling    *cabling.Cabling
	published  *publish.Ports
	resolver   *resolver.Resolver
	fw         *nft.Firewall
	link       *rtnl.Handle
	alarm      *alarm.Alarm
	sight      *sight.Lookout
	background *background.Group

	locks keylock.Locks // one verb at a time per sandbox, by container
}

// New has the verbs on p's Book.
func New(p Parts) *Keeper {
	return &Keeper{
		book: p.Book, records: p.Records, networks: p.Networks, cabling: p.Cabling, published: p.Published, resolver: p.Resolver, fw: p.Firewall, link: p.Link,
		alarm: p.Alarm, sight: p.Sight, background: p.Background,
	}
}

// lock locks the sandbox of a container, and returns what unlocks it.
func (sb *Keeper) lock(container string) (unlock func()) {
	unlock, _ = sb.locks.Lock(context.Background(), container) // which does not end
	return unlock
}

// State is a container's network namespace: the CRI's word for what outlives the
// container's processes, so that a restart keeps its addresses.
type State struct {
	ContainerID string
	Path        string // bind-mounted nsfs file, <run>/netns/<id>
	Endpoints   []record.Endpoint
	Ports       []definition.Port // as bound: HostPort is never 0
	ResolvConf  string            // content for the container's /etc/resolv.conf
	Healthy     bool
	Problem     string
	Waiting     bool // it has neither names nor ports before Handover gives it its predecessor's
	Relieved    bool // it has handed both over
}
