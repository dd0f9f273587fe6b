package network

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/background"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/keylock"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/network/alarm"
	"github.com/stackrun/stack/network/bridge"
	"github.com/stackrun/stack/network/cabling"
	"github.com/stackrun/stack/network/media"
	"github.com/stackrun/stack/network/membership"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/parent"
	"github.com/stackrun/stack/network/publish"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/resolver"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sandbox"
	"github.com/stackrun/stack/network/sight"
	"github.com/stackrun/stack/network/subnet"
	"github.com/stackrun/stack/network/sysctl"
)

// Options of a Driver. The zero value of all but Roots is usable.
type Options struct {
	Roots   roots.Roots
	Pools   []AddressPool // empty = those of package subnet
	Servers []netip.Addr  // DNS servers for names that are not ours; empty = those of ResolvConf
	// ResolvConf is the host's resolver configuration; "" = /etc/resolv.conf.
	ResolvConf string
}

// Driver makes and removes the networks of one instance. One Driver at a time works on a run root; it may be
// killed at any point, and the next one carries on. Safe for concurrent use.
type Driver struct {
	roots    roots.Roots
	opened   *os.File // locked: nobody else has the run root
	instance string
	subnets  *subnet.Chooser

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
	media     *media.Media
	cabling   *cabling.Cabling
	book      *sandbox.Book

	*sandbox.Keeper // Setup, Mend, Rewire, Handover, Teardown, Sandboxes

	locks      keylock.Locks    // one verb at a time per network, by id
	background background.Group // removals that nobody waits for
}

// New opens the networks of o.Roots: it adopts what a predecessor left, finishes what it had begun and removes what
// belongs to nobody. ErrConflict when another process has them open.
func New(ctx context.Context, o Options) (*Driver, error) {
	if o.ResolvConf == "" {
		o.ResolvConf = "/etc/resolv.conf"
	}
	d := &Driver{roots: o.Roots, instance: o.Roots.Instance(), names: record.Names(o.Roots.Instance())}
	var err error
	if d.subnets, err = subnet.NewChooser(d.instance, o.Pools); err != nil {
		return nil, err
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
	for _, p := range []string{d.roots.InState(), d.roots.InRun("netns"), filepath.Join(dir, "networks"), filepath.Join(dir, "sandboxes")} {
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
	if err := errors.Join(atomicfile.Sweep(dir), atomicfile.Sweep(d.roots.InState())); err != nil { // nobody else replaces files right below the state root
		return fmt.Errorf("cannot open the networks: %w", err)
	}
	d.fw = nft.New(d.instance, d.names.BridgePrefix())
	if d.link, err = rtnl.Open(); err != nil {
		return fmt.Errorf("cannot open netlink: %w", err)
	}
	if d.records, err = record.Open(dir); err != nil {
		return err
	}
	if d.sysctls, err = sysctl.OpenHost(d.roots.InState("sysctls.json"), filepath.Join(dir, "sysctls.json"), d.records.Epoch()); err != nil {
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
	d.media = media.New(d.bridges, d.parents)
	d.cabling = cabling.New(d.networks, d.media)
	d.book = sandbox.NewBook(d.roots.InRun("netns"))
	d.Keeper = sandbox.New(sandbox.Parts{
		Book: d.book, Records: d.records, Networks: d.networks, Cabling: d.cabling, Published: d.published, Resolver: d.resolver, Firewall: d.fw, Link: d.link,
		Alarm: d.alarm, Sight: d.sight, Background: &d.background,
	})
	return nil
}

// lock locks a network, and returns what unlocks it.
func (d *Driver) lock(id string) (unlock func()) {
	unlock, _ = d.locks.Lock(context.Background(), id) // which does not end
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
	d.book.Close()
	d.published.Close()
	d.link.Close()
	d.bridges.Close()
	d.fw.Close()
	if records, _ := filepath.Glob(filepath.Join(d.roots.InRun("network"), "*", "*")); len(records) == 0 {
		os.Remove(d.opened.Name()) // while it is ours; whoever owns the run root removes the directories
	}
	return errors.Join(err, d.opened.Close())
}
