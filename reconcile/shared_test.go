package reconcile_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/caps"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// A one-off does not start where somebody can take it over, and cannot take over what starts beside it.
func TestRunInASharedPIDNamespace(t *testing.T) {
	if have, err := caps.Available(); err != nil || !slices.Contains(have, "CAP_SYS_PTRACE") {
		if sandbox.Must("root") {
			t.Fatalf("no CAP_SYS_PTRACE to give to a container: %v", err)
		}
		t.Skip("SKIP: needs CAP_SYS_PTRACE, for containers that trace others")
	}
	for name, tt := range map[string]struct {
		up      []string
		run     ask.RunOptions
		refused bool
	}{
		"nobody traces":               {[]string{"app", "side"}, ask.RunOptions{Service: "side"}, false},
		"a tracer runs there":         {[]string{"app", "debug"}, ask.RunOptions{Service: "side"}, true},
		"it does not run":             {[]string{"app"}, ask.RunOptions{Service: "side"}, false},
		"it traces by itself":         {[]string{"app"}, ask.RunOptions{Service: "debug"}, true}, // side may be started beside it
		"it is given the capability":  {[]string{"app"}, ask.RunOptions{Service: "side", CapAdd: []string{"SYS_PTRACE"}}, true},
		"one with a namespace of its": {[]string{"app"}, ask.RunOptions{Service: "app", CapAdd: []string{"SYS_PTRACE"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				joins := func(s *spec.Service) { s.PID = "service:app" }
				p := project(service("app"), service("side", joins), service("debug", joins, func(s *spec.Service) { s.CapAdd = []string{"SYS_PTRACE"} }))
				b.up(p, ask.UpOptions{Services: tt.up})
				tt.run.Detach, tt.run.NoDeps = true, true
				_, err := b.engine.Run(b.Context(), p, tt.run, process.IO{}, nil)
				if refused := errors.Is(err, errdefs.ErrInvalidArgument); refused != tt.refused || err != nil && !refused {
					b.Errorf("got %v", err)
				}
			})
		})
	}
}

// Nor does a container start where one of another project, that it joins by name, can take it over; nor one of the file itself that is called so.
func TestJoinByNameInASharedPIDNamespace(t *testing.T) {
	if have, err := caps.Available(); err != nil || !slices.Contains(have, "CAP_SYS_PTRACE") {
		t.Skip("SKIP: needs CAP_SYS_PTRACE, for containers that trace others")
	}
	traces := func(s *spec.Service) { s.CapAdd = []string{"SYS_PTRACE"} }
	named := func(s *spec.Service) { s.ContainerName = "tower" }
	joins := func(s *spec.Service) { s.PID = "container:tower" }
	for name, tt := range map[string]struct {
		theirs  []*spec.Service
		refused bool
	}{
		"nobody traces":            {[]*spec.Service{service("app", named)}, false},
		"who is joined traces":     {[]*spec.Service{service("app", named, traces)}, true},
		"another who is there":     {[]*spec.Service{service("app", named), service("debug", traces, func(s *spec.Service) { s.PID = "service:app" })}, true},
		"one that lives elsewhere": {[]*spec.Service{service("app", named), service("debug", traces)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				theirs, ours := project(tt.theirs...), project(service("side", joins))
				theirs.Name = "theirs"
				theirs.Networks["default"].Name = "theirs_default"
				b.up(theirs, ask.UpOptions{})
				err := b.engine.Up(b.Context(), ours, ask.UpOptions{}, nil)
				if refused := errors.Is(err, errdefs.ErrConflict); refused != tt.refused || err != nil && !refused {
					b.Errorf("got %v", err)
				}
			})
		})
	}
	t.Run("run beside one of the file", func(t *testing.T) {
		run(t, func(b *bench) {
			p := project(service("app", named), service("side", joins), service("debug", joins, traces))
			b.up(p, ask.UpOptions{Services: []string{"app", "debug"}})
			_, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "side", Detach: true, NoDeps: true}, process.IO{}, nil)
			if !errors.Is(err, errdefs.ErrInvalidArgument) {
				b.Errorf("got %v", err)
			}
		})
	})
}

// A container whose owner ends while it is started may have come into a namespace of whoever has got the number since: it is stopped.
func TestWhoseOwnerEndsMeanwhileIsStopped(t *testing.T) {
	run(t, func(b *bench) {
		p := project(service("app"), service("side", func(s *spec.Service) { s.PID = "service:app" }))
		b.up(p, ask.UpOptions{Services: []string{"app"}})
		app := b.rows("shop")["shop-app-1"].ID
		b.host.Fault = func(op string, after bool) error {
			if op == "Containers.Start" && !after {
				b.host.Fault = nil
				return b.host.Set().Containers.Kill(b.Context(), app, unix.SIGTERM)
			}
			return nil
		}
		err := b.engine.Up(b.Context(), p, ask.UpOptions{Services: []string{"side"}, NoDeps: true}, nil)
		if !errors.Is(err, errdefs.ErrConflict) {
			b.Errorf("got %v", err)
		}
		b.same("running", b.running(), "")
	})
}

// TestAFollowingThatWasCutShortIsCarriedToItsEnd: who lives in a namespace of another is started again with it, also when the daemon
// dies in the middle.
func TestAFollowingThatWasCutShortIsCarriedToItsEnd(t *testing.T) {
	for n := 1; ; n++ {
		died := false
		run(t, func(b *bench) {
			joins := func(s *spec.Service) { s.IPC = "service:app" }
			b.up(project(service("app", func(s *spec.Service) { s.Restart.Name, s.IPC = "always", "shareable" }), service("side", joins), service("side2", joins)), ask.UpOptions{})
			b.heal()
			if err := b.host.Set().Containers.Kill(b.Context(), b.rows("shop")["shop-app-1"].ID, unix.SIGTERM); err != nil {
				b.Fatal(err)
			}
			b.cut.At(n)
			time.Sleep(30 * time.Second)
			synctest.Wait()
			died = b.cut.Died()
			b.shut()
			b.cut.Over()
			b.boot()
			time.Sleep(30 * time.Second)
			synctest.Wait()
			b.same(fmt.Sprintf("running after it was cut at %d", n), b.running(), "app-1 side-1 side2-1")
		})
		if t.Failed() || !died {
			if n < 5 {
				t.Errorf("only %d operations were counted", n)
			}
			return
		}
	}
}
