package network

import (
	"context"
	"os"
	"slices"

	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/sysctl"
)

// asked answers what the parts ask about the whole that they are part of.
type asked struct{ d *Driver }

// KnowsLink says whether a link of the host is one of ours by its name.
func (a asked) KnowsLink(name string) bool {
	return a.d.names.Ours(name) || a.d.networks.HasLink(name)
}

// Unbound says whether a sandbox has lost its namespace's file or what was bound there.
func (a asked) Unbound() bool {
	a.d.mu.Lock()
	defer a.d.mu.Unlock()
	for id := range a.d.sandboxes {
		if !netns.Bound(a.d.netnsPath(id)) {
			return true
		}
	}
	return false
}

// Settings are those of the host that the networks need.
func (a asked) Settings() (all []sysctl.Setting) {
	for _, n := range a.d.networks.Records() {
		if !n.Deleting {
			all = append(all, a.d.medium(n.Config).Settings(n)...)
		}
	}
	return all
}

// Publisher names the container that is in the way of p at host port n; "" = there is none.
func (a asked) Publisher(p Port, n uint16) string {
	a.d.mu.Lock()
	defer a.d.mu.Unlock()
	for _, s := range a.d.sandboxes {
		if slices.ContainsFunc(s.rec.Ports, func(o Port) bool { return p.Collides(n, o) }) {
			return s.rec.Config.Name()
		}
	}
	return ""
}

// hear lets the alarm know the namespace ns of r: whole says that nothing of it needs to be looked at. After an error it is looked at each time.
func (d *Driver) hear(r record.Sandbox, ns int, whole bool) error {
	var interfaces []string
	for _, ep := range r.Endpoints {
		interfaces = append(interfaces, ep.Interface)
	}
	return d.alarm.Hear(r.Config.ContainerID, interfaces, ns, whole)
}

// hearAgain is hear of an adopted sandbox.
func (d *Driver) hearAgain(r record.Sandbox) {
	ns, err := os.Open(d.netnsPath(r.Config.ContainerID))
	if err != nil {
		return // its file is gone, which is its problem
	}
	defer ns.Close()
	_ = d.hear(r, int(ns.Fd()), false)
}

// Watch delivers a coalesced hint when something of the networks may have been changed by other hands, and by the Driver too: the
// receiver looks at List and Sandboxes. The channel is closed when ctx ends. ErrNotSupported when this process may not hear of
// containers, or the user has no inotify instance left; List and Sandboxes say what is all the same.
func (d *Driver) Watch(ctx context.Context) (<-chan struct{}, error) { return d.alarm.Watch(ctx) }
