package reconcile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/reconcile/standalone"
)

// members are the names of the containers on a network.
func (b *bench) members(network string) string {
	b.Helper()
	d, err := b.engine.AllNetworks().Inspect(b.Context(), network)
	if err != nil {
		b.Fatal(err)
	}
	var names []string
	for _, m := range d.Members {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// onNetworks makes a container that belongs to no file, and starts it.
func (b *bench) onNetworks(name string, networks ...string) string {
	b.Helper()
	w := single.Want{Name: name, Spec: plan.Spec{Image: "app:1", Networks: map[string]plan.Endpoint{}}}
	for _, n := range networks {
		w.Spec.Networks[n] = plan.Endpoint{}
	}
	id, _, err := b.engine.Single().Create(b.Context(), w)
	if err == nil {
		_, err = b.engine.Single().Start(b.Context(), id)
	}
	if err != nil {
		b.Fatal(err)
	}
	return id
}

func TestConnect(t *testing.T) {
	run(t, func(b *bench) {
		b.makeNetwork("one")
		b.makeNetwork("two")
		id := b.onNetworks("web", "one")
		containers := b.engine.Single()
		if err := containers.Connect(b.Context(), "web", "two", plan.Endpoint{}); err != nil {
			t.Fatal(err)
		}
		if b.members("one") != "web" || b.members("two") != "web" {
			t.Errorf("on one is %s, on two %s", b.members("one"), b.members("two"))
		}
		if err := containers.Connect(b.Context(), id, "two", plan.Endpoint{}); !errors.Is(err, errdefs.ErrConflict) {
			t.Errorf("twice: %v", err)
		}
		if err := b.engine.AllNetworks().Remove(b.Context(), "two"); !errors.Is(err, errdefs.ErrConflict) {
			t.Errorf("a network with a container on it: %v", err)
		}
		if err := containers.Disconnect(b.Context(), "web", "one"); err != nil {
			t.Fatal(err)
		}
		if b.members("one") != "" || b.members("two") != "web" {
			t.Errorf("on one is %s, on two %s", b.members("one"), b.members("two"))
		}

		// A daemon that died when the record was written and nothing else.
		raw, err := b.store.Get("standalone", id)
		if err != nil {
			t.Fatal(err)
		}
		record, err := standalone.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		record.Spec.Networks = map[string]plan.Endpoint{"one": {}}
		if raw, err = record.Encode(); err != nil {
			t.Fatal(err)
		}
		if err := b.store.Put("standalone", id, raw); err != nil {
			t.Fatal(err)
		}
		b.reboot()
		if b.members("one") != "web" || b.members("two") != "" {
			t.Errorf("after the daemon on one is %s, on two %s", b.members("one"), b.members("two"))
		}
		if err := b.engine.Single().Remove(b.Context(), id, single.RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
	})
}

// TestConnectRefuses leaves record and host as they were.
func TestConnectRefuses(t *testing.T) {
	run(t, func(b *bench) {
		b.makeNetwork("one")
		id := b.onNetworks("web", "one")
		b.up(project(service("app")), ask.UpOptions{})
		containers := b.engine.Single()
		for what, c := range map[string]struct {
			ref, network string
			kind         error
		}{
			"no such network":          {"web", "nowhere", errdefs.ErrNotFound},
			"no such container":        {"nobody", "one", errdefs.ErrNotFound},
			"the host's":               {"web", "host", errdefs.ErrConflict},
			"none":                     {"web", "none", errdefs.ErrConflict},
			"a container of a project": {"shop-app-1", "one", errdefs.ErrConflict},
		} {
			if err := containers.Connect(b.Context(), c.ref, c.network, plan.Endpoint{}); !errors.Is(err, c.kind) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := containers.Disconnect(b.Context(), "web", "shop_default"); !errors.Is(err, errdefs.ErrConflict) {
			t.Errorf("what it is not on: %v", err)
		}
		if got := b.members("one"); got != "web" {
			t.Errorf("on one is %s", got)
		}
		if err := containers.Remove(b.Context(), id, single.RemoveOptions{Force: true}); err != nil {
			t.Error(err)
		}
		if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{}, b.sink); err != nil {
			t.Error(err)
		}
	})
}
