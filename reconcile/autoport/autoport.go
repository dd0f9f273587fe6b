// Package autoport says which host ports may stand in for those that a file publishes and somebody else has, and puts those that were chosen
// into what is desired. It is pure: whether a port is free is for its caller to find out.
package autoport

import (
	"hash/fnv"
	"iter"
	"maps"
	"slices"
	"strconv"

	"github.com/stackrun/stack/reconcile/plan"
)

// First and Last are the range that ports are chosen of. It is below what Linux gives to outgoing connections (ip(7), ip_local_port_range: from 32768 on): none of
// these has the port of a project that comes back after a reboot.
const (
	First = 20000
	Last  = 29999
)

// Candidates are the ports of the range, each once, in the order in which they are to be tried for port p of a service. They begin at another place for
// each project, so that projects that start at once seldom want the same; and at the same for the same one, so that what comes back after a
// down mostly has what it had.
func Candidates(project, service string, p plan.Port) iter.Seq[uint16] {
	h := fnv.New32a()
	for _, part := range []string{project, service, p.HostIP, strconv.Itoa(int(p.AsAsked().Published)), strconv.Itoa(int(p.Target)), p.Protocol} {
		h.Write([]byte(part)) //nolint:errcheck // hash.Hash never fails
		h.Write([]byte{0})    //nolint:errcheck // likewise
	}
	const size = Last - First + 1
	from := h.Sum32() % size
	return func(yield func(uint16) bool) {
		for i := range uint32(size) {
			if !yield(uint16(First + (from+i)%size)) {
				return
			}
		}
	}
}

// Replaceable says whether another port may stand in for p: the file names one port. A range is a choice of its own, and any port at all is always free.
func Replaceable(p plan.Port) bool { return p.Published != 0 && p.PublishedEnd <= p.Published }

// Fill publishes in want what was chosen, by service, as long as the file asks for what it was chosen for.
func Fill(want *plan.Desired, chosen map[string][]plan.Port) {
	for name, ports := range chosen {
		s := want.Services[name]
		if s == nil {
			continue
		}
		for i, p := range s.Spec.Ports {
			if j := slices.IndexFunc(ports, func(q plan.Port) bool { return q.Asked != 0 && q.AsAsked() == p }); j >= 0 {
				s.Spec.Ports[i] = ports[j]
			}
		}
	}
}

// Chosen are the ports in want that are not the file's, by service; nil when there are none. before are those of services that want leaves out, which stay.
func Chosen(want *plan.Desired, before map[string][]plan.Port) map[string][]plan.Port {
	out := map[string][]plan.Port{}
	for _, name := range want.Known {
		if ports := before[name]; len(ports) > 0 && want.Services[name] == nil {
			out[name] = ports
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want.Services)) {
		for _, p := range want.Services[name].Spec.Ports {
			if p.Asked != 0 {
				out[name] = append(out[name], p)
			}
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Published says whether a port of want is n, whoever publishes it.
func Published(want *plan.Desired, n uint16) bool {
	for _, s := range want.Services {
		for _, p := range s.Spec.Ports {
			if p.Published <= n && n <= max(p.Published, p.PublishedEnd) || p.Asked == n {
				return true
			}
		}
	}
	return false
}
