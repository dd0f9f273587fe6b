package sandbox

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/dns"
	"github.com/stackrun/stack/network/hostport"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/record"
)

// Book is which sandboxes there are. Safe for concurrent use; nobody is called while its lock is held.
type Book struct {
	namespaces string // the directory that they are bound in

	mu   sync.Mutex // guards what follows
	all  map[string]*box
	next uint64 // number of the next link
}

// NewBook has none yet; those to come are bound below the directory namespaces.
func NewBook(namespaces string) *Book { return &Book{namespaces: namespaces, all: map[string]*box{}} }

// box is a container's namespace with what the daemon holds for it. Once it is in the Book its fields change while both the
// sandbox's lock and the Book's are held: who has either may read.
type box struct {
	rec    record.Sandbox
	ports  []*hostport.Reservation
	server *dns.Server
	held   string   // what of it could not be taken up again after a restart: a port, DNS
	inside *insight // nil = nobody has looked
}

// Path is where the namespace of a container's sandbox is bound.
func (b *Book) Path(container string) string { return b.namespaces + "/" + container }

// Record is what shall be of the sandbox of container; false = it has none.
func (b *Book) Record(container string) (record.Sandbox, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.all[container]
	if s == nil {
		return record.Sandbox{}, false
	}
	return s.rec, true
}

// On are the endpoints of all sandboxes on network id.
func (b *Book) On(id string) (eps []record.Endpoint) {
	b.each(id, func(_ *box, ep record.Endpoint) { eps = append(eps, ep) })
	return eps
}

// Users names the containers that are on network id, sorted.
func (b *Book) Users(id string) (users []string) {
	b.each(id, func(s *box, _ record.Endpoint) { users = append(users, s.rec.Config.Name()) })
	slices.Sort(users)
	return users
}

// each calls f for each endpoint on network id, with its sandbox, while mu is held.
func (b *Book) each(id string, f func(s *box, ep record.Endpoint)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.all {
		for _, ep := range s.rec.Endpoints {
			if ep.Network == id {
				f(s, ep)
			}
		}
	}
}

// HostLinks are the links that all sandboxes have on the host.
func (b *Book) HostLinks() map[string]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	links := map[string]bool{}
	for _, s := range b.all {
		for _, ep := range s.rec.Endpoints {
			links[ep.HostLink] = true
		}
	}
	return links
}

// Unbound says whether a sandbox has lost its namespace's file or what was bound there.
func (b *Book) Unbound() bool {
	return slices.ContainsFunc(b.boxes(), func(s *box) bool { return !netns.Bound(b.Path(b.seen(s).rec.Config.ContainerID)) })
}

// Publisher names the container that is in the way of p at host port n; "" = there is none.
func (b *Book) Publisher(p definition.Port, n uint16) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.all {
		if slices.ContainsFunc(s.rec.Ports, func(o definition.Port) bool { return p.Collides(n, o) }) {
			return cmp.Or(s.rec.Config.Called, s.rec.Config.Name())
		}
	}
	return ""
}

// Numbered keeps n from being the number of a new link: one that is there has it.
func (b *Book) Numbered(n uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next = max(b.next, n+1)
}

// Forget drops the sandbox of container. Precondition: its lock is held, and nothing is held for it.
func (b *Book) Forget(container string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.all, container)
}

// Close lets go of what the daemon holds for the sandboxes.
func (b *Book) Close() {
	for _, s := range b.boxes() {
		b.release(s)
	}
}

// number is that of a new link.
func (b *Book) number() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	return b.next - 1
}

// find is the sandbox of container; nil = it has none.
func (b *Book) find(container string) *box {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all[container]
}

// put takes s in.
func (b *Book) put(s *box) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all[s.rec.Config.ContainerID] = s
}

// boxes are all that there are.
func (b *Book) boxes() []*box {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Collect(maps.Values(b.all))
}

// seen is s as it is now, for who has no lock.
func (b *Book) seen(s *box) *box {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := *s
	return &now
}

// lacks notes why something of s could not be taken up, which the container works without. The sandbox's lock is held.
func (b *Book) lacks(s *box, why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s.held = why.Error()
}

// release closes what the daemon holds for s.
func (b *Book) release(s *box) {
	b.mu.Lock()
	server, ports := s.server, s.ports
	s.server, s.ports = nil, nil
	b.mu.Unlock()
	if server != nil {
		server.Close()
	}
	for _, p := range ports {
		if p != nil { // one that could not be reserved again
			p.Close()
		}
	}
}
