package reconcile_test

import (
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/spec"
)

// An image that is lent by volumes_from, by way of others too, is held by each that has it mounted: the lender may go before it.
func TestALentImageIsHeldByWhoHasIt(t *testing.T) {
	run(t, func(b *bench) {
		b.host.AddImage("pages:1", v1.Config{})
		from := func(lender string) func(*spec.Service) {
			return func(s *spec.Service) {
				s.VolumesFrom = []string{lender}
				s.DependsOn[lender] = spec.Dependency{Condition: spec.ServiceStarted, Required: true}
			}
		}
		p := project(service("app", func(s *spec.Service) {
			s.Mounts = []spec.Mount{{Type: "image", Source: "pages:1", Target: "/pages", Subpath: "en"}}
		}), service("lent", from("app")), service("further", from("lent")))
		b.up(p, ask.UpOptions{})
		for name, c := range b.rows("shop") {
			st, err := b.host.Set().Containers.List(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			for _, s := range st {
				if s.ID != c.ID {
					continue
				}
				i := slices.IndexFunc(s.Config.Mounts, func(m mount.Mount) bool { return m.Target == "/pages" })
				if i < 0 {
					b.Errorf("%s has no /pages", name)
					continue
				}
				if m := s.Config.Mounts[i]; m.Subpath != "en" || !strings.Contains(m.Lower[0], c.ID) {
					b.Errorf("%s, which is %s, has %+v", name, c.ID, m)
				}
			}
		}
		if err := b.engine.Remove(b.Context(), "shop", ask.ServiceOptions{Services: []string{"app"}, Stop: true}, nil); err != nil {
			b.Fatal(err)
		}
		if err := b.host.Set().Images.Delete(b.Context(), "pages:1"); err == nil {
			b.Error("the image that lent and further have mounted was removed")
		}
	})
}
