// Package membership knows which networks exist and which containers are on each, with which addresses and names. It
// allocates the addresses.
//
// May touch: the records of networks (package record).
package membership

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/ipam"
	"github.com/stackrun/stack/network/record"
)

// Networks are those that there are. What is on the host of them is not its business. Safe for concurrent use.
type Networks struct {
	store *record.Store

	mu   sync.Mutex
	all  map[string]*Network                // by id, or retiredKey
	kept map[string]map[string][]netip.Addr // by holder and network, see KeepAddresses
}

// Network is one of Networks.
type Network struct {
	in    *Networks
	rec   record.Network // guarded by in.mu, as the addresses that pools have given out
	pools []*ipam.Pool
	zone  *dns.Zone
}

// New has no network yet, and keeps records in store.
func New(store *record.Store) *Networks {
	return &Networks{store: store, all: map[string]*Network{}, kept: map[string]map[string][]netip.Addr{}}
}

// retiredKey is where a network stays while only its link is left, so that its bridge's name
// and subnet are not given out; no user's name contains a NUL. Networks can have one parent.
func retiredKey(rec record.Network) string { return "\x00" + rec.Config.ID + "\x00" + rec.Link }

func (m *Networks) network(rec record.Network) (*Network, error) {
	if !rec.Config.Supported() {
		return nil, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("network driver %q is not supported", rec.Config.Driver))
	}
	n := &Network{in: m, rec: rec}
	var subnets []netip.Prefix
	for _, p := range rec.Pools {
		pool, err := p.Addresses()
		if err != nil {
			return nil, err
		}
		n.pools = append(n.pools, pool)
		subnets = append(subnets, p.Subnet)
	}
	n.zone = dns.NewZone(rec.Config.ID, subnets)
	return n, nil
}

// Adopt takes over a network that was recorded. One that cannot be is not a record that we wrote, and is forgotten: nil.
func (m *Networks) Adopt(rec record.Network) (*Network, error) {
	n, err := m.network(rec)
	if err != nil {
		return nil, m.store.DropNetwork(rec.Config.ID)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if rec.Deleting {
		m.all[retiredKey(rec)] = n
	} else {
		m.all[rec.Config.ID] = n
	}
	return n, nil
}

// Add records the network that decide makes of those that there are, which are Records. No other is added meanwhile.
func (m *Networks) Add(decide func(others []record.Network) (record.Network, error)) (*Network, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rec, err := decide(m.records())
	if err != nil {
		return nil, err
	}
	n, err := m.network(rec)
	if err != nil {
		return nil, err
	}
	if err := m.store.PutNetwork(rec); err != nil {
		return nil, err
	}
	failpoint.Hit("network.create.recorded")
	m.all[rec.Config.ID] = n
	return n, nil
}

// Find is the network id; nil = there is none, or it is gone for the user.
func (m *Networks) Find(id string) *Network {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all[id]
}

// Record is that of network id. ErrNotFound.
func (m *Networks) Record(id string) (record.Network, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.all[id]
	if n == nil {
		return record.Network{}, errdefs.With(errdefs.ErrNotFound, errors.New("it does not exist"))
	}
	return n.rec, nil
}

// Records are those of all, also of those that are retired.
func (m *Networks) Records() []record.Network {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.records()
}

// records is Records. Precondition: mu is held.
func (m *Networks) records() (all []record.Network) {
	for n := range maps.Values(m.all) {
		all = append(all, n.rec)
	}
	return all
}

// Freeze calls f with Records, and none is added or goes before it returns. f may call nothing of m.
func (m *Networks) Freeze(f func(networks []record.Network) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return f(m.records())
}

// HasLink says whether a link of the host is one network's, retired ones' too.
func (m *Networks) HasLink(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.all {
		if n.rec.Link == name {
			return true
		}
	}
	return false
}

// Retired are those that are gone for the user and have the link still.
func (m *Networks) Retired(link string) (all []*Network) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.all {
		if n.rec.Deleting && n.rec.Link == link {
			all = append(all, n)
		}
	}
	return all
}

// Record is n's, as it is now.
func (n *Network) Record() record.Network {
	n.in.mu.Lock()
	defer n.in.mu.Unlock()
	return n.rec
}

// Configure records that n was asked for as c, which makes the same objects.
func (n *Network) Configure(c definition.Config) error {
	rec := n.Record()
	rec.Config = c
	if err := n.in.store.PutNetwork(rec); err != nil {
		return err
	}
	n.in.mu.Lock()
	defer n.in.mu.Unlock()
	n.rec = rec
	return nil
}

// Condemn records that n is being deleted, and is the record. A process that ends now is followed by one which deletes it.
func (n *Network) Condemn() (record.Network, error) {
	rec := n.Record()
	rec.Deleting = true
	return rec, n.in.store.PutNetwork(rec)
}

// Retire lets n be gone for the user. Precondition: it was condemned.
func (n *Network) Retire() {
	n.in.mu.Lock()
	defer n.in.mu.Unlock()
	delete(n.in.all, n.rec.Config.ID)
	n.rec.Deleting = true
	n.in.all[retiredKey(n.rec)] = n
}

// IsRetired says whether n's link is n's still: it is gone for the user, and Bury was not called.
func (n *Network) IsRetired() bool {
	n.in.mu.Lock()
	defer n.in.mu.Unlock()
	return n.in.all[retiredKey(n.rec)] == n
}

// Bury forgets n, of which nothing is left. Precondition: IsRetired.
func (n *Network) Bury() {
	n.in.mu.Lock()
	defer n.in.mu.Unlock()
	delete(n.in.all, retiredKey(n.rec))
	// The user may have made a network of that name anew; its record has replaced this one.
	if n.in.all[n.rec.Config.ID] == nil {
		n.in.store.DropNetwork(n.rec.Config.ID)
	}
}

// Undo forgets n, which was added and of which nothing could be made.
func (n *Network) Undo() error {
	if err := n.in.store.DropNetwork(n.Record().Config.ID); err != nil {
		return err
	}
	n.in.mu.Lock()
	defer n.in.mu.Unlock()
	if n.in.all[n.rec.Config.ID] == n {
		delete(n.in.all, n.rec.Config.ID)
	}
	return nil
}
