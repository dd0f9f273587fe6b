package reconcile_test

import (
	"context"
	"fmt"
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
