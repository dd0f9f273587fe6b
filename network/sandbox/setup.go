package sandbox

import (
	"context"
	"fmt"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/cabling"
	"github.com/stackrun/stack/network/definition"
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
func (sb *Keeper) Setup(ctx context.Context, c definition.SandboxConfig) (State, error) {
	if err := c.Check(); err != nil {
		return State{}, err
	}
	defer sb.lock(c.ContainerID)()
	old := sb.book.find(c.ContainerID)
	var before []record.Endpoint
	if old != nil {
		if old.rec.Config.Same(c) {
			v := sb.sight.Look()
			sb.lookInside([]*box{old})
			if st := sb.state(old, v); st.Healthy {
				return st, nil
			}
		}
		before = old.rec.Endpoints
		if err := sb.teardown(old); err != nil {
			return State{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return State{}, err
	}
	s, err := sb.build(ctx, c, before)
	if err != nil {
		return State{}, fmt.Errorf("cannot set up the network of %s: %w", c.Name(), err)
	}
	return s.state(sb.book.Path(c.ContainerID), sb.resolver.File(c)), nil
}

// build makes a sandbox of which nothing exists.
func (sb *Keeper) build(ctx context.Context, c definition.SandboxConfig, before []record.Endpoint) (*box, error) {
	undo := cleanup.Make()
	defer undo.Clean()
	s, err := sb.claim(c, before, undo)
	if err != nil {
		return nil, err
	}
	failpoint.Hit("network.setup.recorded")
	path := sb.book.Path(c.ContainerID)
	var socks *dns.Sockets
	if err := netns.Unbind(path); err != nil { // an empty file, or one that a lost record left
		return nil, err
	}
	undo.Add(func() { sb.background.Go(func() { sb.awaitGone(s.rec.Endpoints) }) })
	undo.Add(func() { sb.alarm.Forget(c.ContainerID) })
	if err := netns.Make(path, func(fd int) error {
		if err := sb.cabling.Furnish(ctx, s.rec, fd); err != nil {
			return err
		}
		if len(c.Endpoints) > 0 {
			if socks, err = resolver.Listen(true); err != nil {
				return err
			}
		}
		_ = sb.hear(s.rec, fd, true)
		return nil
	}); err != nil {
		return nil, err
	}
	failpoint.Hit("network.setup.namespace")
	undo.Add(func() { netns.Unbind(path) })
	if socks != nil {
		s.server = sb.serveDNS(s.rec, socks)
	}
	if err := sb.fw.AddForwards(sb.forwards(s.rec)); err != nil {
		return nil, err
	}
	undo.Add(func() { sb.fw.DelForwards(sb.forwards(s.rec)) })
	if err := sb.fw.AddGuests(sb.cabling.Guests(s.rec.Endpoints)); err != nil {
		return nil, err
	}
	undo.Add(func() { sb.fw.DelGuests(sb.cabling.Guests(s.rec.Endpoints)) })
	failpoint.Hit("network.setup.firewall")
	if err := sb.servePorts(s); err != nil {
		return nil, err
	}
	sb.link.AwaitCarrier(ctx, cabling.HostLinks(s.rec.Endpoints)...)
	sb.book.put(s)
	sb.networks.Announce(s.rec)
	undo.Release()
	return s, nil
}

// claim gives a sandbox its addresses and ports, and records that before anything of it is made. before is what the container had; undo gives it all back.
func (sb *Keeper) claim(c definition.SandboxConfig, before []record.Endpoint, undo *cleanup.Cleanup) (_ *box, err error) {
	s := &box{rec: record.Sandbox{Config: c}}
	s.rec.Waiting = sb.waits(c)
	if s.rec.Endpoints, err = sb.cabling.Take(c, before, sb.book.number); err != nil {
		return nil, err
	}
	undo.Add(func() { sb.networks.Give(s.rec.Endpoints, c.Name()) })
	if err := sb.reservePorts(s); err != nil {
		return nil, err
	}
	undo.Add(func() { sb.book.release(s) })
	if err := sb.records.PutSandbox(s.rec); err != nil {
		return nil, err
	}
	undo.Add(func() { sb.records.DropSandbox(c.ContainerID) })
	return s, nil
}

// serveDNS answers the container of r on socks.
func (sb *Keeper) serveDNS(r record.Sandbox, socks *dns.Sockets) *dns.Server {
	return sb.resolver.Serve(r, socks, func() {
		sb.alarm.LookAgain(r.Config.ContainerID)
		sb.alarm.Hint()
	})
}
