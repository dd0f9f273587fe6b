package reconcile_test

import (
	"testing"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

// TestNameIsTakenOnce: of two projects that want one name at the same time one gets it.
func TestNameIsTakenOnce(t *testing.T) {
	run(t, func(b *bench) {
		failed := make(chan error, 2)
		for _, name := range []string{"one", "two"} {
			p := project(service("web", func(s *spec.Service) { s.ContainerName, s.NetworkMode, s.Networks = "thing", "none", nil }))
			p.Name, p.Networks, p.Volumes = name, nil, nil
			go func() { failed <- b.engine.Up(b.Context(), p, ask.UpOptions{}, nil) }()
		}
		one, two := <-failed, <-failed
		if (one == nil) == (two == nil) {
			b.Fatalf("%v, %v", one, two)
		}
		if n := len(b.rows("one")) + len(b.rows("two")); n != 1 {
			b.Errorf("there are %d containers", n)
		}
	})
}
