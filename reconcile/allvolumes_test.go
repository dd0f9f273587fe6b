package reconcile_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/spec"
)

func (b *bench) volumes() string {
	b.Helper()
	all, err := b.engine.AllVolumes().List(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var names []string
	for _, d := range all {
		names = append(names, d.Name)
	}
	return strings.Join(names, " ")
}

// TestAllVolumesAreKept: a volume that belongs to no file is no project's, whatever it is labelled.
func TestAllVolumesAreKept(t *testing.T) {
	run(t, func(b *bench) {
		all := b.engine.AllVolumes()
		made, err := all.Create(b.Context(), resource.VolumeRequest{Name: "shop_mine", Labels: composes})
		if err != nil || made.Labels["com.docker.compose.project"] != "shop" || made.Project != "" || made.Driver != "local" || made.Path == "" {
			t.Fatalf("%+v, %v", made, err)
		}
		if again, err := all.Create(b.Context(), resource.VolumeRequest{Name: "shop_mine", Labels: map[string]string{"other": ""}}); err != nil || again.Labels["com.docker.compose.project"] != "shop" {
			t.Errorf("once more: %+v, %v", again, err)
		}
		nobody, err := all.Create(b.Context(), resource.VolumeRequest{})
		if _, marked := nobody.Labels["com.docker.volume.anonymous"]; err != nil || len(nobody.Name) != 64 || !nobody.Anonymous || !marked {
			t.Errorf("%+v, %v", nobody, err)
		}
		b.up(project(service("web")), ask.UpOptions{})
		if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{Volumes: true}, b.sink); err != nil {
			t.Error(err)
		}
		if g, err := b.engine.GC(b.Context(), ask.GCOptions{}); err != nil || len(g.Found) != 0 {
			t.Errorf("it is garbage: %+v, %v", g, err)
		}
		b.reboot()
		all = b.engine.AllVolumes()
		if got := b.volumes(); !strings.Contains(got, "shop_mine") || !strings.Contains(got, nobody.Name) {
			t.Errorf("left are %s", got)
		}
		gone, _, err := all.Prune(b.Context(), func(d resource.VolumeDetail) bool { return d.Anonymous })
		if err != nil || !slices.Equal(gone, []string{nobody.Name}) {
			t.Errorf("pruned %v, %v", gone, err)
		}
		if err := all.Remove(b.Context(), "shop_mine"); err != nil {
			t.Error(err)
		}
		if err := all.Remove(b.Context(), "shop_mine"); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("%v", err)
		}
		if left := b.host.Left(); len(left) > 0 {
			t.Errorf("left %v", left)
		}
	})
}

// TestAllVolumesInUse: what a container has, of whatever state and project, is not taken from it.
func TestAllVolumesInUse(t *testing.T) {
	run(t, func(b *bench) {
		b.up(project(service("db", func(s *spec.Service) {
			s.Mounts = []spec.Mount{{Type: "volume", Source: "data", Target: "/data"}}
		})), ask.UpOptions{})
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, b.sink); err != nil {
			t.Fatal(err)
		}
		all := b.engine.AllVolumes()
		d, err := all.Inspect(b.Context(), "shop_data")
		if err != nil || d.Project != "shop" || len(d.Users) != 1 {
			t.Errorf("%+v, %v", d, err)
		}
		if err := all.Remove(b.Context(), "shop_data"); !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), d.Users[0]) {
			t.Errorf("%v", err)
		}
		if gone, _, err := all.Prune(b.Context(), func(resource.VolumeDetail) bool { return true }); err != nil || len(gone) != 0 {
			t.Errorf("pruned %v, %v", gone, err)
		}
		b.down(ask.DownOptions{Volumes: true})
	})
}

// TestAllVolumesWhileContainersAreMade: a volume is not taken away between its making and that of the container which it is for, whoever's that is.
func TestAllVolumesWhileContainersAreMade(t *testing.T) {
	mounts := []spec.Mount{{Type: "volume", Source: "data", Target: "/data"}}
	for what, c := range map[string]struct {
		volume string
		make   func(b *bench) error
	}{
		"of a project": {"shop_data", func(b *bench) error {
			return b.engine.Up(b.Context(), project(service("db", func(s *spec.Service) { s.Mounts = mounts })), ask.UpOptions{}, b.sink)
		}},
		"of nobody": {"data", func(b *bench) error {
			_, _, err := b.engine.Single().Create(b.Context(), single.Want{Spec: plan.Spec{Image: "app:1", NetworkMode: "none", Mounts: []plan.Mount{{Type: "volume", Source: "data", Target: "/data"}}}})
			return err
		}},
	} {
		run(t, func(b *bench) {
			all := b.engine.AllVolumes()
			removed := make(chan error, 1)
			b.host.Fault = func(op string, after bool) error {
				if op == "Containers.Create" && !after {
					go func() { removed <- all.Remove(b.Context(), c.volume) }()
					synctest.Wait()
				}
				return nil
			}
			b.must(c.make(b))
			if err := <-removed; !errors.Is(err, errdefs.ErrConflict) {
				t.Errorf("%s: %v", what, err)
			}
			if _, err := all.Inspect(b.Context(), c.volume); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		})
	}
}

// TestAllVolumesShowLabelsAsGiven: also those whose names are ours.
func TestAllVolumesShowLabelsAsGiven(t *testing.T) {
	run(t, func(b *bench) {
		given := map[string]string{"dev.stackrun.resource": "theirs", "a": "b"}
		for range 2 {
			d, err := b.engine.AllVolumes().Create(b.Context(), resource.VolumeRequest{Name: "v", Labels: given})
			if err != nil || !maps.Equal(d.Labels, given) {
				t.Errorf("%v, %v", d.Labels, err)
			}
		}
	})
}
