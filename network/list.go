package network

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/stackrun/stack/network/netns"
)

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

// problem says what of r the kernel does not have, or has otherwise.
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
	}
	for _, p := range r.Pools {
		if !slices.Contains(l.addrs, netip.PrefixFrom(p.Gateway, p.Subnet.Bits())) {
			return fmt.Sprintf("link %s has lost the address %s", r.Bridge, p.Gateway)
		}
		if !slices.Contains(v.routes[l.index], p.Subnet.Masked()) {
			return fmt.Sprintf("the host has no route to %s by link %s", p.Subnet.Masked(), r.Bridge)
		}
	}
	if !v.fw.HasNetwork(r.firewall()) {
		return "the firewall does not know " + r.Bridge
	}
	if v.fw.Problem != "" {
		return v.fw.Problem
	}
	if v.fw.Blocked != "" {
		return "another firewall drops what goes through " + r.Bridge + ": chain " + v.fw.Blocked
	}
	for _, s := range r.settings() {
		got, ok := v.sysctls[s.name]
		if ok && got != s.value || !ok && !s.optional {
			return fmt.Sprintf("sysctl %s is %s, set was %s", strings.ReplaceAll(s.name, "/", "."), cmp.Or(got, "gone"), s.value)
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
	all := slices.Collect(maps.Values(d.sandboxes))
	d.mu.Unlock()
	d.lookInside(all)
	d.mu.Lock()
	for i, s := range all {
		seen := *s // a handover changes it
		all[i] = &seen
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
		case !l.up:
			return fmt.Sprintf("its interface on network %q is down on the host's side", ep.Network)
		}
	}
	if p := d.insideProblem(s, v); p != "" {
		return p
	}
	for _, f := range d.forwardsOf(s.rec) {
		if !v.fw.HasForward(f) {
			return fmt.Sprintf("port %d/%s is not forwarded", f.Port, f.Proto)
		}
	}
	return ""
}
