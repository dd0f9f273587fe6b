package network

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/sight"
)

// List returns the networks, by name, as the kernel has them.
func (d *Driver) List(ctx context.Context) ([]State, error) {
	v := d.sight.Look()
	if v.Err != nil {
		return nil, v.Err
	}
	var out []State
	for _, n := range d.networks.Records() {
		if !n.Deleting {
			out = append(out, d.networkState(n, v))
		}
	}
	slices.SortFunc(out, func(a, b State) int { return cmp.Compare(a.Config.ID, b.Config.ID) })
	return out, nil
}

func (d *Driver) networkState(n record.Network, v sight.Host) State {
	st := State{Config: n.Config, Link: n.Link, Pools: n.Pools, CreatedAt: n.Created, Endpoints: d.endpointsOn(n.Config.ID)}
	slices.SortFunc(st.Endpoints, func(a, b Endpoint) int { return cmp.Compare(a.ContainerID, b.ContainerID) })
	if v.Err != nil {
		st.Problem = v.Err.Error()
	} else {
		st.Problem = d.medium(n.Config).Problem(n, v)
	}
	st.Healthy = st.Problem == ""
	if _, ok := v.Links[n.Link]; !ok {
		st.Link = ""
	}
	return st
}

// endpointsOn are those of all sandboxes on network id.
func (d *Driver) endpointsOn(id string) (eps []Endpoint) {
	d.eachOn(id, func(_ *sandbox, ep Endpoint) { eps = append(eps, ep) })
	return eps
}

// usersOf names the containers that are on network id, sorted.
func (d *Driver) usersOf(id string) (users []string) {
	d.eachOn(id, func(s *sandbox, _ Endpoint) { users = append(users, s.rec.Config.Name()) })
	slices.Sort(users)
	return users
}

// eachOn calls f for each endpoint on network id, with its sandbox, while mu is held.
func (d *Driver) eachOn(id string, f func(s *sandbox, ep Endpoint)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sandboxes {
		for _, ep := range s.rec.Endpoints {
			if ep.Network == id {
				f(s, ep)
			}
		}
	}
}

// Sandboxes returns the sandboxes, by container, as the kernel has them.
func (d *Driver) Sandboxes(ctx context.Context) ([]Sandbox, error) {
	v := d.sight.Look()
	if v.Err != nil {
		return nil, v.Err
	}
	d.mu.Lock()
	all := slices.Collect(maps.Values(d.sandboxes))
	d.mu.Unlock()
	d.lookInside(all)
	var out []Sandbox
	for _, s := range all {
		out = append(out, d.sandboxState(d.seen(s), v))
	}
	slices.SortFunc(out, func(a, b Sandbox) int { return cmp.Compare(a.ContainerID, b.ContainerID) })
	return out, nil
}

func (d *Driver) sandboxState(s *sandbox, v sight.Host) Sandbox {
	st := s.state(d.netnsPath(s.rec.Config.ContainerID), d.resolver.File(s.rec.Config))
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

func (d *Driver) sandboxProblem(s *sandbox, v sight.Host) string {
	if v.Err != nil {
		return v.Err.Error()
	}
	if !d.alarm.Bound(s.rec.Config.ContainerID, d.netnsPath(s.rec.Config.ContainerID)) {
		return "its network namespace is gone"
	}
	for _, ep := range s.rec.Endpoints {
		n, err := d.networks.Record(ep.Network)
		if err != nil {
			return fmt.Sprintf("network %q is gone", ep.Network)
		}
		if p := d.medium(n.Config).EndpointProblem(n, ep, v); p != "" {
			return p
		}
	}
	if p := d.insideProblem(s, v); p != "" {
		return p
	}
	for _, g := range d.guests(s.rec) {
		if !v.Firewall.HasGuest(g) {
			return fmt.Sprintf("the firewall does not know its address %s", g.Addr)
		}
	}
	for _, f := range d.forwards(s.rec) {
		if !v.Firewall.HasForward(f) {
			return fmt.Sprintf("port %d/%s is not forwarded", f.Port, f.Proto)
		}
	}
	return ""
}
