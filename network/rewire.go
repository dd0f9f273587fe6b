package network

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/interior"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
)

// rewiring is a sandbox on its way from one set of networks to another.
type rewiring struct {
	old, rec record.Sandbox
	gone     []Endpoint
	fresh    []Endpoint
}

// Rewire puts a sandbox on the networks that c says, while its container runs: interfaces of networks that c has no more go, those of new ones come. What stays keeps
// its interface, addresses and connections; published ports, names and default routes go by the new set, as Setup would have decided. c is
// what Setup was given but for Endpoints. One whose address or settings c has otherwise than it is goes and comes anew. Idempotent.
//
// Errors: ErrNotFound when there is no sandbox, or no such network; ErrConflict when another setting than Endpoints differs, the sandbox is half of a
// Handover, or an address or port is taken; ErrInvalidArgument for what cannot be. Nothing has changed then.
func (d *Driver) Rewire(ctx context.Context, c SandboxConfig) (Sandbox, error) {
	if err := c.Check(); err != nil {
		return Sandbox{}, err
	}
	defer d.lock("sandbox " + c.ContainerID)()
	fail := func(err error) (Sandbox, error) {
		return Sandbox{}, fmt.Errorf("cannot change the networks of %s: %w", c.Name(), err)
	}
	d.mu.Lock()
	s := d.sandboxes[c.ContainerID]
	d.mu.Unlock()
	if s == nil {
		return fail(errdefs.With(errdefs.ErrNotFound, errors.New("it has no network")))
	}
	if s.rec.Waiting || s.rec.Relieved {
		return fail(errdefs.With(errdefs.ErrConflict, errors.New("another container is taking its place")))
	}
	before := s.rec.Config
	before.Endpoints = c.Endpoints
	if !before.Same(c) {
		return fail(errdefs.With(errdefs.ErrConflict, errors.New("it was set up with another configuration")))
	}
	ns, err := os.Open(d.netnsPath(c.ContainerID))
	if err != nil {
		return fail(err)
	}
	defer ns.Close()
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	if err := d.rewire(ctx, s, c, ns); err != nil {
		return fail(err)
	}
	return s.state(d.netnsPath(c.ContainerID), d.resolver.File(c)), nil
}

// rewire is Rewire of s, whose namespace is ns. Precondition: the sandbox's lock is held.
func (d *Driver) rewire(ctx context.Context, s *sandbox, c SandboxConfig, ns *os.File) error {
	undo := cleanup.Make()
	defer undo.Clean()
	r, err := d.plan(s.rec, c, undo)
	if err != nil {
		return err
	}
	next := &sandbox{rec: r.rec}
	if len(r.rec.Ports) == 0 { // there was no way in before, perhaps
		if err := d.reservePorts(next); err != nil {
			return err
		}
		undo.Add(func() { d.release(next) })
		r.rec = next.rec
	}
	if err := d.records.PutSandbox(r.rec); err != nil {
		return err
	}
	undo.Add(func() { d.records.PutSandbox(r.old) })
	failpoint.Hit("network.rewire.recorded")
	if err := netns.In(ns, func() error { return d.plugIn(ctx, r, int(ns.Fd()), undo) }); err != nil {
		return err
	}
	failpoint.Hit("network.rewire.links")
	if err := d.fw.AddGuests(d.guests(r.rec)); err != nil {
		return err
	}
	if err := d.fw.MoveForwards(d.forwards(r.old), d.forwards(r.rec)); err != nil {
		return err
	}
	// From here on it is on its new networks: what fails is left to Mend, by the record.
	undo.Release()
	was := record.Sandbox{Config: r.old.Config, Endpoints: r.gone}
	d.networks.Pass(r.rec.Endpoints, r.old.Config.Name(), r.rec.Config.Name())
	d.mu.Lock()
	s.rec, s.inside = r.rec, nil
	s.ports = append(s.ports, next.ports...)
	d.mu.Unlock()
	d.networks.Give(r.gone, r.old.Config.Name())
	d.networks.Silence(was)
	d.networks.Announce(r.rec)
	left := d.unplug(ns, r)
	_ = d.fw.DelGuests(slices.DeleteFunc(d.guests(was), func(g nft.Guest) bool { return slices.Contains(d.guests(r.rec), g) })) // Mend and the next Driver write them anew
	d.resolveAnew(s, ns)
	_ = d.hear(r.rec, int(ns.Fd()), left == nil)
	if err := d.servePorts(s); err != nil {
		d.lacks(s, err) // the firewall forwards, and that is nearly all of it
	}
	if !slices.Equal(d.forwards(r.old), d.forwards(r.rec)) {
		d.forgetFlows(r.old)
	}
	d.link.AwaitCarrier(ctx, hostLinks(r.fresh)...)
	d.alarm.Hint()
	return left
}

// plan decides which endpoints stay, and gives the others addresses, which undo gives back.
func (d *Driver) plan(old record.Sandbox, c SandboxConfig, undo *cleanup.Cleanup) (rewiring, error) {
	r := rewiring{old: old, rec: old}
	r.rec.Config, r.rec.Endpoints = c, nil
	stays := map[string]Endpoint{} // by network
	used := map[string]bool{}
	for _, ep := range old.Endpoints {
		if i := slices.IndexFunc(c.Endpoints, func(cfg EndpointConfig) bool { return ep.Is(cfg) }); i >= 0 {
			cfg := c.Endpoints[i]
			cfg.ContainerID, cfg.Interface = ep.ContainerID, ep.Interface
			ep.EndpointConfig = cfg
			stays[ep.Network], used[ep.Interface] = ep, true
			continue
		}
		r.gone = append(r.gone, ep)
	}
	for _, cfg := range c.Endpoints {
		used[cfg.Interface] = true
	}
	wanted := SandboxConfig{ContainerID: c.ContainerID}
	for _, cfg := range c.Endpoints {
		if _, ok := stays[cfg.Network]; ok {
			continue
		}
		for i := 0; cfg.Interface == ""; i++ { // the first that is free, as docker
			if name := fmt.Sprintf("eth%d", i); !used[name] && !slices.ContainsFunc(r.gone, func(ep Endpoint) bool { return ep.Interface == name }) {
				cfg.Interface, used[name] = name, true
			}
		}
		if slices.ContainsFunc(old.Endpoints, func(ep Endpoint) bool { return ep.Interface == cfg.Interface }) {
			return r, errdefs.With(errdefs.ErrConflict, fmt.Errorf("network %q: its interface %s is there already", cfg.Network, cfg.Interface))
		}
		wanted.Endpoints = append(wanted.Endpoints, cfg)
	}
	var err error
	if r.fresh, err = d.take(wanted, nil); err != nil {
		return r, err
	}
	undo.Add(func() { d.networks.Give(r.fresh, old.Config.Name()) }) // whose they are from here on
	d.networks.Pass(r.fresh, wanted.Name(), old.Config.Name())
	for _, cfg := range c.Endpoints {
		if ep, ok := stays[cfg.Network]; ok {
			r.rec.Endpoints = append(r.rec.Endpoints, ep)
			continue
		}
		i := slices.IndexFunc(r.fresh, func(ep Endpoint) bool { return ep.Network == cfg.Network })
		r.rec.Endpoints = append(r.rec.Endpoints, r.fresh[i])
	}
	return r, nil
}

// plugIn makes the interfaces that are new. The calling thread is in the namespace, and ns is an fd of it.
func (d *Driver) plugIn(ctx context.Context, r rewiring, ns int, undo *cleanup.Cleanup) error {
	in, err := rtnl.Open()
	if err != nil {
		return fmt.Errorf("cannot open netlink in the container's namespace: %w", err)
	}
	defer in.Close()
	for _, ep := range r.fresh {
		n, err := d.networks.Record(ep.Network)
		if err == nil {
			path := d.netnsPath(ep.ContainerID)
			undo.Add(func() { _ = netns.Do(path, func() error { return d.medium(n.Config).Unplug(n, ep) }) })
			err = d.medium(n.Config).Attach(in, n, ep, ns)
		}
		if err != nil {
			return fmt.Errorf("network %q: %w", ep.Network, err)
		}
	}
	in.AwaitLocal(ctx, record.Sandbox{Endpoints: r.fresh}.Addresses6()...)
	return nil
}

// unplug takes away the interfaces that are no more, and leads the default routes as the others want them.
func (d *Driver) unplug(ns *os.File, r rewiring) error {
	return netns.In(ns, func() error {
		in, err := rtnl.Open()
		if err != nil {
			return fmt.Errorf("cannot open netlink in the container's namespace: %w", err)
		}
		defer in.Close()
		for _, ep := range r.gone {
			n, err := d.networks.Record(ep.Network)
			if err == nil {
				err = d.medium(n.Config).Unplug(n, ep)
			}
			if err != nil {
				return fmt.Errorf("network %q: %w", ep.Network, err)
			}
		}
		was, be := d.defaultRoutes(r.old.Endpoints), d.defaultRoutes(r.rec.Endpoints)
		for _, route := range was {
			if slices.Contains(be, route) {
				continue
			}
			if err := route.Remove(in); err != nil {
				return err
			}
		}
		here, err := interior.Read(in)
		if err != nil {
			return err
		}
		for _, route := range be {
			if here.Has(route) { // as before, or of the container's own
				continue
			}
			if err := route.Add(in); err != nil {
				return err
			}
		}
		return nil
	})
}

// resolveAnew lets the container's DNS server go by the networks that it is on now; its first network brings one.
func (d *Driver) resolveAnew(s *sandbox, ns *os.File) {
	d.mu.Lock()
	server := s.server
	d.mu.Unlock()
	if server != nil {
		d.resolver.Turn(server, s.rec)
		return
	}
	if err := d.mendDNS(s, ns); err != nil {
		d.lacks(s, err)
	}
}
