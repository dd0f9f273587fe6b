package reconcile_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
)

func TestMissingImageIsFoundBeforeAnythingIsMade(t *testing.T) {
	run(t, func(b *bench) {
		p := project(service("a"), service("web", func(s *spec.Service) { s.Image = "far:1" }))
		did := b.changes(func() {
			err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink)
			if err == nil || !strings.Contains(err.Error(), "cannot get the image of service web") {
				b.Errorf("got %v", err)
			}
		})
		if len(did) > 0 {
			b.Errorf("done: %v", did)
		}
		if list, err := b.engine.Projects(b.Context()); err != nil || len(list) > 0 {
			b.Errorf("projects: %v, %v", list, err)
		}
	})
}

func TestPullThatFailsLeavesNoNetwork(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Registry["far:1"] = fake.Image("far:1", v1.Config{Cmd: []string{"x"}})
		broken := errors.New("the layer is broken")
		b.host.Fault = func(op string, done bool) error {
			if op == "Images.Pull" {
				return broken
			}
			return nil
		}
		p := project(service("web", func(s *spec.Service) { s.Image = "far:1" }))
		if err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink); !errors.Is(err, broken) {
			b.Errorf("got %v", err)
		}
		networks, err := b.host.Set().Networks.List(b.Context())
		if err != nil || len(networks) > 0 {
			b.Errorf("networks: %v, %v", networks, err)
		}
	})
}

func TestRecreateSaysWhy(t *testing.T) {
	run(t, func(b *bench) {
		p := project(service("web"))
		b.up(p, ask.UpOptions{})
		p.Services["web"].Environment["LEVEL"] = "debug"
		b.events = nil
		b.up(p, ask.UpOptions{})
		if !slices.ContainsFunc(b.events, func(e event.Event) bool {
			return e.Name == "shop-web-1" && e.Text == "Recreate" && e.Detail == `environment.LEVEL: (none) -> "debug"`
		}) {
			b.Errorf("not told: %v", b.said())
		}
	})
}
