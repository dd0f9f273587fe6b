package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/spec"
)

// sealed is a store that nobody may write to while shut is set.
type sealed struct {
	*fake.Store
	*testing.T
	shut atomic.Bool
}

func (s *sealed) Put(bucket, key string, v []byte) error {
	if s.shut.Load() {
		s.Errorf("%s %s is written", bucket, key)
	}
	return s.Store.Put(bucket, key, v)
}

func (s *sealed) Delete(bucket, key string) error {
	if s.shut.Load() {
		s.Errorf("%s %s is deleted", bucket, key)
	}
	return s.Store.Delete(bucket, key)
}

// only has do change nothing: no operation of a driver that changes something begins, and the store is not written to.
func (b *bench) only(do func()) {
	b.Helper()
	b.shut()
	store := &sealed{Store: b.store, T: b.T}
	e, err := reconcile.New(b.Context(), b.host.Set(), reconcile.Options{Roots: b.roots, Store: store})
	if err != nil {
		b.Fatal(err)
	}
	b.engine = e
	synctest.Wait() // a daemon that begins keeps room for the next starts of what runs
	store.shut.Store(true)
	b.host.Fault = func(op string, _ bool) error {
		b.Errorf("%s was called", op)
		return errors.New("a driver's call that changes something")
	}
	do()
	b.host.Fault = nil
	store.shut.Store(false)
}

// lines are a preview's changes, a line each.
func lines(v *ask.Preview) string {
	var out []string
	for _, c := range v.Changes {
		var why []string
		for _, r := range c.Reasons {
			why = append(why, r.String())
		}
		out = append(out, string(c.Action)+" "+string(c.ID.Kind)+" "+c.Name+": "+strings.Join(why, "; "))
	}
	return strings.Join(out, "\n")
}

func (b *bench) plan(p *spec.Project, o ask.UpOptions) *ask.Preview {
	b.Helper()
	v, err := b.engine.Plan(b.Context(), p, o)
	if err != nil {
		b.Fatal(err)
	}
	return v
}

func (b *bench) drift() *ask.Preview {
	b.Helper()
	v, err := b.engine.Drift(b.Context(), "shop")
	if err != nil {
		b.Fatal(err)
	}
	return v
}

func (b *bench) same(what, got, want string) {
	b.Helper()
	if want = strings.TrimSpace(want); got != want {
		b.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
	}
}

func TestPlanSaysWhatUpWouldDoAndChangesNothing(t *testing.T) {
	run(t, func(b *bench) {
		first := everyKind("one")
		first.Services["web"].Environment["API_TOKEN"] = "secret-one"
		b.only(func() {
			v := b.plan(first, ask.UpOptions{})
			b.same("of nothing", lines(v), `
create network shop_default: it does not exist
create volume shop_data: it does not exist
create container shop-api-1: it does not exist
create container shop-api-2: it does not exist
create container shop-db-1: it does not exist
create container shop-side-1: it does not exist
create container shop-web-1: it does not exist`)
		})
		if _, err := b.engine.Drift(b.Context(), "shop"); !errors.Is(err, errdefs.ErrNotFound) {
			b.Errorf("drift of a project that was never up: %v", err)
		}
		b.up(first, ask.UpOptions{})

		second := everyKind("two")
		second.Services["web"].Environment["API_TOKEN"] = "secret-two"
		second.Services["side"].PullPolicy = "always"
		second.Services["new"] = service("new", func(s *spec.Service) { s.Image = "app:3" })
		delete(second.Services, "api")
		second.Services["web"].DependsOn = map[string]spec.Dependency{}
		b.only(func() {
			b.same("of what is up", lines(b.plan(first, ask.UpOptions{})), "")
			v := b.plan(second, ask.UpOptions{RemoveOrphans: true})
			b.same("of a change", lines(v), `
ask image app:1: its pull policy asks for a look at the registry
pull image app:3: it is not on this host
remove container shop-api-1: the file has no service api
remove container shop-api-2: the file has no service api
recreate container shop-db-1: environment.LEVEL: "one" -> "two"
create container shop-new-1: it does not exist
restart container shop-side-1: web, which it depends on with restart: true, is made anew or restarted
recreate container shop-web-1: environment.API_TOKEN: (hidden) -> (hidden)`)
			waiting := everyKind("one")
			waiting.Services["web"].Environment["API_TOKEN"] = "secret-one"
			waiting.Services["side"].PullPolicy = "always"
			b.same("of a pull policy", lines(b.plan(waiting, ask.UpOptions{})),
				"ask image app:1: its pull policy asks for a look at the registry; with another image its containers are recreated")
			if text, err := json.Marshal(v); err != nil || strings.Contains(string(text), "secret-") {
				b.Errorf("%v: %s", err, text)
			}
			v = b.plan(second, ask.UpOptions{Services: []string{"db"}, NoRecreate: true})
			b.same("with --no-recreate", lines(v), "")
			if len(v.Warnings) != 1 || v.Warnings[0].Code != "orphans" {
				b.Errorf("warnings: %v", v.Warnings)
			}
			if v = b.plan(second, ask.UpOptions{Services: []string{"db"}, NoRecreate: true, IgnoreOrphans: true}); len(v.Warnings) != 0 {
				b.Errorf("warnings although orphans are to be ignored: %v", v.Warnings)
			}
		})
	})
}

func TestPlanTellsWhatUpWouldRefuse(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Taken["8080/tcp"] = "nginx"
		p := everyKind("one")
		b.only(func() {
			v := b.plan(p, ask.UpOptions{})
			if len(v.Faults) != 1 || v.Faults[0].Code != "port-taken" || len(v.Changes) == 0 {
				b.Errorf("faults %v, changes %s", v.Faults, lines(v))
			}
			p.Services["web"].Image, p.Services["web"].PullPolicy = "app:3", "never"
			if v = b.plan(p, ask.UpOptions{}); len(v.Faults) != 1 || v.Faults[0].Code != "image-not-local" {
				b.Errorf("faults %v", v.Faults)
			}
			if _, err := b.engine.Plan(b.Context(), p, ask.UpOptions{Scale: map[string]int{"nobody": 2}}); err == nil {
				b.Error("a service that is not there is scaled")
			}
		})
	})
}

// An up does what its plan has said, and then there is nothing left of it.
func TestUpDoesWhatWasPlanned(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Registry["app:3"] = fake.Image("app:3", v1.Config{Cmd: []string{"serve"}})
		p := everyKind("one")
		p.Services["db"].Image = "app:3"
		if v := b.plan(p, ask.UpOptions{}); !strings.HasPrefix(lines(v), "pull image app:3") {
			b.Errorf("planned %s", lines(v))
		}
		b.up(p, ask.UpOptions{})
		b.same("after the up", lines(b.plan(p, ask.UpOptions{})), "")
		b.same("drift after the up", lines(b.drift()), "")
	})
}

func TestDriftNamesEachDifference(t *testing.T) {
	dir := t.TempDir()
	run(t, func(b *bench) {
		file := filepath.Join(dir, "site.conf")
		if err := os.WriteFile(file, []byte("one"), 0o600); err != nil {
			b.Fatal(err)
		}
		p := everyKind("one")
		p.Configs = map[string]*spec.FileObject{"site": {File: file}}
		p.Services["conf"] = service("conf", func(s *spec.Service) { s.Configs = []spec.FileUse{{Source: "site", Target: "/site"}} })
		b.up(p, ask.UpOptions{})
		b.only(func() { b.same("of what is as it should be", lines(b.drift()), "") })

		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Services: []string{"db"}}, b.sink); err != nil {
			b.Fatal(err)
		}
		if err := b.engine.Remove(b.Context(), "shop", ask.ServiceOptions{Services: []string{"api"}, Stop: true}, b.sink); err != nil {
			b.Fatal(err)
		}
		set := b.host.Set()
		if err := set.Volumes.Delete(context.Background(), "shop_data"); err != nil {
			b.Fatal(err)
		}
		if err := set.Networks.Teardown(context.Background(), b.rows("shop")["shop-web-1"].ID); err != nil {
			b.Fatal(err)
		}
		if err := os.Remove(file); err != nil {
			b.Fatal(err)
		}
		b.only(func() {
			v := b.drift()
			got := lines(v)
			b.same("of a host that somebody has been at", got[:strings.Index(got, "recreate")]+got[strings.Index(got, "start container shop-db"):], `
create volume shop_data: it does not exist
create container shop-api-1: it does not exist; it stays so until a command starts it
create container shop-api-2: it does not exist; it stays so until a command starts it
start container shop-db-1: it has exited with code 143; it stays so until a command starts it
mend container shop-web-1: its network namespace is gone`)
			if !strings.Contains(got, "recreate container shop-conf-1: configs[0].digest: ") || len(v.Faults) != 1 || v.Faults[0].Code != "missing-config" {
				b.Errorf("the config: %s, %v", got, v.Faults)
			}
		})
	})
}
