package network

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/nft"
)

// sight is the kernel's state, read once for all objects of a List.
type sight struct {
	links map[string]seenLink
	fw    nft.Contents
	err   error
}

type seenLink struct {
	up    bool
	index int
	on    int // index of the bridge
	addrs []netip.Addr
}

func (d *Driver) look() sight {
	s := sight{links: map[string]seenLink{}}
	links, err := dump(d.link.LinkList)
	if err != nil {
		s.err = fmt.Errorf("cannot list the host's links: %w", err)
		return s
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return d.link.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		s.err = fmt.Errorf("cannot list the host's addresses: %w", err)
		return s
	}
	byIndex := map[int][]netip.Addr{}
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok {
			byIndex[a.LinkIndex] = append(byIndex[a.LinkIndex], ip.Unmap())
		}
	}
	for _, l := range links {
		a := l.Attrs()
		s.links[a.Name] = seenLink{up: a.RawFlags&1 != 0, index: a.Index, on: a.MasterIndex, addrs: byIndex[a.Index]}
	}
	s.fw, s.err = d.fw.Read()
	return s
}

// List returns the networks, by name, as the kernel has them.
func (d *Driver) List(ctx context.Context) ([]State, error) {
	v := d.look()
	if v.err != nil {
		return nil, v.err
	}
	d.mu.Lock()
	var all []*bridged
	for _, n := range d.networks {
		if !n.rec.Deleting {
			all = append(all, n)
		}
	}
	d.mu.Unlock()
	var out []State
	for _, n := range all {
		out = append(out, d.networkState(n, v))
	}
	slices.SortFunc(out, func(a, b State) int { return cmp.Compare(a.Config.ID, b.Config.ID) })
	return out, nil
}

func (d *Driver) networkState(n *bridged, v sight) State {
	d.mu.Lock()
	defer d.mu.Unlock()
	st := State{Config: n.rec.Config, Bridge: n.rec.Bridge, Pools: n.rec.Pools}
	for _, s := range d.sandboxes {
		for _, ep := range s.rec.Endpoints {
			if ep.Network == n.rec.Config.ID {
				st.Endpoints = append(st.Endpoints, ep)
			}
		}
	}
	slices.SortFunc(st.Endpoints, func(a, b Endpoint) int { return cmp.Compare(a.ContainerID, b.ContainerID) })
	st.Problem = n.rec.problem(v)
	st.Healthy = st.Problem == ""
	if _, ok := v.links[n.rec.Bridge]; !ok {
		st.Bridge = ""
	}
	return st
}

// problem says what of r the kernel does not have.
func (r networkRecord) problem(v sight) string {
	if v.err != nil {
		return v.err.Error()
	}
	l, ok := v.links[r.Bridge]
	switch {
	case !ok:
		return "link " + r.Bridge + " is gone"
	case !l.up:
		return "link " + r.Bridge + " is down"
	case !v.fw.HasNetwork(r.firewall()):
		return "the firewall does not know " + r.Bridge
	case v.fw.Blocked != "":
		return "another firewall drops what goes through " + r.Bridge + ": chain " + v.fw.Blocked
	}
	for _, p := range r.Pools {
		if !slices.Contains(l.addrs, p.Gateway) {
			return fmt.Sprintf("link %s has lost the address %s", r.Bridge, p.Gateway)
		}
	}
	return ""
}

// Sandboxes returns the sandboxes, by container, as the kernel has them.
func (d *Driver) Sandboxes(ctx context.Context) ([]Sandbox, error) {
	v := d.look()
	if v.err != nil {
		return nil, v.err
	}
	d.mu.Lock()
	var all []*sandbox
	for _, s := range d.sandboxes {
		seen := *s // a handover changes it
		all = append(all, &seen)
	}
	d.mu.Unlock()
	var out []Sandbox
	for _, s := range all {
		out = append(out, d.sandboxState(s, v))
	}
	slices.SortFunc(out, func(a, b Sandbox) int { return cmp.Compare(a.ContainerID, b.ContainerID) })
	return out, nil
}

func (d *Driver) sandboxState(s *sandbox, v sight) Sandbox {
	st := s.state(d.netnsPath(s.rec.Config.ContainerID), d.resolvConf(s.rec.Config))
	st.Problem = d.sandboxProblem(s, v)
	st.Healthy = st.Problem == ""
	if st.Healthy {
		st.Problem = s.held // worth telling, but the container works
	}
	return st
}

// state is s as recorded, taken to be healthy.
func (s *sandbox) state(path, resolvConf string) Sandbox {
	return Sandbox{ContainerID: s.rec.Config.ContainerID, Path: path, Endpoints: s.rec.Endpoints, Ports: s.rec.Ports,
		ResolvConf: resolvConf, Healthy: true, Waiting: s.rec.Waiting, Relieved: s.rec.Relieved}
}

func (d *Driver) sandboxProblem(s *sandbox, v sight) string {
	if v.err != nil {
		return v.err.Error()
	}
	if !netns.Bound(d.netnsPath(s.rec.Config.ContainerID)) {
		return "its network namespace is gone"
	}
	for _, ep := range s.rec.Endpoints {
		d.mu.Lock()
		n := d.networks[ep.Network]
		d.mu.Unlock()
		l, ok := v.links[ep.HostLink]
		switch {
		case n == nil:
			return fmt.Sprintf("network %q is gone", ep.Network)
		case !ok:
			return fmt.Sprintf("its interface on network %q is gone", ep.Network)
		case l.on == 0 || l.on != v.links[n.rec.Bridge].index:
			return fmt.Sprintf("its interface is not on the bridge of network %q", ep.Network)
		}
	}
	for _, f := range d.forwardsOf(s.rec) {
		if !v.fw.HasForward(f) {
			return fmt.Sprintf("port %d/%s is not forwarded", f.Port, f.Proto)
		}
	}
	return ""
}
