package network

import "github.com/stackrun/stack/network/sysctl"

// asked answers what the parts ask about the whole that they are part of.
type asked struct{ d *Driver }

// KnowsLink says whether a link of the host is one of ours by its name.
func (a asked) KnowsLink(name string) bool {
	return a.d.names.Ours(name) || a.d.networks.HasLink(name)
}

// Unbound says whether a sandbox has lost its namespace's file or what was bound there.
func (a asked) Unbound() bool { return a.d.book.Unbound() }

// Settings are those of the host that the networks need.
func (a asked) Settings() (all []sysctl.Setting) {
	for _, n := range a.d.networks.Records() {
		if !n.Deleting {
			all = append(all, a.d.media.Of(n.Config).Settings(n)...)
		}
	}
	return all
}

// Publisher names the container that is in the way of p at host port n; "" = there is none.
func (a asked) Publisher(p Port, n uint16) string { return a.d.book.Publisher(p, n) }
