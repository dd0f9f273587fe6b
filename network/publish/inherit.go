package publish

import "github.com/stackrun/stack/network/definition"

// Inherit says, for each of the ports that a successor asks for, which of those that its predecessor has bound it gets; -1 = none. Fixed ports
// choose before ranges, and those before "any". Pure.
func Inherit(ports, bound []definition.Port) []int {
	got := make([]int, len(ports))
	used := make([]bool, len(bound))
	choose := func(kind func(definition.Port) bool, fits func(p, q definition.Port) bool) {
		for i, p := range ports {
			if !kind(p) {
				continue
			}
			got[i] = -1
			for k, q := range bound {
				if got[i] < 0 && !used[k] && q.Protocol == p.Protocol && q.HostIP == p.HostIP && fits(p, q) {
					got[i], used[k] = k, true
				}
			}
		}
	}
	within := func(p, q definition.Port) bool { return p.Within(q.HostPort) }
	choose(func(p definition.Port) bool { return !p.Any() && !p.Ranged() }, within)
	choose(func(p definition.Port) bool { return !p.Any() && p.Ranged() }, within)
	choose(definition.Port.Any, func(p, q definition.Port) bool { return p.ContainerPort == q.ContainerPort })
	return got
}
