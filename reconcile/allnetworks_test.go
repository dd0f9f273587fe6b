package reconcile_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/resource"
)

// composes are the labels by which docker compose, as a client, finds its networks and volumes.
var composes = map[string]string{"com.docker.compose.project": "shop", "com.docker.compose.network": "default"}

func (b *bench) makeNetwork(name string) resource.NetworkDetail {
	b.Helper()
	d, err := b.engine.AllNetworks().Create(b.Context(), resource.NetworkRequest{Config: network.Config{ID: name, Driver: "bridge", IPv4: true}, Labels: composes, Attachable: true})
	if err != nil {
		b.Fatal(err)
	}
	return d
}

func (b *bench) networks() string {
	b.Helper()
	all, err := b.engine.AllNetworks().List(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
	}
	return strings.Join(names, " ")
}

// TestAllNetworksAreKept: a network that belongs to no file is nobody's garbage and no project's, whatever it is labelled, and comes back with its id.
func TestAllNetworksAreKept(t *testing.T) {
	run(t, func(b *bench) {
		all := b.engine.AllNetworks()
		made := b.makeNetwork("shop_default")
		if len(made.ID) != 64 || made.Labels["com.docker.compose.project"] != "shop" || made.Project != "" || !made.Attachable || made.CreatedAt.IsZero() {
			t.Errorf("%+v", made)
		}
		if _, err := all.Create(b.Context(), resource.NetworkRequest{Config: network.Config{ID: "shop_default", IPv4: true}}); !errors.Is(err, errdefs.ErrAlreadyExists) {
			t.Errorf("twice: %v", err)
		}
		if _, err := all.Create(b.Context(), resource.NetworkRequest{Config: network.Config{ID: "no", Driver: "bridge"}}); err == nil || strings.Count(err.Error(), "cannot create network") != 1 {
			t.Errorf("of no family: %v", err)
		}
		for _, ref := range []string{"shop_default", made.ID, made.ID[:9]} {
			if d, err := all.Inspect(b.Context(), ref); err != nil || d.ID != made.ID {
				t.Errorf("%s: %+v, %v", ref, d, err)
			}
		}
		if projects, err := b.engine.Projects(b.Context()); err != nil || len(projects) != 0 {
			t.Errorf("it made a project: %+v, %v", projects, err)
		}
		if g, err := b.engine.GC(b.Context(), ask.GCOptions{}); err != nil || len(g.Found) != 0 {
			t.Errorf("it is garbage: %+v, %v", g, err)
		}
		err := b.engine.Up(b.Context(), project(service("web")), ask.UpOptions{}, b.sink)
		if err == nil || !strings.Contains(err.Error(), "network shop_default is of no project") {
			t.Errorf("an up takes it for its own: %v", err)
		}
		if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{Volumes: true}, b.sink); err != nil {
			t.Error(err)
		}

		b.reboot()
		b.crash()
		after, err := b.engine.AllNetworks().Inspect(b.Context(), "shop_default")
		if err != nil || after.ID != made.ID || !after.CreatedAt.Equal(made.CreatedAt) || after.Labels["com.docker.compose.project"] != "shop" {
			t.Errorf("%+v, %v", after, err)
		}
		if err := b.engine.AllNetworks().Remove(b.Context(), made.ID[:12]); err != nil {
			t.Error(err)
		}
		if _, err := b.engine.AllNetworks().Inspect(b.Context(), "shop_default"); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("%v", err)
		}
		b.reboot()
		if got := b.networks(); got != "bridge host none" {
			t.Errorf("left are %s", got)
		}
		if left := b.host.Left(); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	})
}

// TestAllNetworksHalfMade: a daemon that dies in a create or a removal leaves nothing that the next one does not take away.
func TestAllNetworksHalfMade(t *testing.T) {
	run(t, func(b *bench) {
		b.makeNetwork("n")
		if err := b.store.Delete("networks", "n"); err != nil { // it never got there, or has gone already
			t.Fatal(err)
		}
		b.reboot()
		if got := b.networks(); got != "bridge host none" {
			t.Errorf("left are %s", got)
		}
	})
}

// TestStoreIsLost: when the store was damaged and another takes its place, what belongs to no file is known by what it says itself, also what nothing runs on.
func TestStoreIsLost(t *testing.T) {
	run(t, func(b *bench) {
		made := b.makeNetwork("n")
		id := b.alone("never-started", "no")
		b.shut()
		b.store = &fake.Store{}
		for range 2 { // and the next daemon, which has that store
			e, err := reconcile.New(b.Context(), b.host.Set(), reconcile.Options{Roots: b.roots, Store: b.store, StoreLost: b.engine != nil})
			if err != nil {
				t.Fatal(err)
			}
			b.engine = e
			if d, err := e.AllNetworks().Inspect(b.Context(), "n"); err != nil || d.ID != made.ID || d.Labels["com.docker.compose.project"] != "shop" {
				t.Errorf("the network is %+v, %v", d, err)
			}
			if d, err := e.Single().Inspect(b.Context(), id); err != nil || d.Name != "never-started" {
				t.Errorf("the container is %+v, %v", d, err)
			}
			b.shut()
			b.engine = nil
		}
		b.boot()
	})
}

// TestAllNetworksOfALaterStack: a record that this program cannot read is no reason to take the network away.
func TestAllNetworksOfALaterStack(t *testing.T) {
	run(t, func(b *bench) {
		b.makeNetwork("n")
		b.must(b.store.Put("networks", "n", []byte(`{"resource":1000}`)))
		b.reboot()
		if got := b.networks(); got != "bridge host n none" {
			t.Errorf("there are %s", got)
		}
	})
}

// TestAllNetworksWhileAProjectIsBusy: who removes a network of a project waits for its command, and keeps nobody else from theirs.
func TestAllNetworksWhileAProjectIsBusy(t *testing.T) {
	run(t, func(b *bench) {
		all := b.engine.AllNetworks()
		removed := make(chan error, 1)
		var once sync.Once
		b.host.Fault = func(op string, after bool) error {
			if op == "Containers.Create" && !after {
				once.Do(func() {
					go func() { removed <- all.Remove(b.Context(), "shop_default") }()
					synctest.Wait()
					ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
					defer cancel()
					if _, err := all.Create(ctx, resource.NetworkRequest{Config: network.Config{ID: "n", Driver: "bridge", IPv4: true}}); err != nil {
						t.Error(err)
					}
				})
			}
			return nil
		}
		b.up(project(service("web")), ask.UpOptions{})
		if err := <-removed; !errors.Is(err, errdefs.ErrConflict) {
			t.Error(err)
		}
	})
}

// TestAllNetworksOfProjects: they are shown as they are, and stay as long as the project is up.
func TestAllNetworksOfProjects(t *testing.T) {
	run(t, func(b *bench) {
		b.up(project(service("web")), ask.UpOptions{})
		all := b.engine.AllNetworks()
		d, err := all.Inspect(b.Context(), "shop_default")
		if err != nil || d.Project != "shop" || d.Labels["com.docker.compose.project"] != "shop" || len(d.Members) != 1 || d.Members[0].Name != "shop-web-1" || !d.Members[0].IPv4.IsValid() {
			t.Errorf("%+v, %v", d, err)
		}
		for key := range d.Labels {
			if strings.HasPrefix(key, "dev.stackrun.") {
				t.Errorf("it shows our label %s", key)
			}
		}
		if err := all.Remove(b.Context(), "shop_default"); !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "active endpoints") || !strings.Contains(err.Error(), "shop-web-1") {
			t.Errorf("%v", err)
		}
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, b.sink); err != nil {
			t.Fatal(err)
		}
		if err := all.Remove(b.Context(), "shop_default"); !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "stack --project-name shop down") {
			t.Errorf("%v", err)
		}
		if gone, err := all.Prune(b.Context(), func(resource.NetworkDetail) bool { return true }); err != nil || len(gone) != 0 {
			t.Errorf("pruned %v, %v", gone, err)
		}
		b.makeNetwork("idle")
		if gone, err := all.Prune(b.Context(), func(resource.NetworkDetail) bool { return true }); err != nil || !slices.Equal(gone, []string{"idle"}) {
			t.Errorf("pruned %v, %v", gone, err)
		}
		b.down(ask.DownOptions{})
	})
}

// TestAllNetworksPredefined: they are always there, and always stay.
func TestAllNetworksPredefined(t *testing.T) {
	run(t, func(b *bench) {
		for name, driver := range map[string]string{"bridge": "bridge", "host": "host", "none": "null"} {
			d, err := b.engine.AllNetworks().Inspect(b.Context(), name)
			if err != nil || d.Driver != driver || !d.Predefined || len(d.ID) != 64 {
				t.Errorf("%+v, %v", d, err)
			}
			if err := b.engine.AllNetworks().Remove(b.Context(), d.ID); !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "pre-defined") {
				t.Errorf("%v", err)
			}
		}
		if left := b.host.Left(); len(left) > 0 {
			t.Errorf("to look has made %v", left)
		}
	})
}
