package sandbox

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/stackrun/stack/network/sight"
)

// Sandboxes returns the sandboxes, by container, as the kernel has them.
func (sb *Keeper) Sandboxes(ctx context.Context) ([]State, error) {
	v := sb.sight.Look()
	if v.Err != nil {
		return nil, v.Err
	}
	all := sb.book.boxes()
	sb.lookInside(all)
	var out []State
	for _, s := range all {
		out = append(out, sb.state(sb.book.seen(s), v))
	}
	slices.SortFunc(out, func(a, b State) int { return cmp.Compare(a.ContainerID, b.ContainerID) })
	return out, nil
}

// state is s as it is on the host that v has seen.
func (sb *Keeper) state(s *box, v sight.Host) State {
	st := s.state(sb.book.Path(s.rec.Config.ContainerID), sb.resolver.File(s.rec.Config))
	st.Problem = sb.problem(s, v)
	st.Healthy = st.Problem == ""
	if st.Healthy {
		st.Problem = s.held // worth telling, but the container works
	}
	return st
}

// state is s as recorded, taken to be healthy.
func (s *box) state(path, resolvConf string) State {
	return State{ContainerID: s.rec.Config.ContainerID, Path: path, Endpoints: s.rec.Endpoints, Ports: s.rec.Ports,
		ResolvConf: resolvConf, Healthy: true, Waiting: s.rec.Waiting, Relieved: s.rec.Relieved}
}

// problem says what of s is not as recorded.
func (sb *Keeper) problem(s *box, v sight.Host) string {
	if v.Err != nil {
		return v.Err.Error()
	}
	if !sb.alarm.Bound(s.rec.Config.ContainerID, sb.book.Path(s.rec.Config.ContainerID)) {
		return "its network namespace is gone"
	}
	for _, ep := range s.rec.Endpoints {
		if p := sb.cabling.Problem(ep, v); p != "" {
			return p
		}
	}
	if p := sb.insideProblem(s, v); p != "" {
		return p
	}
	for _, g := range sb.cabling.Guests(s.rec.Endpoints) {
		if !v.Firewall.HasGuest(g) {
			return fmt.Sprintf("the firewall does not know its address %s", g.Addr)
		}
	}
	for _, f := range sb.forwards(s.rec) {
		if !v.Firewall.HasForward(f) {
			return fmt.Sprintf("port %d/%s is not forwarded", f.Port, f.Proto)
		}
	}
	return ""
}
