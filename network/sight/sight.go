// Package sight reads the host for all networks at once: links, addresses, settings and firewall. It reads again only
// what may have changed (package alarm).
package sight

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/network/alarm"
	"github.com/stackrun/stack/network/nft"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sysctl"
)

// Host is the host as the kernel has it, read once for all that is asked of it. Read only.
type Host struct {
	Links    map[string]Link
	Routes   map[int][]netip.Prefix // connected subnets, by link
	Sysctls  map[string]string      // those that networks need; without those that are not there
	Firewall nft.Contents
	Err      error // why it could not be read
}

// Link is one of the host's.
type Link struct {
	Up    bool
	Index int
	On    int // index of the bridge
	Kind  string
	Under int // index of the link that it is a part of: of a VLAN, say
	Addrs []netip.Prefix
}

// Networks says what there is to be read for the networks.
type Networks interface {
	// Settings are those of the host that they need.
	Settings() []sysctl.Setting
}

// Lookout looks at the host. Safe for concurrent use.
type Lookout struct {
	alarm    *alarm.Alarm
	link     *rtnl.Handle
	fw       *nft.Firewall
	networks Networks

	mu   sync.Mutex // guards the last look, which is true as long as the alarm has nothing to say
	seen Host
	ok   bool
}

// New is a Lookout that has not looked yet.
func New(a *alarm.Alarm, link *rtnl.Handle, fw *nft.Firewall, n Networks) *Lookout {
	return &Lookout{alarm: a, link: link, fw: fw, networks: n}
}

// Look is the host as it is.
func (l *Lookout) Look() Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.alarm.Drain()
	// Taken before it is read: what changes meanwhile is for the next look.
	host, wall := l.alarm.TakeHost()
	if !host && !wall && l.ok {
		return l.seen
	}
	s := l.seen
	if host || !l.ok {
		s = l.read()
	}
	if s.Err == nil {
		if wall || !l.ok {
			s.Firewall, s.Err = l.fw.Read()
		} else {
			s.Firewall = l.seen.Firewall
		}
	}
	l.seen, l.ok = s, s.Err == nil
	if l.ok {
		links := map[string]int{}
		for name, at := range s.Links {
			links[name] = at.Index
		}
		l.alarm.Learn(links, maps.Keys(s.Sysctls))
	}
	return s
}

// read is all but the firewall.
func (l *Lookout) read() Host {
	s := Host{Links: map[string]Link{}, Sysctls: map[string]string{}}
	links, err := l.link.Links()
	if err != nil {
		s.Err = fmt.Errorf("cannot list the host's links: %w", err)
		return s
	}
	addrs, err := l.link.Addrs()
	if err != nil {
		s.Err = fmt.Errorf("cannot list the host's addresses: %w", err)
		return s
	}
	for _, at := range links {
		a := at.Attrs()
		s.Links[a.Name] = Link{Up: a.RawFlags&unix.IFF_UP != 0, Index: a.Index, On: a.MasterIndex, Kind: at.Type(), Under: a.ParentIndex, Addrs: addrs[a.Index]}
	}
	routes, err := l.link.Routes()
	if err != nil {
		s.Err = err
		return s
	}
	s.Routes = rtnl.Direct(routes)
	for _, x := range l.networks.Settings() {
		if b, err := os.ReadFile(sysctl.Root + x.Name); err == nil {
			s.Sysctls[x.Name] = strings.TrimSpace(string(b))
		}
	}
	return s
}
