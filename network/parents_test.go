package network

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	harness "github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/sysctl"
)

// A parent that is a macvlan or ipvlan itself, as that of a machine in a machine is: the kernel puts containers beside it, not on it.
func TestParentThatIsOnALinkItself(t *testing.T) {
	eachChildDriver(t, func(t *testing.T, driver string) {
		h := newHost(t)
		o := h.wire()
		o.greet(80, "outside")
		lan0, err := netlink.LinkByName("lan0")
		if err != nil {
			t.Fatal(err)
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.ParentIndex = "shim0", lan0.Attrs().Index
		var shim netlink.Link = &netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE}
		if driver == definition.IPvlan {
			shim = &netlink.IPVlan{LinkAttrs: attrs, Mode: netlink.IPVLAN_MODE_L2}
		}
		if err := netlink.LinkAdd(shim); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { netlink.LinkDel(shim) })
		h.network(lan(driver, "shim0"))
		c := SandboxConfig{ContainerID: "a", Endpoints: []EndpointConfig{{Network: "lan"}}}
		a := h.setup(c)
		index := func() (i int) {
			a.do(func() error {
				l, err := netlink.LinkByName("eth0")
				if err == nil {
					i = l.Attrs().Index
				}
				return err
			})
			return i
		}
		was := index()
		if boxes, err := h.Sandboxes(t.Context()); err != nil || !boxes[0].Healthy {
			t.Errorf("%v, %q", err, boxes[0].Problem)
		}
		if err := netns.Do(a.Path, func() error {
			l, err := netlink.LinkByName("eth0")
			if err != nil {
				return err
			}
			return netlink.LinkSetDown(l)
		}); err != nil {
			t.Fatal(err)
		}
		if st, err := h.Mend(t.Context(), c, holdNamespace(t, a.Path)); err != nil || !st.Healthy {
			t.Fatalf("%v, %q", err, st.Problem)
		}
		if now := index(); now != was {
			t.Errorf("an interface that was down was made anew: %d, it was %d", now, was)
		}
		a.wants(outsideAddr+":80", "outside "+a.addr4().String())
	})
}

// A link has further names, and the user may write one of them.
func TestParentByAnotherName(t *testing.T) {
	h := newHost(t)
	harness.LinkKind(t, definition.Macvlan)
	h.outside()
	lan0, err := netlink.LinkByName("lan0")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkAddAltName(lan0, "uplink"); err != nil {
		t.Fatal(err)
	}
	if st := h.network(lan(definition.Macvlan, "uplink")); st.Link != "lan0" || !st.Healthy {
		t.Errorf("link %q, %q", st.Link, st.Problem)
	}
	h.box("a", "lan")
	if boxes, err := h.Sandboxes(t.Context()); err != nil || !boxes[0].Healthy {
		t.Errorf("%v, %q", err, boxes[0].Problem)
	}
	two := lanWith(lan(definition.Macvlan, "lan0"), definition.OptMacvlanMode, definition.Passthru)
	two.ID, two.Pools, two.IPv6 = "two", pool("10.78.0.0/24"), false
	wrong(t, h.CheckNetwork(t.Context(), two), errdefs.ErrConflict, `network "lan" has the parent lan0`)
}

// The host itself is not on what it has made for its containers: a VLAN that is to be theirs alone, above all.
func TestHostIsNotOnAParentThatWasMade(t *testing.T) {
	h := newHost(t)
	harness.LinkKind(t, definition.Macvlan)
	harness.LinkKind(t, "dummy")
	harness.LinkKind(t, "vlan")
	h.outside()
	vlan := Config{ID: "vlan", Driver: definition.Macvlan, DriverOpts: map[string]string{definition.OptParent: "lan0.10"}, Pools: pool("10.78.0.0/24")}
	for _, c := range []Config{vlan, {ID: "dummy", Driver: definition.Macvlan, Pools: pool("10.79.0.0/24")}} {
		st := h.network(c)
		l, err := netlink.LinkByName(st.Link)
		if err != nil {
			t.Fatal(err)
		}
		if addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL); err != nil || len(addrs) != 0 {
			t.Errorf("the host has %v on %s, %v", addrs, st.Link, err)
		}
	}
	accept := "net/ipv6/conf/lan0.10/accept_ra"
	if err := sysctl.Write(accept, "1"); errors.Is(err, unix.ENOENT) {
		return // no IPv6
	} else if err != nil {
		t.Fatal(err)
	}
	if nets, err := h.List(t.Context()); err != nil || nets[1].Problem != "sysctl net.ipv6.conf.lan0.10.accept_ra is 1, set was 0" {
		t.Errorf("%+v, %v", nets, err)
	}
	if st := h.network(vlan); !st.Healthy {
		t.Error(st.Problem)
	}
}
