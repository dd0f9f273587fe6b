package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/network/cabling"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/record"
)

// rewiring is a sandbox on its way from one set of networks to another.
type rewiring struct {
	old, rec record.Sandbox
	gone     []record.Endpoint
	fresh    []record.Endpoint
}

// Rewire puts a sandbox on the networks that c says, while its container runs: interfaces of networks that c has no more go, those of new ones come. What stays keeps
// its interface, addresses and connections; published ports, names and default routes go by the new set, as Setup would have decided. c is
// what Setup was given but for Endpoints. One whose address or settings c has otherwise than it is goes and comes anew. Idempotent.
//
// Errors: ErrNotFound when there is no sandbox, or no such network; ErrConflict when another setting than Endpoints differs, the sandbox is half of a
// Handover, or an address or port is taken; ErrInvalidArgument for what cannot be. Nothing has changed then.
func (sb *Keeper) Rewire(ctx context.Context, c definition.SandboxConfig) (State, error) {
	if err := c.Check(); err != nil {
		return State{}, err
	}
	defer sb.lock(c.ContainerID)()
	fail := func(err error) (State, error) {
		return State{}, fmt.Errorf("cannot change the networks of %s: %w", c.Name(), err)
	}
	s := sb.book.find(c.ContainerID)
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
	ns, err := os.Open(sb.book.Path(c.ContainerID))
	if err != nil {
		return fail(err)
	}
	defer ns.Close()
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	if err := sb.rewire(ctx, s, c, ns); err != nil {
		return fail(err)
	}
	return s.state(sb.book.Path(c.ContainerID), sb.resolver.File(c)), nil
}

// rewire is Rewire of s, whose namespace is ns. Precondition: the sandbox's lock is held.
func (sb *Keeper) rewire(ctx context.Context, s *box, c definition.SandboxConfig, ns *os.File) error {
	undo := cleanup.Make()
	defer undo.Clean()
	r, err := sb.plan(s.rec, c, undo)
	if err != nil {
		return err
	}
	next := &box{rec: r.rec}
	if len(r.rec.Ports) == 0 { // there was no way in before, perhaps
		if err := sb.reservePorts(next); err != nil {
			return err
		}
		undo.Add(func() { sb.book.release(next) })
		r.rec = next.rec
	}
	if err := sb.records.PutSandbox(r.rec); err != nil {
		return err
	}
	undo.Add(func() { sb.records.PutSandbox(r.old) })
	failpoint.Hit("network.rewire.recorded")
	if err := netns.In(ns, func() error { return sb.cabling.PlugIn(ctx, r.fresh, int(ns.Fd()), sb.book.Path(c.ContainerID), undo) }); err != nil {
		return err
	}
	failpoint.Hit("network.rewire.links")
	if err := sb.fw.AddGuests(sb.cabling.Guests(r.rec.Endpoints)); err != nil {
		return err
	}
	if err := sb.fw.MoveForwards(sb.forwards(r.old), sb.forwards(r.rec)); err != nil {
		return err
	}
	// From here on it is on its new networks: what fails is left to Mend, by the record.
	undo.Release()
	was := record.Sandbox{Config: r.old.Config, Endpoints: r.gone}
	sb.networks.Pass(r.rec.Endpoints, r.old.Config.Name(), r.rec.Config.Name())
	sb.book.mu.Lock()
	s.rec, s.inside = r.rec, nil
	s.ports = append(s.ports, next.ports...)
	sb.book.mu.Unlock()
	sb.networks.Give(r.gone, r.old.Config.Name())
	sb.networks.Silence(was)
	sb.networks.Announce(r.rec)
	left := netns.In(ns, func() error { return sb.cabling.Unplug(r.gone, r.old.Endpoints, r.rec.Endpoints) })
	_ = sb.fw.DelGuests(slices.DeleteFunc(sb.cabling.Guests(was.Endpoints), func(g nft.Guest) bool { return slices.Contains(sb.cabling.Guests(r.rec.Endpoints), g) })) // Mend and the next Driver write them anew
	sb.resolveAnew(s, ns)
	_ = sb.hear(r.rec, int(ns.Fd()), left == nil)
	if err := sb.servePorts(s); err != nil {
		sb.book.lacks(s, err) // the firewall forwards, and that is nearly all of it
	}
	if !slices.Equal(sb.forwards(r.old), sb.forwards(r.rec)) {
		sb.forgetFlows(r.old)
	}
	sb.link.AwaitCarrier(ctx, cabling.HostLinks(r.fresh)...)
	sb.alarm.Hint()
	return left
}

// plan decides which endpoints stay, and gives the others addresses, which undo gives back.
func (sb *Keeper) plan(old record.Sandbox, c definition.SandboxConfig, undo *cleanup.Cleanup) (rewiring, error) {
	r := rewiring{old: old, rec: old}
	r.rec.Config, r.rec.Endpoints = c, nil
	stays := map[string]record.Endpoint{} // by network
	used := map[string]bool{}
	for _, ep := range old.Endpoints {
		if i := slices.IndexFunc(c.Endpoints, func(cfg definition.EndpointConfig) bool { return ep.Is(cfg) }); i >= 0 {
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
	wanted := definition.SandboxConfig{ContainerID: c.ContainerID}
	for _, cfg := range c.Endpoints {
		if _, ok := stays[cfg.Network]; ok {
			continue
		}
		for i := 0; cfg.Interface == ""; i++ { // the first that is free, as docker
			if name := fmt.Sprintf("eth%d", i); !used[name] && !slices.ContainsFunc(r.gone, func(ep record.Endpoint) bool { return ep.Interface == name }) {
				cfg.Interface, used[name] = name, true
			}
		}
		if slices.ContainsFunc(old.Endpoints, func(ep record.Endpoint) bool { return ep.Interface == cfg.Interface }) {
			return r, errdefs.With(errdefs.ErrConflict, fmt.Errorf("network %q: its interface %s is there already", cfg.Network, cfg.Interface))
		}
		wanted.Endpoints = append(wanted.Endpoints, cfg)
	}
	var err error
	if r.fresh, err = sb.cabling.Take(wanted, nil, sb.book.number); err != nil {
		return r, err
	}
	undo.Add(func() { sb.networks.Give(r.fresh, old.Config.Name()) }) // whose they are from here on
	sb.networks.Pass(r.fresh, wanted.Name(), old.Config.Name())
	for _, cfg := range c.Endpoints {
		if ep, ok := stays[cfg.Network]; ok {
			r.rec.Endpoints = append(r.rec.Endpoints, ep)
			continue
		}
		i := slices.IndexFunc(r.fresh, func(ep record.Endpoint) bool { return ep.Network == cfg.Network })
		r.rec.Endpoints = append(r.rec.Endpoints, r.fresh[i])
	}
	return r, nil
}

// resolveAnew lets the container's DNS server go by the networks that it is on now; its first network brings one.
func (sb *Keeper) resolveAnew(s *box, ns *os.File) {
	sb.book.mu.Lock()
	server := s.server
	sb.book.mu.Unlock()
	if server != nil {
		sb.resolver.Turn(server, s.rec)
		return
	}
	if err := sb.mendDNS(s, ns); err != nil {
		sb.book.lacks(s, err)
	}
}
