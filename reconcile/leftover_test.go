package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// TestRecreateThatWasKilledLeavesNoVolume: a daemon dies when the successor of a container is there, with an anonymous volume that is new, and the container still
// runs. The next one takes that volume away, and never the one of the container, which its successor was to have too.
func TestRecreateThatWasKilledLeavesNoVolume(t *testing.T) {
	volume := func(targets ...string) *spec.Project {
		return project(service("web", func(s *spec.Service) {
			for _, target := range targets {
				s.Mounts = append(s.Mounts, spec.Mount{Type: "volume", Target: target})
			}
		}))
	}
	for _, tt := range []struct {
		name  string
		up    *spec.Project
		o     ask.UpOptions
		keeps bool // the volume from before
	}{
		{"new volumes are asked for", volume("/data"), ask.UpOptions{ForceRecreate: true, RenewAnon: true}, false},
		{"the file has a new one", volume("/data", "/cache"), ask.UpOptions{}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			beside := 0
			for n := 1; ; n++ {
				died := false
				run(t, func(b *bench) {
					b.up(volume("/data"), ask.UpOptions{})
					b.heal()
					before := b.volumes()
					b.cut.At(n)
					_ = b.engine.Up(b.Context(), tt.up, tt.o, nil) // fails when it is cut
					died = b.cut.Died()
					b.shut()
					b.cut.Over()
					all, err := b.host.Set().Containers.List(context.Background())
					if err != nil {
						b.Fatal(err)
					}
					two := len(all) == 2 && slices.ContainsFunc(all, func(s runtime.State) bool { return s.Status == runtime.Running })
					b.boot()
					b.heal()
					b.up(tt.up, ask.UpOptions{})
					left := strings.Fields(b.volumes())
					if tt.keeps && !slices.Contains(left, before) {
						b.Errorf("killed at operation %d: the volume is lost", n)
					}
					if two {
						beside++
						if len(left) != len(tt.up.Services["web"].Mounts) {
							b.Errorf("killed at operation %d: there are %s", n, left)
						}
					}
					b.same(fmt.Sprintf("killed at operation %d: runs", n), b.running(), "web-1")
				})
				if t.Failed() || !died {
					break
				}
			}
			if beside == 0 && !t.Failed() {
				t.Error("it was never killed while there were two")
			}
		})
	}
}

// TestRemovalThatWasKilledLeavesNoVolume: a container goes with its anonymous volumes, or stays with them, whenever the daemon dies. Those of another, and those
// that have a name, stay.
func TestRemovalThatWasKilledLeavesNoVolume(t *testing.T) {
	p := project(
		service("web", func(s *spec.Service) {
			s.Mounts = []spec.Mount{{Type: "volume", Target: "/a"}, {Type: "volume", Target: "/b"}, {Type: "volume", Source: "data", Target: "/data"}}
		}),
		service("other", func(s *spec.Service) { s.Mounts = []spec.Mount{{Type: "volume", Target: "/a"}} }),
	)
	half := 0
	for n := 1; ; n++ {
		died := false
		run(t, func(b *bench) {
			b.up(p, ask.UpOptions{})
			b.heal()
			b.cut.At(n)
			_ = b.engine.Remove(b.Context(), "shop", ask.ServiceOptions{Services: []string{"web"}, Stop: true, Volumes: true}, nil) // fails when it is cut
			died = b.cut.Died()
			b.shut()
			b.cut.Over()
			was, err := b.host.Set().Volumes.List(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			b.boot()
			want := 2
			if len(b.rows("shop")) == 2 {
				want = 4
			} else if len(was) > 2 {
				half++
			}
			if left := strings.Fields(b.volumes()); len(left) != want {
				b.Errorf("killed at operation %d: of %d volumes there are %s, expected %d", n, len(was), left, want)
			}
			if err := b.store.Each("discards", func(id string, _ []byte) error { return fmt.Errorf("the store has %s", id) }); err != nil {
				b.Errorf("killed at operation %d: %v", n, err)
			}
		})
		if t.Failed() || !died {
			break
		}
	}
	if half == 0 && !t.Failed() {
		t.Error("it was never killed between the container and its volumes")
	}
}

// TestCreationThatWasKilledLeavesNoVolume: whenever the daemon dies that makes a container with new anonymous volumes, the next one leaves those only that a container has. What a down has
// left with something in it, or without, stays.
func TestCreationThatWasKilledLeavesNoVolume(t *testing.T) {
	p := project(service("web", func(s *spec.Service) {
		s.Mounts = []spec.Mount{{Type: "volume", Target: "/a"}, {Type: "volume", Target: "/b"}}
	}))
	before, half := 2, 0
	for n := 1; ; n++ {
		died := false
		run(t, func(b *bench) {
			b.up(p, ask.UpOptions{})
			b.heal()
			if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{}, nil); err != nil {
				b.Fatal(err)
			}
			b.cut.At(n)
			_ = b.engine.Up(b.Context(), p, ask.UpOptions{NoStart: true}, nil) // fails when it is cut
			died = b.cut.Died()
			b.shut()
			b.cut.Over()
			was, err := b.host.Set().Volumes.List(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			made, err := b.host.Set().Containers.List(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			if len(was) > before && len(made) == 0 {
				half++
			}
			b.boot()
			b.heal()
			want := before + 2*len(b.rows("shop"))
			if left := strings.Fields(b.volumes()); len(left) != want {
				b.Errorf("killed at operation %d: of %d volumes there are %s, expected %d", n, len(was), left, want)
			}
			if left, err := os.ReadDir(b.roots.InRun("creations")); err != nil && !errors.Is(err, fs.ErrNotExist) || len(left) > 0 {
				b.Errorf("killed at operation %d: notes are left: %v, %v", n, left, err)
			}
		})
		if t.Failed() || !died {
			break
		}
	}
	if half == 0 && !t.Failed() {
		t.Error("it was never killed between the volumes and their container")
	}
}
