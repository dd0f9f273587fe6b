// Package interior is the container's side of its networks: it reads what is in the namespace, compares that with
// what should be there, and sets it.
//
// May touch: links, addresses, routes and settings of the namespace that the calling thread is in.
package interior

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
)

// Namespace is a container's as the kernel has it.
type Namespace struct {
	links          map[string]netlink.Link
	addrs          map[int][]netip.Prefix // by link
	subnets        map[int][]netip.Prefix // by link, those that are reached directly
	route4, route6 bool                   // there is a default route, whoever made it
}

// Read reads the namespace that in is of.
func Read(in *rtnl.Handle) (w Namespace, err error) {
	w = Namespace{links: map[string]netlink.Link{}}
	links, err := in.Links()
	if err != nil {
		return w, fmt.Errorf("cannot list links: %w", err)
	}
	for _, l := range links {
		w.links[l.Attrs().Name] = l
	}
	if w.addrs, err = in.Addrs(); err != nil {
		return w, fmt.Errorf("cannot list addresses: %w", err)
	}
	routes, err := in.Routes()
	if err != nil {
		return w, err
	}
	w.subnets = rtnl.Direct(routes)
	for _, r := range routes {
		// A tunnel in the container takes the default route for itself, or covers it by two halves. Who does that wants it.
		if p, ok := rtnl.Prefix(r.Dst); r.Type == unix.RTN_UNICAST && (r.Dst == nil || ok && p.Bits() <= 1) {
			w.route4 = w.route4 || r.Family == unix.AF_INET
			w.route6 = w.route6 || r.Family == unix.AF_INET6
		}
	}
	return w, nil
}

// All are the links with their addresses.
func (w Namespace) All() iter.Seq2[netlink.Link, []netip.Prefix] {
	return func(yield func(netlink.Link, []netip.Prefix) bool) {
		for _, l := range w.links {
			if !yield(l, w.addrs[l.Attrs().Index]) {
				return
			}
		}
	}
}

// Addresses are those of the link of that name; none when it is not there.
func (w Namespace) Addresses(link string) []netip.Prefix {
	if l := w.links[link]; l != nil {
		return w.addrs[l.Attrs().Index]
	}
	return nil
}

// Compare says what of eps is not in w, "" = nothing, and for each of them, as far as they are there, the index of the link that its interface leads to. routes
// are the default routes that there should be. What the container's own processes have added is theirs.
func (w Namespace) Compare(eps []record.Endpoint, routes []Route) (problem string, peers []int) {
	up := func(l netlink.Link) bool { return l != nil && l.Attrs().RawFlags&unix.IFF_UP != 0 }
	lo := w.links["lo"]
	switch {
	case !up(lo):
		return "lo is down in its network namespace", nil
	case !slices.Contains(w.addrs[lo.Attrs().Index], loopback):
		return "lo has lost the address 127.0.0.1", nil
	}
	for _, ep := range eps {
		l := w.links[ep.Interface]
		switch {
		case l == nil:
			return fmt.Sprintf("its interface %s is gone", ep.Interface), nil
		case !up(l):
			return fmt.Sprintf("its interface %s is down", ep.Interface), nil
		}
		for _, p := range ep.Prefixes() {
			switch {
			case !slices.Contains(w.addrs[l.Attrs().Index], p):
				return fmt.Sprintf("its interface %s has lost the address %s", ep.Interface, p.Addr()), nil
			case !slices.Contains(w.subnets[l.Attrs().Index], p.Masked()):
				return fmt.Sprintf("its interface %s has lost the route to %s", ep.Interface, p.Masked()), nil
			}
		}
		peers = append(peers, l.Attrs().ParentIndex)
	}
	for _, route := range routes {
		if !w.Has(route) {
			return fmt.Sprintf("its default route by %s is gone", route), nil
		}
	}
	return "", peers
}

// Has says whether there is a default route of the family of r.
func (w Namespace) Has(r Route) bool {
	if r.V4 {
		return w.route4
	}
	return w.route6
}

// Connect makes the routes to the subnets of ep's addresses that are not there.
func (w Namespace) Connect(in *rtnl.Handle, ep record.Endpoint) error {
	index := w.links[ep.Interface].Attrs().Index
	for _, p := range ep.Prefixes() {
		if !slices.Contains(w.subnets[index], p.Masked()) {
			if err := in.Connect(index, p); err != nil {
				return fmt.Errorf("cannot route %s by %s: %w", p.Masked(), ep.Interface, err)
			}
		}
	}
	return nil
}
