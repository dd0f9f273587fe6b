package reconcile_test

import (
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

// TestInventory: images says what each container was made from, also when that is here no more; volumes says what was made for the project, and whose
// containers have it.
func TestInventory(t *testing.T) {
	run(t, func(b *bench) {
		p := project(
			service("web", func(s *spec.Service) {
				s.Replicas = 2
				s.Mounts = []spec.Mount{{Type: "volume", Source: "data", Target: "/data"}, {Type: "volume", Target: "/cache"}}
			}),
			service("db", func(s *spec.Service) { s.Image = "app:2" }),
		)
		b.up(p, ask.UpOptions{})
		b.host.AddImage("app:2", v1.Config{Cmd: []string{"another"}}) // the name goes to another one
		images, err := b.engine.Images(b.Context(), "shop")
		if err != nil || len(images) != 3 {
			b.Fatalf("%v, %+v", err, images)
		}
		if i := images[0]; i.Container != "shop-db-1" || i.Service != "db" || i.Ref != "app:2" || i.Repository != "app" || i.Tag != "2" || !strings.HasPrefix(i.ID, "sha256:") || !i.PulledAt.IsZero() {
			b.Errorf("of an image that is gone: %+v", i)
		}
		if i := images[2]; i.Container != "shop-web-2" || i.Ref != "app:1" || i.ID == images[0].ID || i.Platform == "" {
			b.Errorf("%+v", i)
		}
		volumes, err := b.engine.Volumes(b.Context(), "shop")
		if err != nil || len(volumes) != 3 {
			b.Fatalf("%v, %+v", err, volumes)
		}
		named := volumes[slices.IndexFunc(volumes, func(v ask.Volume) bool { return v.Name == "shop_data" })]
		if named.Anonymous || !slices.Equal(named.Services, []string{"web"}) || named.Labels["com.docker.compose.volume"] != "data" || named.Labels["dev.stackrun.want"] != "" {
			b.Errorf("%+v", named)
		}
		if others, err := b.engine.Volumes(b.Context(), "other"); err != nil || len(others) != 0 {
			b.Errorf("another project: %v, %+v", err, others)
		}
	})
}
