package network

import (
	"net/netip"
	"testing"
)

func at(a netip.Addr, port uint16) string { return netip.AddrPortFrom(a, port).String() }

func TestContainersReachEachOther(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "p_default"})
	a, b := h.box("a", "p_default"), h.box("b", "p_default")
	b.greet(80, "b")
	got, err := a.ask(at(b.addr4(), 80))
	if err != nil || got != "b "+a.addr4().String() {
		t.Fatalf("got %q, %v", got, err)
	}
	if got := a.resolve("b"); len(got) != 1 || got[0] != b.addr4().String() {
		t.Errorf("b resolves to %v", got)
	}
}

func TestPublishedPort(t *testing.T) {
	h := newHost(t)
	h.network(Config{ID: "p_default"})
	web := h.setup(SandboxConfig{ContainerID: "web", Endpoints: []EndpointConfig{{Network: "p_default", Names: []string{"web"}}},
		Ports: []Port{{HostPort: 8080, ContainerPort: 80, Protocol: "tcp"}}})
	web.greet(80, "web")
	for _, to := range []string{"127.0.0.1:8080", "[::1]:8080", web.Endpoints[0].Gateway4.String() + ":8080"} {
		if got, err := ask(to); err != nil || got[:3] != "web" {
			t.Errorf("%s: %q, %v", to, got, err)
		}
	}
}
