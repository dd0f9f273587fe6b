package network

import (
	"fmt"
	goruntime "runtime"
	"sync"

	"github.com/stackrun/stack/network/interior"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/resolver"
	"github.com/stackrun/stack/network/rtnl"
	"github.com/stackrun/stack/network/sight"
)

// lookInside looks at those of all whose namespace may have changed, some at a time: after the start of a daemon that is every one.
func (d *Driver) lookInside(all []*sandbox) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2*goruntime.GOMAXPROCS(0))
	for _, s := range all {
		id := d.seen(s).rec.Config.ContainerID
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
	n, err := d.networks.Record(ep.Network)
	if err != nil {
		return 0
	}
	return d.medium(n.Config).Peer(n, ep, v)
}

// examine looks at the inside of s.
func (d *Driver) examine(s *sandbox) (found insight) {
	rec := d.seen(s).rec
	err := netns.Do(d.netnsPath(rec.Config.ContainerID), func() error {
		in, err := rtnl.Open()
		if err != nil {
			return fmt.Errorf("cannot open netlink: %w", err)
		}
		defer in.Close()
		here, err := interior.Read(in)
		if err != nil {
			return err
		}
		found.problem, found.peers = here.Compare(rec.Endpoints, d.defaultRoutes(rec.Endpoints))
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

// dnsProblem says why names are not answered in the namespace of the calling thread.
func (d *Driver) dnsProblem(s *sandbox) (string, error) {
	now := d.seen(s)
	if now.server == nil {
		return "its DNS server does not run: " + now.held, nil
	}
	return resolver.Problem(now.server)
}
