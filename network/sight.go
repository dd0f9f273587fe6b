package network

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sysctl"
)

// sight is the host as the kernel has it, read once for all objects of a List. Read only.
type sight struct {
	links   map[string]seenLink
	routes  map[int][]netip.Prefix // connected subnets, by link
	sysctls map[string]string      // those that networks need; without those that are not there
	fw      nft.Contents
	err     error
}

type seenLink struct {
	up    bool
	index int
	on    int // index of the bridge
	kind  string
	under int // index of the link that it is a part of: of a VLAN, say
	addrs []netip.Prefix
}

// lastSight is the look that was taken last. It is true as long as the alarm has nothing to say.
type lastSight struct {
	mu   sync.Mutex
	seen sight
	ok   bool
}

// look is the host as it is.
func (d *Driver) look() sight {
	d.last.mu.Lock()
	defer d.last.mu.Unlock()
	d.alarm.drain()
	// Taken before it is read: what changes meanwhile is for the next look.
	host, wall := d.alarm.takeHost()
	if !host && !wall && d.last.ok {
		return d.last.seen
	}
	s := d.last.seen
	if host || !d.last.ok {
		s = d.read()
	}
	if s.err == nil {
		if wall || !d.last.ok {
			s.fw, s.err = d.fw.Read()
		} else {
			s.fw = d.last.seen.fw
		}
	}
	d.last.seen, d.last.ok = s, s.err == nil
	if d.last.ok {
		d.alarm.learn(s)
	}
	return s
}

// read is all but the firewall.
func (d *Driver) read() sight {
	s := sight{links: map[string]seenLink{}, sysctls: map[string]string{}}
	links, err := d.link.Links()
	if err != nil {
		s.err = fmt.Errorf("cannot list the host's links: %w", err)
		return s
	}
	addrs, err := d.link.Addrs()
	if err != nil {
		s.err = fmt.Errorf("cannot list the host's addresses: %w", err)
		return s
	}
	for _, l := range links {
		a := l.Attrs()
		s.links[a.Name] = seenLink{up: a.RawFlags&unix.IFF_UP != 0, index: a.Index, on: a.MasterIndex, kind: l.Type(), under: a.ParentIndex, addrs: addrs[a.Index]}
	}
	routes, err := d.link.Routes()
	if err != nil {
		s.err = err
		return s
	}
	s.routes = rtnl.Direct(routes)
	d.mu.Lock()
	for _, n := range d.networks {
		if n.rec.Deleting {
			continue
		}
		for _, x := range d.medium(n.rec).settings(n.rec) {
			if b, err := os.ReadFile(sysctl.Root + x.Name); err == nil {
				s.sysctls[x.Name] = strings.TrimSpace(string(b))
			}
		}
	}
	d.mu.Unlock()
	return s
}
