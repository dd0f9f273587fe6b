package sandbox

import (
	"fmt"
	goruntime "runtime"
	"sync"

	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/resolver"
	"github.com/stackrun/stack/network/sight"
)

// lookInside looks at those of all whose namespace may have changed, some at a time: after the start of a daemon that is every one.
func (sb *Keeper) lookInside(all []*box) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, 2*goruntime.GOMAXPROCS(0))
	for _, s := range all {
		id := sb.book.seen(s).rec.Config.ContainerID
		if !sb.alarm.TakeInside(id) || !netns.Bound(sb.book.Path(id)) {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			found := sb.examine(s)
			if found.problem != "" {
				sb.alarm.LookAgain(id) // its repair may be what nobody is told of
			}
			sb.book.mu.Lock()
			s.inside = &found
			sb.book.mu.Unlock()
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
func (sb *Keeper) insideProblem(s *box, v sight.Host) string {
	sb.book.mu.Lock()
	found := s.inside
	sb.book.mu.Unlock()
	if found == nil {
		return ""
	}
	if found.problem != "" {
		return found.problem
	}
	for i, ep := range s.rec.Endpoints {
		if i < len(found.peers) && found.peers[i] != sb.cabling.Peer(ep, v) {
			return fmt.Sprintf("its interface %s is not the one on network %q", ep.Interface, ep.Network)
		}
	}
	return ""
}

// examine looks at the inside of s.
func (sb *Keeper) examine(s *box) (found insight) {
	rec := sb.book.seen(s).rec
	err := netns.Do(sb.book.Path(rec.Config.ContainerID), func() (err error) {
		found.problem, found.peers, err = sb.cabling.Compare(rec.Endpoints)
		if err != nil {
			return err
		}
		if found.problem == "" && len(rec.Endpoints) > 0 {
			found.problem, err = sb.dnsProblem(s)
		}
		return err
	})
	if err != nil {
		found.problem = "its network namespace cannot be looked at: " + err.Error()
	}
	return found
}

// dnsProblem says why names are not answered in the namespace of the calling thread.
func (sb *Keeper) dnsProblem(s *box) (string, error) {
	now := sb.book.seen(s)
	if now.server == nil {
		return "its DNS server does not run: " + now.held, nil
	}
	return resolver.Problem(now.server)
}
