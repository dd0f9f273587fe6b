package nft

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Network is what the firewall knows of a network.
type Network struct {
	Bridge     string
	Internal   bool // nothing goes in or out but what the host itself sends
	Masquerade bool // packets that leave the host get the host's address
}

// Forward is one published port: packets to Host:Port of protocol Proto go to To. An unspecified Host means
// every address of To's family.
type Forward struct {
	Proto string // tcp udp
	Host  netip.Addr
	Port  uint16
	To    netip.AddrPort
}

const tablePrefix = "stack-"

// TableName is the name of instance's table, of family inet.
func TableName(instance string) string { return tablePrefix + instance }

// Firewall is the table of one instance. It remembers what it was told, so that a table
// that somebody deleted ("nft flush ruleset") is put back whole by the next change. Safe for concurrent use.
type Firewall struct {
	name  string
	links string // what the names of the instance's bridges begin with

	mu       sync.Mutex
	conn     *nftables.Conn     // open as long as it works, see open
	networks map[string]Network // by bridge
	forwards map[forwardKey]Forward
	guests   map[Guest]int // and how many have it
	written  structure     // of the table as the kernel gives it back, see remember
}

// forwardKey is what a packet is looked up by; the family tells apart the two entries of a port on all addresses.
type forwardKey struct {
	proto string
	host  netip.AddrPort
	v4    bool
}

func (f Forward) key() forwardKey {
	return forwardKey{f.Proto, netip.AddrPortFrom(f.Host, f.Port), f.To.Addr().Is4()}
}

// New makes the firewall of instance, whose bridges' names begin with links. The kernel is not touched before the first change.
func New(instance, links string) *Firewall {
	return &Firewall{
		name:     TableName(instance),
		links:    links,
		networks: map[string]Network{},
		forwards: map[forwardKey]Forward{},
		guests:   map[Guest]int{},
	}
}

// Replace makes the table hold exactly networks, forwards and guests, in one transaction: no packet sees a half of it. With no
// network the table is removed.
func (f *Firewall) Replace(networks []Network, forwards []Forward, guests []Guest) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.networks, f.forwards, f.guests = map[string]Network{}, map[forwardKey]Forward{}, map[Guest]int{}
	for _, g := range guests {
		f.guests[g]++
	}
	for _, n := range networks {
		f.networks[n.Bridge] = n
	}
	for _, w := range forwards {
		f.forwards[w.key()] = w
	}
	if there, err := f.there(); err == nil && there {
		return f.replace()
	}
	return f.mend()
}

// there says whether the kernel has the table. Precondition: f.mu is held.
func (f *Firewall) there() (bool, error) {
	tables, err := f.tables()
	return slices.Contains(tables, f.name), err
}

// replace writes the whole table. Precondition: f.mu is held.
func (f *Firewall) replace() error {
	s := newSchema(f.name)
	err := f.batch(s, func(c *nftables.Conn) error {
		// Deleting a table that is not there fails the batch; adding one that is does not.
		c.AddTable(s.table)
		c.DelTable(s.table)
		if len(f.networks) == 0 {
			return nil
		}
		if err := s.create(c); err != nil {
			return err
		}
		if err := s.networks(c.SetAddElements, slices.Collect(maps.Values(f.networks))); err != nil {
			return err
		}
		if err := s.guests(c.SetAddElements, slices.Collect(maps.Keys(f.guests))); err != nil {
			return err
		}
		return s.forwards(c.SetAddElements, slices.Collect(maps.Values(f.forwards)))
	})
	if err == nil && f.written == nil && len(f.networks) > 0 {
		f.remember(s)
	}
	return err
}

// remember reads back what this kernel makes of our chains and rules, which is always the same: once per process. It fills in defaults and
// numbers registers in its own way, so what was sent cannot be compared with what is there. Should other hands be in the table
// between our write and this, the numbers of rules tell, and the next replace tries again. Precondition: f.mu is held.
func (f *Firewall) remember(s *schema) {
	c, err := f.open()
	if err != nil {
		return
	}
	got, err := readStructure(c, s.table)
	if err != nil {
		f.reset()
		return
	}
	for chain, n := range s.rules {
		if got.rules(chain) != n {
			return
		}
	}
	if len(got) == len(s.rules)+1 {
		f.written = got
	}
}

// change applies an incremental batch; when the kernel refuses it, because the table is gone or was altered
// by others, the whole table is written anew. Precondition: f.mu is held and f's own maps are as they shall be.
func (f *Firewall) change(fill func(s *schema, c *nftables.Conn) error) error {
	s := newSchema(f.name)
	err := f.batch(s, func(c *nftables.Conn) error { return fill(s, c) })
	if err == nil {
		return nil
	}
	return f.mend()
}

// mend writes the whole table, of which something may have been missing. Precondition: f.mu is held.
func (f *Firewall) mend() error {
	if err := f.replace(); err != nil {
		return err
	}
	forgetStrays(slices.Collect(maps.Values(f.forwards)))
	return nil
}

// publish is change for forwards that are new. Precondition: as change.
func (f *Firewall) publish(forwards []Forward, fill func(s *schema, c *nftables.Conn) error) error {
	if err := f.change(fill); err != nil {
		return err
	}
	// Who connects by TCP before there is a forward is refused. Of UDP somebody may have been sending all the time.
	forgetStrays(slices.DeleteFunc(slices.Clone(forwards), func(w Forward) bool { return w.Proto != "udp" }))
	return nil
}

// AddNetwork lets n's bridge take part. Adding it again, with other settings too, replaces it.
func (f *Firewall) AddNetwork(n Network) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, had := f.networks[n.Bridge]
	f.networks[n.Bridge] = n
	if had || len(f.networks) == 1 {
		return f.mend()
	}
	return f.change(func(s *schema, c *nftables.Conn) error {
		return s.networks(c.SetAddElements, []Network{n})
	})
}

// DelNetwork takes bridge out; the last one takes the table with it. An unknown bridge is success.
func (f *Firewall) DelNetwork(bridge string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.networks[bridge]
	if !ok {
		return nil
	}
	delete(f.networks, bridge)
	if len(f.networks) == 0 {
		clear(f.forwards)
		clear(f.guests)
		return f.replace()
	}
	return f.change(func(s *schema, c *nftables.Conn) error {
		return s.networks(c.SetDeleteElements, []Network{n})
	})
}

// AddForwards publishes ports, all or none. All ports that lead to one address are added, and removed, in one call.
func (f *Firewall) AddForwards(forwards []Forward) error {
	if len(forwards) == 0 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fresh := true
	for _, w := range forwards {
		if old, ok := f.forwards[w.key()]; ok && old != w {
			fresh = false // an element cannot be overwritten, only the map
		}
		f.forwards[w.key()] = w
	}
	if !fresh {
		return f.replace()
	}
	return f.publish(forwards, func(s *schema, c *nftables.Conn) error { return s.forwards(c.SetAddElements, forwards) })
}

// DelForwards ends the publishing of ports. Unknown ones are success.
func (f *Firewall) DelForwards(forwards []Forward) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var known []Forward
	for _, w := range forwards {
		if old, ok := f.forwards[w.key()]; ok && old == w {
			delete(f.forwards, w.key())
			known = append(known, w)
		}
	}
	if len(known) == 0 {
		return nil
	}
	return f.change(func(s *schema, c *nftables.Conn) error { return s.forwards(c.SetDeleteElements, known) })
}

// MoveForwards puts be in the place of was, in one transaction: a connection that comes in meanwhile finds the one or the
// other. Entries of both stay. Connections that are there keep the way that they have (nf_conntrack(5): NAT is decided by
// a connection's first packet).
func (f *Firewall) MoveForwards(was, be []Forward) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var gone []Forward
	for _, w := range was {
		if old, ok := f.forwards[w.key()]; ok && old == w {
			delete(f.forwards, w.key())
			gone = append(gone, w)
		}
	}
	fresh := true
	for _, w := range be {
		_, there := f.forwards[w.key()]
		fresh = fresh && !there // an element cannot be overwritten, only the map
		f.forwards[w.key()] = w
	}
	if !fresh {
		return f.replace()
	}
	if len(gone)+len(be) == 0 {
		return nil
	}
	return f.publish(be, func(s *schema, c *nftables.Conn) error {
		if err := s.forwards(c.SetDeleteElements, gone); err != nil {
			return err
		}
		return s.forwards(c.SetAddElements, be)
	})
}

// open returns the socket of all operations. It stays open because closing one makes the kernel wait until what earlier transactions
// deleted is freed, some 20 ms (nft_rcv_nl_event in net/netfilter/nf_tables_api.c). Precondition: f.mu is held.
func (f *Firewall) open() (*nftables.Conn, error) {
	if f.conn == nil {
		c, err := nftables.New(nftables.AsLasting())
		if err != nil {
			return nil, fmt.Errorf("cannot open nftables: %w", err)
		}
		f.conn = c
	}
	return f.conn, nil
}

// reset gives up a socket after an error: answers to the failed requests may still be in it. Precondition: f.mu is held.
func (f *Firewall) reset() {
	if c := f.conn; c != nil {
		f.conn = nil
		go c.CloseLasting()
	}
}

// Restore writes the table anew if the kernel does not hold exactly what it was told to.
func (f *Firewall) Restore() error {
	c, err := f.Read()
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.Whole() {
		return nil
	}
	return f.mend()
}

// Close lets go of the kernel; the table stays. A later operation opens it again.
func (f *Firewall) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reset()
}

// batch sends what fill queues as one transaction. Precondition: f.mu is held.
func (f *Firewall) batch(s *schema, fill func(c *nftables.Conn) error) (err error) {
	c, err := f.open()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.reset()
		}
	}()
	if err := fill(c); err != nil {
		return fmt.Errorf("cannot write nftables table %s: %w", s.table.Name, err)
	}
	if err := c.Flush(); err != nil {
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) {
			return fmt.Errorf("cannot write nftables table %s: the kernel has no nftables (needs CONFIG_NF_TABLES_INET and NFT_NAT): %w", s.table.Name, err)
		}
		return fmt.Errorf("cannot write nftables table %s: %w", s.table.Name, err)
	}
	return nil
}
