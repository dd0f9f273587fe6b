package sandbox_test

import (
	"context"
	"net/netip"
	"os"
	"testing"

	"github.com/stackrun/stack/internal/roots"
	harness "github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/network/netns"
	"github.com/stackrun/stack/network/sandbox"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// TestALateEndTakesNothingNew: what a Teardown leaves to the background may come when the container has a new namespace and its address is another's, and leaves both alone.
func TestALateEndTakesNothingNew(t *testing.T) {
	harness.Require(t)
	harness.LeavesNothing(t)
	dir := t.TempDir()
	d, err := network.New(t.Context(), network.Options{Roots: roots.Roots{State: dir + "/state", Run: dir + "/run"}, ResolvConf: dir + "/resolv.conf"})
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		ctx := context.Background()
		for _, id := range []string{"a", "b"} {
			must(d.Teardown(ctx, id))
		}
		must(d.Delete(ctx, "n"))
		must(d.Close(ctx))
	})
	setup := func(id string, at netip.Addr) network.Sandbox {
		t.Helper()
		s, err := d.Setup(t.Context(), network.SandboxConfig{ContainerID: id, Endpoints: []network.EndpointConfig{{Network: "n", IPv4: at}}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	_, err = d.Create(t.Context(), network.Config{ID: "n", IPv4: true})
	must(err)
	addr := setup("a", netip.Addr{}).Endpoints[0].Addr4.Addr()
	old := sandbox.Record(d.Keeper, "a")
	must(d.Teardown(t.Context(), "a"))
	paths := []string{setup("b", addr).Path, setup("a", netip.Addr{}).Path}
	must(d.Settle(t.Context())) // what was left to do was the old one's
	sandbox.FinishTeardown(d.Keeper, old)
	for _, path := range paths {
		if !netns.Bound(path) {
			t.Errorf("the namespace at %s is gone", path)
		}
	}
	if all, err := d.Sandboxes(t.Context()); err != nil || len(all) != 2 || !all[0].Healthy || !all[1].Healthy {
		t.Errorf("%+v, %v", all, err)
	}
}
