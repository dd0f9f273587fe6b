package network

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	nf "github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	harness "github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network/rtnl"
)

// TestMendRefuses what it was not meant for.
func TestMendRefuses(t *testing.T) {
	p := newPatient(t)
	ctx := t.Context()
	if _, err := p.Mend(ctx, p.config, "/proc/self/ns/net"); !errors.Is(err, errdefs.ErrInvalidArgument) {
		t.Errorf("the host's own namespace: %v", err)
	}
	if _, err := p.Mend(ctx, p.config, filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no namespace at all is success")
	}
	other := p.config
	other.Ports = nil
	if _, err := p.Mend(ctx, other, p.proc); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("another configuration: %v", err)
	}
	if n, s := p.problems(); n != "" || s != "" {
		t.Errorf("%q, %q", n, s)
	}
}

// TestMendAfterADaemon: damage that nobody saw is found by the next Driver, and what a running container holds is not lost with a file.
func TestMendAfterADaemon(t *testing.T) {
	p := newPatient(t)
	p.kill()
	ok(t, unix.Unmount(p.web.Path, unix.MNT_DETACH))
	ok(t, os.Remove(p.web.Path))
	ok(t, netlink.LinkSetNoMaster(link(t, p.other.Endpoints[0].HostLink)))
	p.start()
	if _, s := p.problems(); !strings.Contains(s, "its network namespace is gone") {
		t.Errorf("%q", s)
	}
	p.mend()
	if n, s := p.problems(); n != "" || s != "" {
		t.Errorf("%q, %q", n, s)
	}
	p.works()

	// All that is left is the namespace: the record goes, and the addresses come from inside.
	p.kill()
	ok(t, unix.Unmount(p.web.Path, unix.MNT_DETACH))
	ok(t, p.records.DropSandbox("web"))
	p.start()
	ok(t, p.Settle(t.Context()))
	boxes, err := p.Sandboxes(t.Context())
	if err != nil || len(boxes) != 1 {
		t.Fatalf("%+v, %v", boxes, err)
	}
	st, err := p.Mend(t.Context(), p.config, p.proc)
	if err != nil || !st.Healthy {
		t.Errorf("%+v, %v", st, err)
	}
	p.web.Sandbox = st
	p.works()
}

// foreignLink makes a link with an address, of nobody's here, in the namespace of the calling thread.
func foreignLink(name string) error {
	if err := netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}); err != nil {
		return err
	}
	return with(name, netlink.LinkSetUp, func(l netlink.Link) error {
		return netlink.AddrAdd(l, rtnl.Addr(netip.MustParsePrefix("192.0.2.2/24")))
	})
}

// TestContainersOwnRoutes: a container that makes a tunnel its way out is not damaged.
func TestContainersOwnRoutes(t *testing.T) {
	p := newPatient(t)
	p.inside(func() error {
		if err := foreignLink("tun0"); err != nil {
			return err
		}
		if err := delRoutes("eth0", func(r netlink.Route) bool { return r.Gw != nil }); err != nil {
			return err
		}
		return with("tun0", func(l netlink.Link) error {
			return netlink.RouteAdd(&netlink.Route{LinkIndex: l.Attrs().Index, Gw: net.ParseIP("192.0.2.1")})
		})
	})
	if n, s := p.problems(); n != "" || s != "" {
		t.Errorf("%q, %q", n, s)
	}
	p.mend()
	p.inside(func() error {
		routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
		for _, r := range routes {
			if r.Gw != nil && !r.Gw.Equal(net.ParseIP("192.0.2.1")) {
				t.Errorf("Mend has made route %v", r)
			}
		}
		return err
	})
}

// TestQuiet: what other software does on the host is no hint, and neither is nothing.
func TestQuiet(t *testing.T) {
	p := newPatient(t)
	p.problems()
	ctx, cancel := context.WithCancel(t.Context())
	hints, err := p.Watch(ctx)
	ok(t, err)
	marker := func() { ok(t, netlink.LinkSetNoMaster(link(t, p.web.Endpoints[0].HostLink))) }
	ok(t, foreignLink("foreign0"))
	ok(t, with("foreign0", netlink.LinkDel))
	ok(t, tables("foreign", nf.TableFamilyINet, func(c *nf.Conn, table *nf.Table) error { c.AddTable(table); return nil }))
	ok(t, tables("foreign", nf.TableFamilyINet, func(c *nf.Conn, table *nf.Table) error { c.DelTable(table); return nil }))
	dir := t.TempDir()
	ok(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	ok(t, unix.Unmount(dir, 0))
	p.alarm.Drain()
	select {
	case <-hints:
		t.Error("a hint for what is not ours")
	default:
	}
	marker()
	<-hints
	cancel()
	harness.Eventually(t, "the end of the hints", func() bool {
		select {
		case _, open := <-hints:
			return !open
		default:
			return false
		}
	})
	p.mend()
}
