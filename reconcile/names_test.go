package reconcile_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// named is a project called name, of one service whose container is called container; "" = as its project has it.
func named(name, container string) *spec.Project {
	p := project(service("web", func(s *spec.Service) { s.ContainerName, s.NetworkMode, s.Networks = container, "none", nil }))
	p.Name, p.Networks, p.Volumes = name, nil, nil
	return p
}

// TestNameIsTakenOnce: of two that want one name at the same time one gets it, whoever they are.
func TestNameIsTakenOnce(t *testing.T) {
	type want func(b *bench) error
	up := func(p *spec.Project) want {
		return func(b *bench) error { return b.engine.Up(b.Context(), p, ask.UpOptions{}, nil) }
	}
	runs := func(project, name string) want {
		return func(b *bench) error {
			_, err := b.engine.Run(b.Context(), named(project, ""), ask.RunOptions{Service: "web", Name: name, Detach: true}, process.IO{}, nil)
			return err
		}
	}
	create := func(name string) want {
		return func(b *bench) error {
			_, _, err := b.engine.Single().Create(b.Context(), single.Want{Name: name, Spec: plan.Spec{Image: "app:1", NetworkMode: "none"}})
			return err
		}
	}
	for name, both := range map[string][2]want{
		"two services":                        {up(named("one", "thing")), up(named("two", "thing"))},
		"two runs":                            {runs("one", "thing"), runs("two", "thing")},
		"a run and a service":                 {runs("one", "thing"), up(named("two", "thing"))},
		"a run and a service of another name": {runs("one", "two-web-1"), up(named("two", ""))},
		"a run and a client":                  {runs("one", "thing"), create("thing")},
		"a client and a service":              {create("thing"), up(named("two", "thing"))},
		"a client and one of its project's":   {create("two-web-1"), up(named("two", ""))},
		"two clients":                         {create("thing"), create("thing")},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				b.host.Fault = func(op string, after bool) error {
					if op == "Images.Prepare" && !after { // whoever looks has looked before anybody is there
						time.Sleep(time.Second)
					}
					return nil
				}
				failed := make(chan error, 2)
				for _, w := range both {
					go func() { failed <- w(b) }()
				}
				one, two := <-failed, <-failed
				if (one == nil) == (two == nil) {
					b.Fatalf("%v, %v", one, two)
				}
				if err := errors.Join(one, two); !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "already in use by container") {
					b.Error(err)
				}
				synctest.Wait()
				if list, err := b.host.Set().Containers.List(b.Context()); err != nil || len(list) != 1 {
					b.Errorf("there are %d containers, %v", len(list), err)
				}
			})
		})
	}
}

// TestWhoHasAName: a name is somebody's from the moment that a container of it is made, whether that runs or not and whichever daemon made it, until it is gone or called otherwise.
func TestWhoHasAName(t *testing.T) {
	run(t, func(b *bench) {
		singles := func() *single.Containers { return b.engine.Single() }
		check := func(when, name string, taken bool) {
			b.Helper()
			id, _, err := singles().Create(b.Context(), single.Want{Name: name, Spec: plan.Spec{Image: "app:1", NetworkMode: "none"}})
			if taken != errors.Is(err, errdefs.ErrConflict) || !taken && err != nil {
				b.Errorf("%s: somebody is to be called %s: %v", when, name, err)
			}
			if err == nil {
				b.must(singles().Remove(b.Context(), id, single.RemoveOptions{Force: true}))
			}
		}
		check("nobody is there", "thing", false)
		b.up(named("shop", "thing"), ask.UpOptions{NoStart: true})
		check("a service's container was made", "thing", true)
		b.reboot()
		check("another daemon has come", "thing", true)
		b.up(named("shop", "thing"), ask.UpOptions{})
		check("it runs", "thing", true)
		if _, err := b.engine.Run(b.Context(), named("shop", "thing"), ask.RunOptions{Service: "web", Name: "thing"}, process.IO{}, nil); !errors.Is(err, errdefs.ErrConflict) {
			b.Errorf("a run is to be called as its service's container: %v", err)
		}
		b.down(ask.DownOptions{})
		check("it was taken down", "thing", false)

		b.alone("this", "")
		_, err := singles().Start(b.Context(), "this")
		b.must(err)
		b.must(singles().Rename(b.Context(), "this", "that"))
		check("it is called otherwise", "this", false)
		check("it is called so now", "that", true)
		b.host.Fault = func(op string, _ bool) error {
			if op == "Containers.Revise" {
				return errors.New("the daemon ends here")
			}
			return nil
		}
		if err := singles().Rename(b.Context(), "that", "theirs"); err == nil {
			b.Error("it was renamed")
		}
		b.host.Fault = nil
		b.reboot()
		check("another daemon has renamed it to the end", "that", false)
		check("another daemon has renamed it to the end", "theirs", true)
		b.must(singles().Remove(b.Context(), "theirs", single.RemoveOptions{Force: true}))
		check("it was removed", "theirs", false)
	})
}
