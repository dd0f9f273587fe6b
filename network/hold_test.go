package network

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// A port that is held is nobody else's, and the holder's sandbox gets it without a moment in which somebody could take it.
func TestHeldPort(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "net"})
	ctx := t.Context()
	local := netip.MustParseAddr("127.0.0.1")
	port := Port{HostIP: local, HostPort: 8090, ContainerPort: 80, Protocol: "tcp"}
	for range 2 { // what is held already is held on
		got, err := h.HoldPort(ctx, "shop", port)
		if err != nil || got != port {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	if _, err := h.HoldPort(ctx, "other", port); !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "project shop, which is starting") {
		t.Errorf("another holds it: %v", err)
	}
	ranged := port
	ranged.HostPortEnd = 8091
	if got, err := h.HoldPort(ctx, "other", ranged); err != nil || got.HostPort != 8091 {
		t.Errorf("of a range another holds %+v, %v", got, err)
	}
	if err := h.CheckPorts(ctx, "shop", []Port{port}); err != nil {
		t.Errorf("its holder cannot have it: %v", err)
	}
	if err := h.CheckPorts(ctx, "", []Port{port}); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("somebody else can have it: %v", err)
	}
	if l, err := net.Listen("tcp4", "127.0.0.1:8090"); err == nil {
		l.Close()
		t.Error("another program can have it")
	}
	socket := func() uint64 {
		var st unix.Stat_t
		if err := unix.Fstat(socketAt(t, netip.AddrPortFrom(local, 8090)), &st); err != nil {
			t.Fatal(err)
		}
		return st.Ino
	}
	held := socket()
	c := SandboxConfig{ContainerID: "web", Holder: "shop", Ports: []Port{port}, Endpoints: []EndpointConfig{{Network: "net", Names: []string{"web"}}}}
	box, err := h.Setup(ctx, c)
	if err != nil || len(box.Ports) != 1 || box.Ports[0].HostPort != 8090 {
		t.Fatalf("%+v, %v", box.Ports, err)
	}
	if got := socket(); got != held {
		t.Error("the port was bound anew: for a moment it was free")
	}
	h.ReleasePorts(ctx, "shop")
	if err := h.CheckPorts(ctx, "", []Port{port}); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("the release has freed the sandbox's port: %v", err)
	}
	c.Holder = "" // it is no part of what the sandbox is
	if again, err := h.Setup(ctx, c); err != nil || again.Endpoints[0].HostLink != box.Endpoints[0].HostLink {
		t.Errorf("it is made anew: %+v, %v", again, err)
	}
	if err := h.Teardown(ctx, c.ContainerID); err != nil {
		t.Fatal(err)
	}
	h.ReleasePorts(ctx, "other")
	for _, n := range []uint16{8090, 8091} {
		port.HostPort = n
		if err := h.CheckPorts(ctx, "", []Port{port}); err != nil {
			t.Errorf("after it %d is not free: %v", n, err)
		}
	}
}
