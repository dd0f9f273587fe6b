package network

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/resolver"
)

// Setup makes the sandbox of container c.ContainerID: its namespace with lo, an interface per endpoint, routes, DNS, and
// the published ports. A sandbox that is there and whole, with the same configuration, is kept as it is; any other is made anew, with the
// addresses that it had where that is possible.
//
// Errors: ErrInvalidArgument for what cannot be (no such network, an address outside the subnet), ErrConflict for what is
// taken (address, port; the message names the owner).
func (d *Driver) Setup(ctx context.Context, c SandboxConfig) (Sandbox, error) {
	if err := c.Check(); err != nil {
		return Sandbox{}, err
	}
	defer d.lock("sandbox " + c.ContainerID)()
	d.mu.Lock()
	old := d.sandboxes[c.ContainerID]
	d.mu.Unlock()
	var before []Endpoint
	if old != nil {
		if old.rec.Config.Same(c) {
			v := d.sight.Look()
			d.lookInside([]*sandbox{old})
			if st := d.sandboxState(old, v); st.Healthy {
				return st, nil
			}
		}
		before = old.rec.Endpoints
		if err := d.teardown(old); err != nil {
			return Sandbox{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return Sandbox{}, err
	}
	s, err := d.build(ctx, c, before)
	if err != nil {
		return Sandbox{}, fmt.Errorf("cannot set up the network of %s: %w", c.Name(), err)
	}
	return s.state(d.netnsPath(c.ContainerID), d.resolver.File(c)), nil
}

// build makes a sandbox of which nothing exists.
func (d *Driver) build(ctx context.Context, c SandboxConfig, before []Endpoint) (*sandbox, error) {
	undo := cleanup.Make()
	defer undo.Clean()
	s, err := d.claim(c, before, undo)
	if err != nil {
		return nil, err
	}
	failpoint.Hit("network.setup.recorded")
	path := d.netnsPath(c.ContainerID)
	var socks *dns.Sockets
	if err := netns.Unbind(path); err != nil { // an empty file, or one that a lost record left
		return nil, err
	}
	undo.Add(func() { d.alarm.Forget(c.ContainerID) })
	if err := netns.Make(path, func(fd int) error {
		if err := d.furnish(ctx, s.rec, fd); err != nil {
			return err
		}
		if len(c.Endpoints) > 0 {
			if socks, err = resolver.Listen(true); err != nil {
				return err
			}
		}
		_ = d.hear(s.rec, fd, true)
		return nil
	}); err != nil {
		return nil, err
	}
	failpoint.Hit("network.setup.namespace")
	undo.Add(func() { netns.Unbind(path) })
	if socks != nil {
		s.server = d.serveDNS(s.rec, socks)
	}
	if err := d.fw.AddForwards(d.forwards(s.rec)); err != nil {
		return nil, err
	}
	undo.Add(func() { d.fw.DelForwards(d.forwards(s.rec)) })
	if err := d.fw.AddGuests(d.guests(s.rec)); err != nil {
		return nil, err
	}
	undo.Add(func() { d.fw.DelGuests(d.guests(s.rec)) })
	failpoint.Hit("network.setup.firewall")
	if err := d.servePorts(s); err != nil {
		return nil, err
	}
	d.link.AwaitCarrier(ctx, hostLinks(s.rec.Endpoints)...)
	d.mu.Lock()
	d.sandboxes[c.ContainerID] = s
	d.mu.Unlock()
	d.networks.Announce(s.rec)
	undo.Release()
	return s, nil
}

// claim gives a sandbox its addresses and ports, and records that before anything of it is made. before is what the container had; undo gives it all back.
func (d *Driver) claim(c SandboxConfig, before []Endpoint, undo *cleanup.Cleanup) (_ *sandbox, err error) {
	s := &sandbox{rec: record.Sandbox{Config: c}}
	s.rec.Waiting = d.waits(c)
	if s.rec.Endpoints, err = d.take(c, before); err != nil {
		return nil, err
	}
	undo.Add(func() { d.networks.Give(s.rec.Endpoints, c.Name()) })
	if err := d.reservePorts(s); err != nil {
		return nil, err
	}
	undo.Add(func() { d.release(s) })
	if err := d.records.PutSandbox(s.rec); err != nil {
		return nil, err
	}
	undo.Add(func() { d.records.DropSandbox(c.ContainerID) })
	return s, nil
}

// take gives the endpoints of c their addresses and the names of their links on the host. before is what the container had.
func (d *Driver) take(c SandboxConfig, before []Endpoint) ([]Endpoint, error) {
	eps, err := d.networks.Take(c, before)
	for i := range eps {
		n, err := d.networks.Record(eps[i].Network)
		if err != nil {
			continue // it has gone since, which attaching it will say
		}
		d.mu.Lock()
		eps[i].HostLink = d.medium(n.Config).HostLink(d.nextLink)
		d.nextLink++
		d.mu.Unlock()
	}
	return eps, err
}

// serveDNS answers the container of r on socks.
func (d *Driver) serveDNS(r record.Sandbox, socks *dns.Sockets) *dns.Server {
	return d.resolver.Serve(r, socks, func() {
		d.alarm.LookAgain(r.Config.ContainerID)
		d.alarm.Hint()
	})
}
