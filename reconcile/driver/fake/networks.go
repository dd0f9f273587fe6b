package fake

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/volume"
)

type networks Host

func (n *networks) host() *Host { return (*Host)(n) }

func (n *networks) Create(ctx context.Context, c network.Config) (s network.State, err error) {
	err = n.host().do(ctx, "Networks.Create", func() error {
		if have, ok := n.networks[c.ID]; ok {
			s = have
			s.Healthy, s.Problem = true, ""
			n.networks[c.ID] = s
			return nil
		}
		s = network.State{Config: c, Link: "br-" + c.ID, Pools: c.Pools, Healthy: true}
		n.networks[c.ID] = s
		return nil
	})
	return s, err
}

// CheckNetwork takes what is right by itself: there is no host that could lack something.
func (n *networks) CheckNetwork(ctx context.Context, c network.Config) error { return c.Check() }

func (n *networks) Delete(ctx context.Context, id string) error {
	return n.host().do(ctx, "Networks.Delete", func() error {
		for _, box := range n.sandboxes {
			for _, ep := range box.Endpoints {
				if ep.Network == id {
					return conflict("network %s is used by container %.12s", id, box.ContainerID)
				}
			}
		}
		delete(n.networks, id)
		return nil
	})
}

func (n *networks) List(ctx context.Context) ([]network.State, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []network.State
	for _, s := range n.networks {
		for _, box := range n.sandboxes {
			for _, ep := range box.Endpoints {
				if ep.Network == s.Config.ID {
					s.Endpoints = append(s.Endpoints, ep)
				}
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b network.State) int { return strings.Compare(a.Config.ID, b.Config.ID) })
	return out, nil
}

func (n *networks) taken(p network.Port, holder string) string {
	key := fmt.Sprintf("%d/%s", p.HostPort, p.Protocol)
	if owner := n.Taken[key]; owner != "" {
		return owner
	}
	for who, held := range n.holds {
		if who != holder && held[key] {
			return "project " + who + ", which is starting"
		}
	}
	for _, box := range n.sandboxes {
		for _, q := range box.Ports {
			if q.HostPort == p.HostPort && q.Protocol == p.Protocol {
				return "container " + objectid.Short(box.ContainerID)
			}
		}
	}
	return ""
}

func (n *networks) CheckPorts(ctx context.Context, holder string, ports []network.Port) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range ports {
		for n.taken(p, holder) != "" && p.HostPort < p.HostPortEnd {
			p.HostPort++
		}
		if owner := n.taken(p, holder); owner != "" && p.HostPort != 0 {
			return conflict("port %d/%s is taken by %s", p.HostPort, p.Protocol, owner)
		}
	}
	return nil
}

func (n *networks) HoldPort(_ context.Context, holder string, p network.Port) (network.Port, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for n.taken(p, holder) != "" && p.HostPort < p.HostPortEnd {
		p.HostPort++
	}
	if owner := n.taken(p, holder); owner != "" {
		return network.Port{}, conflict("port %d/%s is taken by %s", p.HostPort, p.Protocol, owner)
	}
	p.HostPortEnd = 0
	if n.holds == nil {
		n.holds = map[string]map[string]bool{}
	}
	if n.holds[holder] == nil {
		n.holds[holder] = map[string]bool{}
	}
	n.holds[holder][fmt.Sprintf("%d/%s", p.HostPort, p.Protocol)] = true
	return p, nil
}

func (n *networks) ReleasePorts(_ context.Context, holder string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.holds, holder)
}

func (n *networks) Setup(ctx context.Context, c network.SandboxConfig) (box network.Sandbox, err error) {
	err = n.host().do(ctx, "Networks.Setup", func() error {
		if have, ok := n.sandboxes[c.ContainerID]; ok {
			box = have
			box.Healthy, box.Problem = true, ""
			n.sandboxes[c.ContainerID] = box
			return nil
		}
		box = network.Sandbox{ContainerID: c.ContainerID, Path: "/fake/netns/" + c.ContainerID, ResolvConf: "nameserver 127.0.0.11\n", Healthy: true}
		for _, e := range c.Endpoints {
			if _, ok := n.networks[e.Network]; !ok {
				return notFound("network %s does not exist", e.Network)
			}
			box.Endpoints = append(box.Endpoints, n.endpoint(e))
		}
		old, waits := n.sandboxes[c.Succeeds]
		box.Waiting = waits && !old.Relieved
		for _, p := range c.Ports {
			if box.Waiting && slices.ContainsFunc(old.Ports, sameHost(p)) {
				continue // handed over later
			}
			if p.HostPort == 0 {
				n.nextPort++
				p.HostPort = n.nextPort
			}
			for n.taken(p, c.Holder) != "" && p.HostPort < p.HostPortEnd {
				p.HostPort++
			}
			if owner := n.taken(p, c.Holder); owner != "" {
				return conflict("port %d/%s is taken by %s", p.HostPort, p.Protocol, owner)
			}
			p.HostPortEnd = 0
			delete(n.holds[c.Holder], fmt.Sprintf("%d/%s", p.HostPort, p.Protocol))
			box.Ports = append(box.Ports, p)
		}
		n.sandboxes[c.ContainerID] = box
		return nil
	})
	return box, err
}

// sameHost says of a bound port whether p asks for it.
func sameHost(p network.Port) func(network.Port) bool {
	return func(q network.Port) bool {
		return p.Protocol == q.Protocol && p.HostIP == q.HostIP && (p.HostPort <= q.HostPort && q.HostPort <= max(p.HostPort, p.HostPortEnd) || p.HostPort == 0 && p.ContainerPort == q.ContainerPort)
	}
}

func (n *networks) Handover(ctx context.Context, from, to string) error {
	return n.host().do(ctx, "Networks.Handover", func() error {
		after, ok := n.sandboxes[to]
		if !ok {
			return notFound("container %.12s has no sandbox", to)
		}
		before, ok := n.sandboxes[from]
		if ok && !before.Relieved {
			after.Ports = append(slices.Clip(after.Ports), before.Ports...)
			before.Ports, before.Relieved, before.Waiting = nil, true, false
			n.sandboxes[from] = before
		}
		after.Waiting, after.Relieved = false, false
		n.sandboxes[to] = after
		return nil
	})
}

func (n *networks) Rewire(ctx context.Context, c network.SandboxConfig) (box network.Sandbox, err error) {
	err = n.host().do(ctx, "Networks.Rewire", func() error {
		have, ok := n.sandboxes[c.ContainerID]
		if !ok {
			return notFound("container %.12s has no sandbox", c.ContainerID)
		}
		box = have
		box.Endpoints = nil
		for _, e := range c.Endpoints {
			if _, ok := n.networks[e.Network]; !ok {
				return notFound("network %s does not exist", e.Network)
			}
			i := slices.IndexFunc(have.Endpoints, func(was network.Endpoint) bool { return was.Network == e.Network })
			if i < 0 {
				box.Endpoints = append(box.Endpoints, n.endpoint(e))
				continue
			}
			kept := have.Endpoints[i]
			kept.EndpointConfig = e
			box.Endpoints = append(box.Endpoints, kept)
		}
		n.sandboxes[c.ContainerID] = box
		return nil
	})
	return box, err
}

// endpoint gives e an address.
func (n *networks) endpoint(e network.EndpointConfig) network.Endpoint {
	var addr netip.Addr
	for free := false; !free; {
		n.nextAddr++
		addr, free = netip.AddrFrom4([4]byte{10, 0, 0, n.nextAddr}), true
		for _, kept := range n.addresses {
			free = free && !slices.Contains(kept, addr)
		}
	}
	ep := network.Endpoint{EndpointConfig: e, Addr4: netip.PrefixFrom(addr, 24)}
	if e.IPv4.IsValid() {
		ep.Addr4 = netip.PrefixFrom(e.IPv4, 24)
	}
	return ep
}

// KeepAddresses keeps them on all networks, which have one subnet.
func (n *networks) KeepAddresses(holder string, addrs map[string][]netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.addresses == nil {
		n.addresses = map[string][]netip.Addr{}
	}
	n.addresses[holder] = slices.Concat(slices.Collect(maps.Values(addrs))...)
}

func (n *networks) Teardown(ctx context.Context, id string) error {
	return n.host().do(ctx, "Networks.Teardown", func() error {
		delete(n.sandboxes, id)
		return nil
	})
}

func (n *networks) Sandboxes(ctx context.Context) ([]network.Sandbox, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []network.Sandbox
	for _, s := range n.sandboxes {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b network.Sandbox) int { return strings.Compare(a.ContainerID, b.ContainerID) })
	return out, nil
}

func (n *networks) HostGateway(ctx context.Context, nets []string) (network.HostsEntry, error) {
	return network.HostsEntry{Addr: netip.MustParseAddr("10.0.0.1"), Names: []string{"host-gateway"}}, nil
}

type volumes Host

func (v *volumes) host() *Host { return (*Host)(v) }

func (v *volumes) Create(ctx context.Context, c volume.Config) (s volume.State, err error) {
	err = v.host().do(ctx, "Volumes.Create", func() error {
		if have, ok := v.volumes[c.ID]; ok {
			s = have
			s.Problem = ""
			v.volumes[c.ID] = s
			return nil
		}
		s = volume.State{Config: c, Path: "/fake/volumes/" + c.ID}
		v.volumes[c.ID] = s
		return nil
	})
	return s, err
}

func (v *volumes) Delete(ctx context.Context, id string) error {
	return v.host().do(ctx, "Volumes.Delete", func() error {
		delete(v.volumes, id)
		return nil
	})
}

func (v *volumes) List(ctx context.Context) ([]volume.State, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []volume.State
	for _, s := range v.volumes {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b volume.State) int { return strings.Compare(a.Config.ID, b.Config.ID) })
	return out, nil
}

func (v *volumes) Prepare(_ context.Context, mounts []mount.Mount) ([]mount.Mount, error) {
	return mounts, nil
}

func (v *volumes) Mounts(ctx context.Context, uses []volume.Use) ([]mount.Mount, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []mount.Mount
	for _, u := range uses {
		m := mount.Mount{Type: "bind", Source: u.Source, Target: u.Target}
		switch u.Kind {
		case volume.Volume:
			s, ok := v.volumes[u.Source]
			if !ok {
				return nil, notFound("volume %s does not exist", u.Source)
			}
			m.Source, m.CopyUp = s.Path, !u.NoCopy
		case volume.Tmpfs:
			m.Type, m.Source = "tmpfs", ""
		case volume.File:
			m.Type, m.Source, m.File = "file", "", &mount.File{Content: u.Content, UID: u.UID, GID: u.GID, Mode: u.Mode}
		}
		out = append(out, m)
	}
	slices.SortStableFunc(out, func(a, b mount.Mount) int { return strings.Compare(a.Target, b.Target) })
	return out, nil
}
