package network

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/background"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/keylock"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/network/alarm"
	"github.com/stackrun/stack/network/bridge"
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/hostport"
	"github.com/stackrun/stack/network/ipam"
	"github.com/stackrun/stack/network/membership"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/parent"
	"github.com/stackrun/stack/network/publish"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/resolver"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sight"
	"github.com/stackrun/stack/network/sysctl"
)

// AddressPool is a range that networks without a subnet of their own get theirs from, in pieces of Size bits.
type AddressPool struct {
	Base netip.Prefix
	Size int
}

// Options of a Driver. The zero value of all but Roots is usable.
type Options struct {
	Roots   roots.Roots
	Pools   []AddressPool // empty = defaultPools
	Servers []netip.Addr  // DNS servers for names that are not ours; empty = those of ResolvConf
	// ResolvConf is the host's resolver configuration; "" = /etc/resolv.conf.
	ResolvConf string
}

// defaultPools: see docs/adr/0020-network-records.md. Three private ranges, so that a VPN that claims one of them
// leaves two; /23 because a bridge has at most 1024 ports and a service may well have 300 replicas.
var defaultPools = []ipam.Base{
	{Prefix: netip.MustParsePrefix("10.201.0.0/16"), Size: 23},
	{Prefix: netip.MustParsePrefix("172.28.0.0/15"), Size: 23},
	{Prefix: netip.MustParsePrefix("192.168.192.0/18"), Size: 23},
}

// Driver makes and removes the networks of one instance. One Driver at a time works on a run root; it may be
// killed at any point, and the next one carries on. Safe for concurrent use.
type Driver struct {
	roots    roots.Roots
	opened   *os.File // locked: nobody else has the run root
	instance string
	pools    []ipam.Base // that subnets are chosen from

	// The parts, in the order of their imports.
	fw        *nft.Firewall
	link      *rtnl.Handle // of the host's namespace
	sysctls   *sysctl.Host
	records   *record.Store
	names     record.Names
	networks  *membership.Networks
	resolver  *resolver.Resolver
	published *publish.Ports
	alarm     *alarm.Alarm
	sight     *sight.Lookout
	bridges   *bridge.Bridges
	parents   *parent.Parents

	objects    keylock.Locks    // one verb at a time per network and per sandbox. Taken before all others; the alarm's is taken before mu and that of networks
	background background.Group // removals that nobody waits for

	mu        sync.Mutex // guards what follows
	sandboxes map[string]*sandbox
	nextLink  uint64 // number of the next veth
}

// sandbox is a container's namespace with what the daemon holds for it. Once it is in Driver.sandboxes its fields change while both the
// sandbox's lock and mu are held: who has either may read.
type sandbox struct {
	rec    record.Sandbox
	ports  []*hostport.Reservation
	server *dns.Server
	held   string   // what of it could not be taken up again after a restart: a port, DNS
	inside *insight // nil = nobody has looked
}

// New opens the networks of o.Roots: it adopts what a predecessor left, finishes what it had begun and removes what
// belongs to nobody. ErrConflict when another process has them open.
func New(ctx context.Context, o Options) (*Driver, error) {
	if o.ResolvConf == "" {
		o.ResolvConf = "/etc/resolv.conf"
	}
	d := &Driver{
		roots:     o.Roots,
		instance:  o.Roots.Instance(),
		names:     record.Names(o.Roots.Instance()),
		sandboxes: map[string]*sandbox{},
	}
	for _, p := range o.Pools {
		if !p.Base.IsValid() || p.Size < p.Base.Bits() || p.Size > p.Base.Addr().BitLen()-2 || p.Base != p.Base.Masked() {
			return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf(
				"cannot use address pool %s in pieces of /%d: expected a range without host bits and a size between its own and /%d",
				p.Base, p.Size, p.Base.Addr().BitLen()-2))
		}
		d.pools = append(d.pools, ipam.Base{Prefix: p.Base, Size: p.Size})
	}
	if len(d.pools) == 0 {
		d.pools = defaultPools
	}
	dir := d.roots.InRun("network")
	if err := d.open(dir); err != nil {
		return nil, err
	}
	if err := d.compose(o, dir); err != nil {
		d.opened.Close()
		return nil, err
	}
	if err := d.adopt(); err != nil {
		d.Close(ctx)
		return nil, err
	}
	d.alarm.Run() // nobody else has had d before this
	return d, nil
}

// open makes the directories and takes the lock.
func (d *Driver) open(dir string) error {
	for _, p := range []string{d.roots.InRun("netns"), filepath.Join(dir, "networks"), filepath.Join(dir, "sandboxes")} {
		// Who talks to whom is nobody's business who cannot reach the daemon.
		if err := os.MkdirAll(p, 0o700); err != nil {
			return fmt.Errorf("cannot open the networks: %w", err)
		}
	}
	for _, p := range []string{d.roots.InRun("netns"), dir} { // those that were there
		if err := os.Chmod(p, 0o700); err != nil {
			return fmt.Errorf("cannot open the networks: %w", err)
		}
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("cannot open the networks: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot open the networks of %s: another process has them open", d.roots.Run))
		}
		return fmt.Errorf("cannot lock %s: %w", lock.Name(), err)
	}
	d.opened = lock
	return nil
}

// compose makes the parts. Precondition: nobody else has the directory.
func (d *Driver) compose(o Options, dir string) (err error) {
	if err := atomicfile.Sweep(dir); err != nil {
		return fmt.Errorf("cannot open the networks: %w", err)
	}
	d.fw = nft.New(d.instance, d.names.BridgePrefix())
	if d.link, err = rtnl.Open(); err != nil {
		return fmt.Errorf("cannot open netlink: %w", err)
	}
	if d.sysctls, err = sysctl.OpenHost(filepath.Join(dir, "sysctls.json")); err != nil {
		return err
	}
	if d.records, err = record.Open(dir); err != nil {
		return err
	}
	d.networks = membership.New(d.records)
	d.resolver = resolver.New(d.networks, o.ResolvConf, o.Servers)
	d.published = publish.New(asked{d})
	if d.alarm, err = alarm.Open(d.link, nft.TableName(d.instance), d.roots.InRun("netns"), asked{d}); err != nil {
		return fmt.Errorf("cannot open netlink: %w", err)
	}
	d.sight = sight.New(d.alarm, d.link, d.fw, asked{d})
	if d.bridges, err = bridge.Open(d.link, d.fw, d.sysctls, d.names); err != nil {
		return fmt.Errorf("cannot open netlink: %w", err)
	}
	d.parents = parent.New(d.link, d.names, d.networks)
	return nil
}

// netnsPath is where the namespace of a container's sandbox is bound.
func (d *Driver) netnsPath(container string) string { return d.roots.InRun("netns", container) }

// lock locks a network or a sandbox, and returns what unlocks it.
func (d *Driver) lock(object string) (unlock func()) {
	unlock, _ = d.objects.Lock(context.Background(), object) // which does not end
	return unlock
}

// Settle waits until what Delete and Teardown left to the background is done: the links are gone.
func (d *Driver) Settle(ctx context.Context) error {
	return d.background.Wait(ctx)
}

// Close lets go of the networks without changing them: containers go on, without DNS and [::1] ports until the next
// Driver. It waits for removals under way as long as ctx allows.
func (d *Driver) Close(ctx context.Context) error {
	err := d.Settle(ctx)
	d.alarm.Close()
	d.mu.Lock()
	all := slices.Collect(maps.Values(d.sandboxes))
	d.mu.Unlock()
	for _, s := range all {
		d.release(s)
	}
	d.published.Close()
	d.link.Close()
	d.bridges.Close()
	d.fw.Close()
	if records, _ := filepath.Glob(filepath.Join(d.roots.InRun("network"), "*", "*")); len(records) == 0 {
		os.Remove(d.opened.Name()) // while it is ours; whoever owns the run root removes the directories
	}
	return errors.Join(err, d.opened.Close())
}

// seen is s as it is now, for who has no lock.
func (d *Driver) seen(s *sandbox) *sandbox {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := *s
	return &now
}

// lacks notes why something of s could not be taken up, which the container works without. The sandbox's lock is held.
func (d *Driver) lacks(s *sandbox, why error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.held = why.Error()
}

// release closes what the daemon holds for s.
func (d *Driver) release(s *sandbox) {
	d.mu.Lock()
	server, ports := s.server, s.ports
	s.server, s.ports = nil, nil
	d.mu.Unlock()
	if server != nil {
		server.Close()
	}
	for _, p := range ports {
		if p != nil { // one that could not be reserved again
			p.Close()
		}
	}
}
