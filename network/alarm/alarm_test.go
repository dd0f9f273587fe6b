package alarm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	harness "github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/rtnl"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// nothing is ours.
type nothing struct{}

func (nothing) KnowsLink(string) bool { return false }
func (nothing) Unbound() bool         { return false }

// up makes a link of that name, in the namespace of the calling thread, and brings it up.
func up(name string) (netlink.Link, error) {
	l := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
	if err := netlink.LinkAdd(l); err != nil {
		return nil, err
	}
	return l, netlink.LinkSetUp(l)
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestOverflow: when the kernel had to drop notices, everything is looked at.
func TestOverflow(t *testing.T) {
	harness.Require(t)
	harness.LeavesNothing(t)
	link, err := rtnl.Open()
	ok(t, err)
	defer link.Close()
	a, err := Open(link, "none", t.TempDir(), nothing{})
	ok(t, err)
	defer a.Close()
	a.Run()
	ns := filepath.Join(t.TempDir(), "ns")
	ok(t, netns.Make(ns, func(fd int) error {
		if _, err := up("eth0"); err != nil {
			return err
		}
		return a.Hear("c", []string{"eth0"}, fd, true)
	}))
	defer func() { ok(t, netns.Unbind(ns)) }()
	a.Drain()
	a.TakeHost()
	if a.TakeInside("c") {
		t.Error("a namespace that is whole is to be looked at")
	}
	if host, wall := a.TakeHost(); host || wall {
		t.Errorf("a host that has not changed is to be looked at: %v, its firewall: %v", host, wall)
	}

	a.mu.Lock() // nobody reads
	c, err := a.routes.file.SyscallConn()
	ok(t, err)
	ok(t, c.Control(func(fd uintptr) { unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1) }))
	for range 5 {
		l, err := up("foreign0")
		ok(t, err)
		ok(t, netlink.LinkDel(l))
	}
	a.mu.Unlock()
	a.Drain()
	if host, wall := a.TakeHost(); !host || !wall {
		t.Errorf("the host is to be looked at: %v, its firewall: %v", host, wall)
	}
	if !a.TakeInside("c") {
		t.Error("the namespace is not looked at")
	}
	if a.TakeInside("c") {
		t.Error("it is looked at twice")
	}
	a.LookAgain("c")
	if !a.TakeInside("c") {
		t.Error("it is not looked at again")
	}
}
