package media

import (
	"testing"

	"github.com/stackrun/stack/network/bridge"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/parent"
	"github.com/stackrun/stack/network/record"
	"github.com/stackrun/stack/network/sight"
)

// TestOf: a network is of the medium that its driver names, and each medium says of it, without the host, what is its own.
func TestOf(t *testing.T) {
	bridges, parents := new(bridge.Bridges), parent.New(nil, "", nil)
	m := New(bridges, parents)
	host := sight.Host{Links: map[string]sight.Link{
		"on-the-host": {Index: 7, Up: true},
		"vlan":        {Index: 8, Under: 7, Kind: definition.Macvlan},
		"veth":        {Index: 9, On: 7, Up: true},
	}}
	for _, c := range []struct {
		driver, link string
		want         Medium
		firewall     bool   // packets pass that of the host
		hostLink     string // of the first endpoint
		peer         int
	}{
		{"", "on-the-host", bridges, true, "sv1", 9},
		{definition.Bridge, "on-the-host", bridges, true, "sv1", 9},
		{definition.Macvlan, "on-the-host", parents.Macvlan(), false, "", 7},
		{definition.Macvlan, "vlan", parents.Macvlan(), false, "", 7}, // a macvlan on a macvlan is beside it
		{definition.IPvlan, "on-the-host", parents.IPvlan(), false, "", 7},
		{definition.IPvlan, "vlan", parents.IPvlan(), false, "", 8},
	} {
		r := record.Network{Config: definition.Config{ID: "n", Driver: c.driver, IPv4: true}, Link: c.link}
		of := m.Of(r.Config)
		if of != c.want {
			t.Errorf("driver %q is of %T, expected %T", c.driver, of, c.want)
		}
		if wall, ok := of.Firewall(r); ok != c.firewall || ok && wall.Bridge != c.link {
			t.Errorf("driver %q: the firewall has %+v, %v", c.driver, wall, ok)
		}
		if got := of.HostLink(1); got != c.hostLink {
			t.Errorf("driver %q: the first link of the host is %q, expected %q", c.driver, got, c.hostLink)
		}
		ep := record.Endpoint{HostLink: "veth"}
		if got := of.Peer(r, ep, host); got != c.peer {
			t.Errorf("driver %q on %s leads to link %d, expected %d", c.driver, c.link, got, c.peer)
		}
		if got := of.EndpointProblem(r, ep, host); got != "" {
			t.Errorf("driver %q: %s", c.driver, got)
		}
	}
}
