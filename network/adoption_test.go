package network

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/internal/errdefs"
	harness "github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/record"
)

// kill ends the driver as SIGKILL would: what the process held is closed, the kernel's objects and the records stay.
func (h *host) kill() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		h.t.Fatal(err)
	}
}

func TestAdoption(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	web := h.setup(SandboxConfig{ContainerID: "web", Endpoints: []EndpointConfig{{Network: "n", Names: []string{"web"}}},
		Ports: []Port{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}})
	web.greet(80, "web")
	a := h.box("a", "n")
	c, err := net.Dial("tcp", "127.0.0.1:8080") // a connection that outlives the daemon
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := New(t.Context(), Options{Roots: h.roots}); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("a second driver: %v", err)
	}
	h.kill()
	if got, err := ask("127.0.0.1:8080"); err != nil || !strings.HasPrefix(got, "web ") {
		t.Errorf("without a daemon: %q, %v", got, err)
	}
	h.start()
	boxes, err := h.Sandboxes(t.Context())
	if err != nil || len(boxes) != 2 || !boxes[0].Healthy || !boxes[1].Healthy {
		t.Errorf("%v, %v", boxes, err)
	}
	if nets, err := h.List(t.Context()); err != nil || len(nets) != 1 || !nets[0].Healthy || len(nets[0].Endpoints) != 2 {
		t.Errorf("%v, %v", nets, err)
	}
	for _, to := range []string{"127.0.0.1:8080", "[::1]:8080"} {
		if got, err := ask(to); err != nil || !strings.HasPrefix(got, "web ") {
			t.Errorf("%s: %q, %v", to, got, err)
		}
	}
	if got := a.resolve("web"); len(got) != 1 || got[0] != web.addr4().String() {
		t.Errorf("web is %v", got)
	}
	if b := h.box("b", "n"); b.addr4() == a.addr4() || b.addr4() == web.addr4() {
		t.Errorf("an adopted address was given out again")
	}
	if l, err := net.Listen("tcp", ":8080"); err == nil {
		l.Close()
		t.Error("the port is not reserved any more")
	}
}

// A process that dies after it wrote its intent and before, or in the middle of, the change.
func TestIntentOnly(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	rec := record.Network{Config: Config{ID: "m", IPv4: true}, Link: h.names.Bridge(7), Pools: []Pool{
		{Subnet: netip.MustParsePrefix("10.77.0.0/24"), Gateway: netip.MustParseAddr("10.77.0.1")}}}
	if err := h.records.PutNetwork(rec); err != nil {
		t.Fatal(err)
	}
	half := record.Network{Config: Config{ID: "half", IPv4: true}, Link: h.names.Bridge(8), Deleting: true, Pools: []Pool{
		{Subnet: netip.MustParsePrefix("10.78.0.0/24"), Gateway: netip.MustParseAddr("10.78.0.1")}}}
	if err := h.records.PutNetwork(half); err != nil {
		t.Fatal(err)
	}
	if err := h.bridges.Raise(t.Context(), half); err != nil {
		t.Fatal(err)
	}
	stray := record.Network{Config: Config{ID: "stray", IPv4: true}, Link: h.names.Bridge(9), Pools: []Pool{
		{Subnet: netip.MustParsePrefix("10.79.0.0/24"), Gateway: netip.MustParseAddr("10.79.0.1")}}}
	if err := h.bridges.Raise(t.Context(), stray); err != nil { // its record was lost
		t.Fatal(err)
	}
	if err := h.records.PutSandbox(record.Sandbox{Config: SandboxConfig{ContainerID: "c"}, Endpoints: []Endpoint{{
		EndpointConfig: EndpointConfig{Network: "n"}, Addr4: netip.MustParsePrefix("10.201.0.9/23")}}}); err != nil {
		t.Fatal(err)
	}
	if err := netns.Make(h.book.Path("lost"), func(int) error { return nil }); err != nil {
		t.Fatal(err)
	}
	h.kill()
	h.start()
	if err := h.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	nets, err := h.List(t.Context())
	if err != nil || len(nets) != 2 || nets[0].Config.ID != "m" || nets[0].Healthy || nets[0].Link != "" {
		t.Errorf("%+v, %v", nets, err)
	}
	for _, name := range []string{half.Link, stray.Link} {
		if _, err := netlink.LinkByName(name); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
	if boxes, err := h.Sandboxes(t.Context()); err != nil || len(boxes) != 0 {
		t.Errorf("%v, %v", boxes, err)
	}
	h.network(Config{ID: "m"}) // is completed, with the subnet that was recorded
	if got := h.box("x", "m").Endpoints[0].Gateway4; got != rec.Pools[0].Gateway {
		t.Errorf("gateway %s", got)
	}
}

func TestRecordsOfAnotherBootAreDropped(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "n"})
	old, err := json.Marshal(record.Network{Epoch: "another", Config: Config{ID: "old", IPv4: true}, Link: "sbx", Pools: pool("10.77.0.0/24")})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"old.json": old, "garbage.json": []byte("{")} {
		if err := os.WriteFile(h.roots.InRun("network", "networks", name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.kill()
	h.start()
	if nets, err := h.List(t.Context()); err != nil || len(nets) != 1 || nets[0].Config.ID != "n" {
		t.Errorf("%v, %v", nets, err)
	}
}
