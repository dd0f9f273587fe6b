package reconcile_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

// TestOfflineTellsAllFirst: of an up that may fetch nothing everything that is missing is told before anything is done, also where a build that could be done would come before the plan, because containers
// have its image; a saved plan and a run the same.
func TestOfflineTellsAllFirst(t *testing.T) {
	w := newWorkshop(t)
	web, api := w.context(t, "web"), w.context(t, "api")
	run(t, func(b *bench) {
		w.watch(b.host, "shop-web", "shop-api")
		p := project(builds("web", web), builds("api", api, func(s *spec.Service) { s.Image = "" }), service("db"), service("cache"))
		b.up(p, ask.UpOptions{Services: []string{"web"}})
		built := len(w.built())
		p.Services["db"].Image, p.Services["cache"].PullPolicy = "nowhere:1", "always"
		b.host.Fetches = map[string][]*build.Error{"shop-api": {{Line: 3, Instruction: "FROM base:2", Err: &build.OfflineError{What: "base:2"}}}}
		all := []string{"service db needs nowhere:1", "the image of service api needs base:2: FROM base:2"}
		refused := func(what string, err error, want ...string) {
			b.Helper()
			for _, text := range want {
				if err == nil || !strings.Contains(err.Error(), text) {
					b.Errorf("%s: error is %v, expected %q in it", what, err, text)
				}
			}
		}
		o := ask.UpOptions{Offline: true, Build: true}
		ops := b.changes(func() {
			refused("up", b.engine.Up(b.Context(), p, o, b.sink), all...)
			refused("create", b.engine.Up(b.Context(), p, ask.UpOptions{Offline: true, Build: true, NoStart: true}, b.sink), all...)
			refused("pull", b.engine.Pull(b.Context(), p, nil, ask.PullOffline, b.sink), all[:1]...)
			refused("build", b.engine.Build(b.Context(), p, ask.BuildOptions{Offline: true}, b.sink), all[1:]...)
		})
		if len(ops) > 0 || len(w.built()) != built {
			b.Errorf("something was done: %v; built: %v", ops, w.built()[built:])
		}
		saved, err := b.engine.Save(b.Context(), p, o)
		if err != nil {
			b.Fatal(err)
		}
		var told []string
		for _, d := range saved.Preview.Faults {
			told = append(told, d.Detail)
		}
		if saved.File != nil || len(told) != 2 || !slices.Contains(told, all[0]) || !slices.Contains(told, all[1]) {
			b.Errorf("a saved plan has the faults %q, expected %q", told, all)
		}
		// What is not asked for is no matter.
		b.up(p, ask.UpOptions{Offline: true, Build: true, Services: []string{"web"}})
		if len(w.built()) != built+1 {
			b.Errorf("built %v, expected web", w.built()[built:])
		}
	})
}
