package membership

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network/definition"
	"github.com/stackrun/stack/network/record"
)

// networks are those of subnets, each named as its bridge, and the store that they are recorded in.
func networks(t *testing.T, subnets map[string]string) (*Networks, *record.Store) {
	t.Helper()
	dir := t.TempDir()
	store, err := record.Open(dir)
	if err := errors.Join(err, os.Mkdir(filepath.Join(dir, "networks"), 0o700), os.Mkdir(filepath.Join(dir, "sandboxes"), 0o700)); err != nil {
		t.Fatal(err)
	}
	m := New(store)
	for id, subnet := range subnets {
		add(t, m, id, subnet)
	}
	return m, store
}

func add(t *testing.T, m *Networks, id, subnet string) *Network {
	t.Helper()
	c := definition.Config{ID: id, IPv4: true}
	n, err := m.Add(func([]record.Network) (record.Network, error) {
		pool := c.WithGateway(definition.Pool{Subnet: netip.MustParsePrefix(subnet)})
		return record.Network{Config: c, Link: id, Pools: []definition.Pool{pool}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// on is a container on networks, by which it has its name.
func on(name string, networks ...string) definition.SandboxConfig {
	c := definition.SandboxConfig{ContainerID: name}
	for _, n := range networks {
		c.Endpoints = append(c.Endpoints, definition.EndpointConfig{Network: n, Names: []string{name}})
	}
	return c
}

// TestTakeIsAllOrNone: who cannot have one address has none.
func TestTakeIsAllOrNone(t *testing.T) {
	m, _ := networks(t, map[string]string{"a": "10.9.0.0/30"}) // room for one container
	if _, err := m.Take(on("c", "a", "none"), nil); !errors.Is(err, errdefs.ErrNotFound) {
		t.Fatal(err)
	}
	eps, err := m.Take(on("d", "a"), nil)
	if err != nil || eps[0].Addr4 != netip.MustParsePrefix("10.9.0.2/30") || eps[0].Gateway4 != netip.MustParseAddr("10.9.0.1") || eps[0].Interface != "eth0" {
		t.Fatalf("%+v, %v", eps, err)
	}
	if _, err := m.Take(on("e", "a"), nil); !errors.Is(err, errdefs.ErrUnavailable) {
		t.Error(err)
	}
	m.Give(eps, "e") // which it is not
	if _, err := m.Take(on("e", "a"), nil); !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("somebody else gave an address back: %v", err)
	}
	m.Give(eps, "d")
	if _, err := m.Take(on("e", "a"), nil); err != nil {
		t.Error(err)
	}
}

// TestTakeAgain: a container that is made anew has what it had, where that is free.
func TestTakeAgain(t *testing.T) {
	m, _ := networks(t, map[string]string{"a": "10.9.0.0/24"})
	had, err := m.Take(on("c", "a"), nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Give(had, "c")
	if eps, err := m.Take(on("c", "a"), had); err != nil || eps[0].Addr4 != had[0].Addr4 {
		t.Errorf("had %s, has %+v, %v", had[0].Addr4, eps, err)
	}
	if eps, err := m.Take(on("d", "a"), had); err != nil || eps[0].Addr4 == had[0].Addr4 {
		t.Errorf("two have %+v, %v", eps, err)
	}
}

func TestPass(t *testing.T) {
	m, _ := networks(t, map[string]string{"a": "10.9.0.0/30"})
	eps, err := m.Take(on("c", "a"), nil)
	if err != nil {
		t.Fatal(err)
	}
	m.Pass(eps, "c", "d")
	m.Give(eps, "c")
	if _, err := m.Take(on("e", "a"), nil); !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("it was still the first's: %v", err)
	}
	m.Give(eps, "d")
	if _, err := m.Take(on("e", "a"), nil); err != nil {
		t.Errorf("it is not the second's: %v", err)
	}
}

// TestRetired: a network that is gone for the user keeps its link and subnet from others, and the one that was made anew under its name is another.
func TestRetired(t *testing.T) {
	m, store := networks(t, nil)
	old := add(t, m, "a", "10.9.0.0/24")
	if _, err := old.Condemn(); err != nil {
		t.Fatal(err)
	}
	if old.IsRetired() || m.Find("a") != old {
		t.Error("it is gone before it was retired")
	}
	old.Retire()
	if m.Find("a") != nil || !old.IsRetired() || !m.HasLink("a") || len(m.Retired("a")) != 1 || len(m.Records()) != 1 {
		t.Errorf("after it was retired: %+v", m.Records())
	}
	anew := add(t, m, "a", "10.10.0.0/24")
	old.Bury()
	if m.Find("a") != anew || old.IsRetired() || len(m.Records()) != 1 {
		t.Errorf("after the burial: %+v", m.Records())
	}
	if kept, _, err := store.Load(); err != nil || len(kept) != 1 || kept[0].Deleting || kept[0].Pools[0].Subnet != netip.MustParsePrefix("10.10.0.0/24") {
		t.Errorf("recorded are %+v, %v", kept, err)
	}
	if err := anew.Undo(); err != nil || m.Find("a") != nil {
		t.Errorf("%+v, %v", m.Records(), err)
	}
	if kept, _, err := store.Load(); err != nil || len(kept) != 0 {
		t.Errorf("recorded are %+v, %v", kept, err)
	}
}

func TestWays(t *testing.T) {
	m, _ := networks(t, map[string]string{"a": "10.9.0.0/24", "b": "10.10.0.0/24"})
	if err := m.Find("b").Configure(definition.Config{ID: "b", IPv4: true, Internal: true}); err != nil {
		t.Fatal(err)
	}
	c := on("c", "a", "b")
	c.Endpoints[1].GwPriority = 100
	eps, err := m.Take(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ep, ok := m.WayOut(eps, true); !ok || ep.Network != "a" {
		t.Errorf("out by %+v, %v", ep, ok)
	}
	if _, ok := m.WayOut(eps, false); ok {
		t.Error("there is a way out without an address")
	}
	if !m.Reachable(eps) || m.Reachable(eps[1:]) {
		t.Error("reachable are", m.Reachable(eps), m.Reachable(eps[1:]))
	}
}

// TestKeptAddressIsWhoseItIs: who asks for no address gets none that is kept for another, not even one that he had, while others are free.
func TestKeptAddressIsWhoseItIs(t *testing.T) {
	m, _ := networks(t, map[string]string{"a": "10.9.0.0/29"}) // the gateway has .1, containers .2 to .6
	take := func(c definition.SandboxConfig, before []record.Endpoint, want string) []record.Endpoint {
		t.Helper()
		eps, err := m.Take(c, before)
		if err != nil || eps[0].Addr4.Addr() != netip.MustParseAddr(want) {
			t.Fatalf("%s has %+v, %v; expected %s", c.ContainerID, eps, err, want)
		}
		return eps
	}
	had := take(on("first", "a"), nil, "10.9.0.2")
	m.Give(had, "first")
	m.KeepAddresses("shop", map[string][]netip.Addr{"a": {netip.MustParseAddr("10.9.0.2"), netip.MustParseAddr("10.9.0.4")}, "b": {netip.MustParseAddr("10.9.0.3")}})
	m.KeepAddresses("other", map[string][]netip.Addr{"a": {netip.MustParseAddr("10.9.0.5")}})
	take(on("first", "a"), had, "10.9.0.3")
	take(on("second", "a"), nil, "10.9.0.6")
	fixed := on("fixed", "a")
	fixed.Endpoints[0].IPv4 = netip.MustParseAddr("10.9.0.4")
	take(fixed, nil, "10.9.0.4")
	m.KeepAddresses("other", nil)
	take(on("third", "a"), nil, "10.9.0.5")
	take(on("fourth", "a"), nil, "10.9.0.2") // the last one
}
