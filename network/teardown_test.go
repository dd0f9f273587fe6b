package network

import (
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/network/netns"
)

// TestTeardownCutShort: a daemon that dies between the answer of a Teardown and the end of the namespace leaves the next one a stray, which it removes.
func TestTeardownCutShort(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	a := h.box("a", "n")
	veth, path := a.Endpoints[0].HostLink, h.book.Path("a")
	if err := h.records.DropSandbox("a"); err != nil { // as far as it has come
		t.Fatal(err)
	}
	h.kill()
	h.start()
	if err := h.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Errorf("%s is still there", path)
	}
	if _, err := netlink.LinkByName(veth); err == nil {
		t.Errorf("%s is still there", veth)
	}
	if found, err := h.Sweep(t.Context(), false); err != nil || len(found) != 0 {
		t.Errorf("left over: %q, %v", found, err)
	}
}

// TestTeardownIsOverWhenItReturns, for all who come next: the container's address is anybody's, and its namespace can be made again, whatever the kernel still does
// with the old one.
func TestTeardownIsOverWhenItReturns(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	for range 2 {
		a := h.box("a", "n")
		addr := a.Endpoints[0].Addr4.Addr()
		if err := h.Teardown(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		if all, err := h.Sandboxes(t.Context()); err != nil || len(all) != 0 {
			t.Fatalf("%+v, %v", all, err)
		}
		b := h.setup(SandboxConfig{ContainerID: "b", Endpoints: []EndpointConfig{{Network: "n", IPv4: addr}}})
		a = h.box("a", "n")
		if err := h.Settle(t.Context()); err != nil { // what was left to do was the old one's
			t.Fatal(err)
		}
		for _, id := range []string{"a", "b"} {
			if !netns.Bound(h.book.Path(id)) {
				t.Fatalf("the namespace of %s is gone", id)
			}
		}
		if all, err := h.Sandboxes(t.Context()); err != nil || len(all) != 2 || !all[0].Healthy || !all[1].Healthy {
			t.Fatalf("%+v, %v", all, err)
		}
		b.greet(80, "b")
		if got, err := a.ask(addr.String() + ":80"); err != nil || !strings.HasPrefix(got, "b ") {
			t.Errorf("%q, %v", got, err)
		}
		for _, id := range []string{"a", "b"} {
			if err := h.Teardown(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestHeldNamespaceLosesItsLinks: who holds the namespace of a container that is gone holds no link of the host by it.
func TestHeldNamespaceLosesItsLinks(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	a := h.box("a", "n")
	ns, err := os.Open(a.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	veth := a.Endpoints[0].HostLink
	if _, err := netlink.LinkByName(veth); err != nil {
		t.Fatal(err)
	}
	if err := h.Teardown(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := h.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := netlink.LinkByName(veth); err == nil {
		t.Errorf("%s is still there", veth)
	}
}
