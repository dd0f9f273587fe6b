// Package record is what is remembered of networks and sandboxes while they exist.
//
// A record is written before the kernel is changed, and removed after the change was undone. So whoever reads the
// records knows of everything that may exist. A record says what should exist. What does exist, the kernel says.
//
// May touch: files below <run>/network.
package record

import (
	"net/netip"
	"time"

	"github.com/stackrun/stack/network/definition"
)

// Network is the record of one.
type Network struct {
	Epoch   string // the boot and namespace whose objects it describes
	Config  definition.Config
	Created time.Time         // zero in records of earlier versions
	Link    string            `json:"Bridge"` // the host's: the bridge, or the parent of the containers' interfaces. The key is that of earlier versions
	Pools   []definition.Pool // as allocated
	// Made: Link is a parent that goes with its last network. A bridge always is the network's own.
	Made bool `json:",omitempty"`
	// Deleting: the user was told that it is gone; only the link may still be there.
	Deleting bool `json:",omitempty"`
}

// Sandbox is the record of one.
type Sandbox struct {
	Epoch     string
	Config    definition.SandboxConfig
	Endpoints []Endpoint        // as allocated
	Ports     []definition.Port // as bound
	Handover
}

// Addresses6 are those of IPv6.
func (b Sandbox) Addresses6() (all []netip.Addr) {
	for _, ep := range b.Endpoints {
		all = append(all, ep.Addresses6()...)
	}
	return all
}
