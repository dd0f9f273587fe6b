package network

import (
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/definition"
)

// A bridge that the host has is not made a network's by its name: it would go with that.
func TestBridgeOfTheHostStays(t *testing.T) {
	h := newHost(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br0"
	br := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(br); err != nil {
		t.Fatal(err)
	}
	c := Config{ID: "n", IPv4: true, DriverOpts: map[string]string{definition.OptBridge: "br0"}, Pools: pool("10.77.0.0/24")}
	err := h.CheckNetwork(t.Context(), c)
	wrong(t, err, errdefs.ErrConflict, "a bridge of the name br0")
	if definition.OptionOf(err) != definition.OptBridge {
		t.Errorf("%v is about option %q", err, definition.OptionOf(err))
	}
	_, err = h.Create(t.Context(), c)
	wrong(t, err, errdefs.ErrConflict, "a bridge of the name br0")
	if err := h.Delete(t.Context(), "n"); err != nil {
		t.Error(err)
	}
	if err := h.Settle(t.Context()); err != nil {
		t.Error(err)
	}
	if err := netlink.LinkDel(br); err != nil {
		t.Errorf("the host's bridge: %v", err)
	}
	// One of its own it knows again.
	h.network(c)
	if err := h.CheckNetwork(t.Context(), c); err != nil {
		t.Error(err)
	}
	if st := h.network(c); st.Link != "br0" {
		t.Errorf("link %q", st.Link)
	}
}

// The name of a bridge can be had again as soon as its network is gone for the user, whatever the background still has to do.
func TestNamedBridgeIsMadeAnew(t *testing.T) {
	h := newHost(t)
	for i := range 10 {
		c := Config{ID: "n", DriverOpts: map[string]string{definition.OptBridge: "br0"}, Pools: pool([]string{"10.77.0.0/24", "10.78.0.0/24"}[i%2])}
		h.network(c)
		if err := h.Delete(t.Context(), "n"); err != nil {
			t.Fatal(err)
		}
	}
	c := Config{ID: "other", DriverOpts: map[string]string{definition.OptBridge: "br0"}, Pools: pool("10.77.0.0/24")}
	h.network(c)
	if err := h.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if nets, err := h.List(t.Context()); err != nil || len(nets) != 1 || !nets[0].Healthy {
		t.Errorf("after the deletions are done: %+v, %v", nets, err)
	}
}
