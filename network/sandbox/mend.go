package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/cabling"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/resolver"
)

// Mend repairs the sandbox of a running container in place: the container keeps its processes and its addresses. c is what Setup was given.
// nsPath is a /proc/PID/ns/net that the caller knows to be the container's; from it the file of the namespace is bound again where that is
// gone. The networks must be whole: Create mends them. What processes of the container have added to its namespace stays.
//
// Errors: ErrConflict when the sandbox was set up with another configuration, ErrInvalidArgument when nsPath is the host's own namespace,
// ErrNotFound when a network does not exist. Idempotent.
func (sb *Keeper) Mend(ctx context.Context, c definition.SandboxConfig, nsPath string) (State, error) {
	if err := c.Check(); err != nil {
		return State{}, err
	}
	defer sb.lock(c.ContainerID)()
	fail := func(err error) (State, error) {
		return State{}, fmt.Errorf("cannot mend the network of %s: %w", c.Name(), err)
	}
	ns, err := os.Open(nsPath)
	if err != nil {
		return fail(err)
	}
	defer ns.Close()
	if host, err := netns.Identity(); err != nil || netns.Inode(nsPath) == 0 || netns.Inode(nsPath) == host {
		return fail(errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%s is not a container's namespace", nsPath)))
	}
	s := sb.book.find(c.ContainerID)
	if s != nil && !s.rec.Config.Same(c) {
		return fail(errdefs.With(errdefs.ErrConflict, errors.New("it was set up with another configuration")))
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	if s == nil {
		s, err = sb.recall(c, ns)
	}
	if err == nil {
		err = sb.mend(ctx, s, ns)
	}
	if err != nil {
		return fail(err)
	}
	v := sb.sight.Look()
	sb.lookInside([]*box{s})
	return sb.state(s, v), nil
}

// recall makes the record of a sandbox anew of which only the namespace is left, with the addresses that are in there.
func (sb *Keeper) recall(c definition.SandboxConfig, ns *os.File) (*box, error) {
	var before []record.Endpoint
	err := netns.In(ns, func() (err error) {
		before, err = sb.cabling.Found(c)
		return err
	})
	if err != nil {
		return nil, err
	}
	undo := cleanup.Make()
	defer undo.Clean()
	s, err := sb.claim(c, before, undo)
	if err != nil {
		return nil, err
	}
	if err := sb.fw.AddGuests(sb.cabling.Guests(s.rec.Endpoints)); err != nil {
		return nil, err
	}
	sb.servePorts(s)
	sb.book.put(s)
	undo.Release()
	return s, nil
}

// mend makes what s lacks, from the namespace outwards. Preconditions: the sandbox's lock is held, ns is its namespace.
func (sb *Keeper) mend(ctx context.Context, s *box, ns *os.File) error {
	id := s.rec.Config.ContainerID
	path := sb.book.Path(id)
	if have, want := netns.Inode(path), netns.Inode(fmt.Sprintf("/proc/self/fd/%d", ns.Fd())); have != want {
		if err := netns.Bind(ns, path); err != nil {
			return err
		}
	}
	if err := sb.hear(s.rec, int(ns.Fd()), false); err != nil {
		return err
	}
	if err := netns.In(ns, func() error { return sb.cabling.Refurnish(ctx, s.rec, int(ns.Fd())) }); err != nil {
		return err
	}
	if err := sb.mendDNS(s, ns); err != nil {
		return err
	}
	if err := sb.mendPorts(s); err != nil {
		return err
	}
	if err := sb.fw.AddForwards(sb.forwards(s.rec)); err != nil {
		return err
	}
	if err := sb.fw.Restore(); err != nil {
		return err
	}
	sb.link.AwaitCarrier(ctx, cabling.HostLinks(s.rec.Endpoints)...)
	sb.networks.Announce(s.rec)
	return nil
}

// mendDNS lets the container's DNS server run and port 53 lead to it.
func (sb *Keeper) mendDNS(s *box, ns *os.File) error {
	if len(s.rec.Endpoints) == 0 {
		return nil
	}
	sb.book.mu.Lock()
	server := s.server
	if server != nil && server.Broken() {
		defer server.Close()
		s.server, server = nil, nil
	}
	sb.book.mu.Unlock()
	var socks *dns.Sockets
	err := netns.In(ns, func() (err error) {
		if server == nil {
			socks, err = resolver.Listen(false)
			return err
		}
		return resolver.Redirect(server)
	})
	if err != nil || socks == nil {
		return err
	}
	server = sb.serveDNS(s.rec, socks)
	sb.book.mu.Lock()
	s.server, s.held = server, ""
	sb.book.mu.Unlock()
	return nil
}

// mendPorts reserves again what could not be when the sandbox was adopted.
func (sb *Keeper) mendPorts(s *box) error {
	for i, p := range s.rec.Ports {
		if s.ports[i] != nil {
			continue
		}
		r, err := sb.published.Again(p)
		if err != nil {
			return err
		}
		sb.book.mu.Lock()
		s.ports[i], s.held = r, ""
		sb.book.mu.Unlock()
	}
	sb.servePorts(s)
	return nil
}
