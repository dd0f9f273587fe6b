package network

import (
	"fmt"
	"net/netip"
	goruntime "runtime"
	"slices"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sight"
)

// lookInside looks at those of all whose namespace may have changed, some at a time: after the start of a daemon that is every one.
func (d *Driver) lookInside(all []*sandbox) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2*goruntime.GOMAXPROCS(0))
	for _, s := range all {
		id := s.rec.Config.ContainerID // that never changes
		if !d.alarm.TakeInside(id) || !netns.Bound(d.netnsPath(id)) {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			found := d.examine(s)
			if found.problem != "" {
				d.alarm.LookAgain(id) // its repair may be what nobody is told of
			}
			d.mu.Lock()
			s.inside = &found
			d.mu.Unlock()
		})
	}
	wg.Wait()
}

// insight is what the namespace of a sandbox was like when it was last looked at.
type insight struct {
	problem string
	peers   []int // per endpoint, the index of the host's link that its interface leads to
}

// insideProblem says what lookInside has found. That each interface is the peer of its link on the host can change on either
// side, and is compared here.
func (d *Driver) insideProblem(s *sandbox, v sight.Host) string {
	d.mu.Lock()
	found := s.inside
	d.mu.Unlock()
	if found == nil {
		return ""
	}
	if found.problem != "" {
		return found.problem
	}
	for i, ep := range s.rec.Endpoints {
		if i < len(found.peers) && found.peers[i] != d.peerOf(ep, v) {
			return fmt.Sprintf("its interface %s is not the one on network %q", ep.Interface, ep.Network)
		}
	}
	return ""
}

// peerOf is the index of the link that ep is to lead to; 0 = there is none.
func (d *Driver) peerOf(ep Endpoint, v sight.Host) int {
	n, err := d.recorded(ep.Network)
	if err != nil {
		return 0
	}
	return d.medium(n).peer(n, ep, v)
}

// examine looks at the inside of s.
func (d *Driver) examine(s *sandbox) (found insight) {
	d.mu.Lock()
	rec := s.rec
	d.mu.Unlock()
	err := netns.Do(d.netnsPath(rec.Config.ContainerID), func() error {
		in, err := rtnl.Open()
		if err != nil {
			return fmt.Errorf("cannot open netlink: %w", err)
		}
		defer in.Close()
		here, err := readInside(in)
		if err != nil {
			return err
		}
		found = here.compare(rec, d.defaultRoutes(rec.Endpoints))
		if found.problem == "" && len(rec.Endpoints) > 0 {
			found.problem, err = d.dnsProblem(s)
		}
		return err
	})
	if err != nil {
		found.problem = "its network namespace cannot be looked at: " + err.Error()
	}
	return found
}

// within is a container's namespace as the kernel has it.
type within struct {
	links          map[string]netlink.Link
	addrs, subnets map[int][]netip.Prefix // by link; those that are reached directly
	route4, route6 bool                   // there is a default route, whoever made it
}

// readInside reads the namespace that in is of.
func readInside(in *rtnl.Handle) (w within, err error) {
	w = within{links: map[string]netlink.Link{}}
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

var loopbackAddr = netip.MustParsePrefix("127.0.0.1/8")

// compare says what of r is not in w. routes are the default routes that it should have. What the container's own processes
// have added is theirs.
func (w within) compare(r record.Sandbox, routes []defaultRoute) (found insight) {
	up := func(l netlink.Link) bool { return l != nil && l.Attrs().RawFlags&unix.IFF_UP != 0 }
	lo := w.links["lo"]
	switch {
	case !up(lo):
		found.problem = "lo is down in its network namespace"
		return found
	case !slices.Contains(w.addrs[lo.Attrs().Index], loopbackAddr):
		found.problem = "lo has lost the address 127.0.0.1"
		return found
	}
	for _, ep := range r.Endpoints {
		l := w.links[ep.Interface]
		switch {
		case l == nil:
			found.problem = fmt.Sprintf("its interface %s is gone", ep.Interface)
			return found
		case !up(l):
			found.problem = fmt.Sprintf("its interface %s is down", ep.Interface)
			return found
		}
		for _, p := range ep.Prefixes() {
			switch {
			case !slices.Contains(w.addrs[l.Attrs().Index], p):
				found.problem = fmt.Sprintf("its interface %s has lost the address %s", ep.Interface, p.Addr())
				return found
			case !slices.Contains(w.subnets[l.Attrs().Index], p.Masked()):
				found.problem = fmt.Sprintf("its interface %s has lost the route to %s", ep.Interface, p.Masked())
				return found
			}
		}
		found.peers = append(found.peers, l.Attrs().ParentIndex)
	}
	for _, route := range routes {
		if !w.has(route) {
			found.problem = fmt.Sprintf("its default route by %s is gone", route)
			return found
		}
	}
	return found
}

// has says whether there is a default route of the family of r.
func (w within) has(r defaultRoute) bool {
	if r.v4 {
		return w.route4
	}
	return w.route6
}

// dnsProblem says why names are not answered in the namespace of the calling thread.
func (d *Driver) dnsProblem(s *sandbox) (string, error) {
	d.mu.Lock()
	server, held := s.server, s.held
	d.mu.Unlock()
	if server == nil {
		return "its DNS server does not run: " + held, nil
	}
	if server.Broken() {
		return "its DNS server has lost its socket", nil
	}
	port := server.Port()
	ok, err := nft.RedirectsDNS(dns.Addr, port, port)
	if err == nil && !ok {
		return "port 53 does not lead to its DNS server", nil
	}
	return "", err
}
