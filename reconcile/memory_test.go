package reconcile_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/history/book"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/spec"
)

// remembering is run with an engine that keeps a history.
func remembering(t *testing.T, test func(b *bench)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.db")
	run(t, func(b *bench) {
		b.shut()
		b.bootWith(path)
		test(b)
		b.shut()
		b.book.Close()
		b.boot() // what run ends is without one
	})
}

// bootWith is boot with the history at path.
func (b *bench) bootWith(path string) {
	b.Helper()
	b.book = book.Open(path)
	e, err := reconcile.New(b.Context(), b.host.Set(), reconcile.Options{Roots: b.roots, Store: b.store, History: b.book})
	if err != nil {
		b.Fatal(err)
	}
	b.engine, b.path = e, path
}

// rebootWith is the next daemon, with the same history.
func (b *bench) rebootWith() {
	b.Helper()
	b.shut()
	b.book.Close()
	b.bootWith(b.path)
}

func (b *bench) history() []history.Entry {
	b.Helper()
	all, err := b.engine.History(b.Context(), "shop")
	if err != nil {
		b.Fatal(err)
	}
	return all
}

func (b *bench) why(service string) ask.WhyContainer {
	b.Helper()
	w, err := b.engine.Why(b.Context(), "shop", ask.WhyOptions{Service: service, Index: 1})
	if err != nil {
		b.Fatal(err)
	}
	return w.Containers[0]
}

func TestHistoryTellsWhatWasDone(t *testing.T) {
	remembering(t, func(b *bench) {
		first := everyKind("one")
		first.Services["web"].Environment["API_TOKEN"] = "secret-one"
		b.up(first, ask.UpOptions{Command: "up -d --token API_TOKEN=abc"})
		b.up(first, ask.UpOptions{Command: "up -d"}) // nothing to do: not told
		second := everyKind("two")
		second.Services["web"].Environment["API_TOKEN"] = "secret-two"
		b.up(second, ask.UpOptions{Command: "up -d", Scale: map[string]int{"api": 1}})
		b.host.Program = func(runtime.Config) fake.Program { return fake.Program{StartError: errors.New("no such program")} }
		third := everyKind("three")
		if err := b.engine.Up(b.Context(), third, ask.UpOptions{Command: "up -d"}, b.sink); err == nil {
			b.Fatal("an up of what cannot start succeeded")
		}
		b.host.Program = nil
		b.rebootWith()
		all := b.history()
		if len(all) != 3 {
			b.Fatalf("%d entries: %+v", len(all), all)
		}
		one, two, three := all[0], all[1], all[2]
		if one.Outcome != history.Done || len(one.Changes) != 7 || one.Before != "" || one.Duration() < 0 || strings.Contains(one.Command, "abc") {
			b.Errorf("the first: %+v", one)
		}
		if two.Outcome != history.Done || two.Before != one.Project || two.Scale["api"] != 1 {
			b.Errorf("the second: %+v", two)
		}
		told := lines(&ask.Preview{Changes: two.Changes})
		if !strings.Contains(told, `environment.LEVEL: "one" -> "two"`) || !strings.Contains(told, "environment.API_TOKEN: (hidden) -> (hidden)") {
			b.Errorf("the second's changes:\n%s", told)
		}
		if three.Outcome != history.Failed || !strings.Contains(three.Error, "no such program") {
			b.Errorf("the third: %+v", three)
		}

		// Back over the failure to the first, by the ordinary way.
		r, err := b.engine.Revision(b.Context(), "shop", 2)
		if err != nil || r.Number != 1 || r.Project.Services["db"].Environment["LEVEL"] != "one" {
			b.Fatalf("%+v, %v", r, err)
		}
		b.up(r.Project, ask.UpOptions{Command: "rollback 2", Scale: r.Scale})
		if got := b.rows("shop"); len(got) != 5 || got["shop-web-1"].State != "running" {
			b.Errorf("%+v", got)
		}
		if r, err = b.engine.Revision(b.Context(), "shop", 1); err != nil || r.Number != 2 || r.Scale["api"] != 1 {
			b.Errorf("there and back: %+v, %v", r, err)
		}
		if _, err := b.engine.Revision(b.Context(), "shop", 9); !errors.Is(err, errdefs.ErrNotFound) {
			b.Errorf("too far: %v", err)
		}
		for _, volumes := range []bool{false, true} {
			if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{Volumes: volumes}, b.sink); err != nil {
				b.Fatal(err)
			}
			if left := len(b.history()); (left == 0) != volumes {
				b.Errorf("after down, volumes %t: %d entries", volumes, left)
			}
		}
	})
}

func TestAKilledUpIsInterrupted(t *testing.T) {
	remembering(t, func(b *bench) {
		kill := make(chan struct{})
		b.host.Fault = func(op string, after bool) error {
			if op == "Containers.Start" && !after {
				<-kill
				return errCrash
			}
			return nil
		}
		done := make(chan error, 1)
		go func() {
			done <- b.engine.Up(b.Context(), project(service("web")), ask.UpOptions{Command: "up"}, nil)
		}()
		synctest.Wait()
		if all := b.history(); len(all) != 1 || all[0].Outcome != history.UnderWay {
			b.Errorf("%+v", all)
		}
		b.book.Close() // as a kill: nothing more is written
		close(kill)
		<-done
		b.host.Fault = nil
		b.rebootWith()
		if all := b.history(); len(all) != 1 || all[0].Outcome != history.Interrupted {
			b.Errorf("the next daemon sees %+v", all)
		}
	})
}

func TestABrokenHistoryStopsNothingAndIsToldOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, func(b *bench) {
		b.shut()
		b.bootWith(path)
		b.up(project(service("web")), ask.UpOptions{})
		b.up(project(service("web", func(s *spec.Service) { s.Environment["A"] = "b" })), ask.UpOptions{})
		told := 0
		for _, l := range b.said() {
			if strings.Contains(l, "Not recorded in the history") {
				told++
			}
		}
		if told != 1 {
			b.Errorf("told %d times: %v", told, b.said())
		}
		if _, err := b.engine.History(b.Context(), "shop"); err == nil {
			b.Error("History says nothing of it")
		}
		if w := b.why("web"); w.Start == nil || w.Start.Action != plan.Replace {
			b.Errorf("what this daemon has done is known all the same: %+v", w.Start)
		}
	})
}

func TestWhyTellsTheCriticalPath(t *testing.T) {
	remembering(t, func(b *bench) {
		began := time.Now()
		b.host.ExecResult = func(c runtime.Config, p runtime.Process) (int, time.Duration, string) {
			if time.Since(began) < 3*time.Second {
				return 1, 0, "not yet"
			}
			return 0, 0, ""
		}
		b.up(project(service("db", healthy), service("web", after("db", spec.ServiceHealthy, false)), service("side")), ask.UpOptions{Command: "up -d"})
		check := func(when string) {
			b.Helper()
			w := b.why("web")
			if w.Start == nil || w.Start.Command != "up -d" || w.Start.Number != 1 || w.Start.Action != plan.Create || len(w.Start.Reasons) != 1 {
				b.Fatalf("%s: %+v", when, w.Start)
			}
			var path []string
			for i, s := range w.Start.Path {
				path = append(path, s.What)
				if s.End.Before(s.Begin) || i > 0 && s.Begin.Before(w.Start.Path[i-1].Begin) {
					b.Errorf("%s: out of order: %+v", when, w.Start.Path)
				}
				if s.What == "wait for db to be healthy" && (s.End.Sub(s.Begin) < 2*time.Second || s.Probes < 3) {
					b.Errorf("%s: %+v", when, s)
				}
			}
			if got := strings.Join(path[max(0, len(path)-5):], "; "); got != "set up the network of container shop-db-1; start container shop-db-1; wait for db to be healthy; set up the network of container shop-web-1; start container shop-web-1" {
				b.Errorf("%s: %s", when, strings.Join(path, "; "))
			}
			if h := b.why("db").Start.Health; h == nil || h.Probes < 3 || h.At.Sub(began) < 3*time.Second {
				b.Errorf("%s: db's health: %+v", when, h)
			}
		}
		check("at once")
		b.rebootWith()
		check("the next daemon")
	})
}

func TestWhyTellsRestartsEndsAndProbes(t *testing.T) {
	remembering(t, func(b *bench) {
		b.host.Program = func(c runtime.Config) fake.Program {
			if c.Labels["com.docker.compose.service"] == "crash" {
				return fake.Program{For: 3 * time.Second, Code: 7, OOM: true}
			}
			return fake.Program{}
		}
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) { return 4, 0, "no answer\x1b[2J" }
		b.up(project(service("crash", func(s *spec.Service) { s.Restart.Name = "always" }), service("ill", healthy), service("web")), ask.UpOptions{Command: "up -d"})
		time.Sleep(5 * time.Second)
		w := b.why("crash")
		if w.Restart == nil || w.Restart.Count < 1 || !strings.Contains(w.Restart.Cause, "restart policy (always): it had exited with code 7 (a process of it was killed because it was out of memory)") {
			b.Errorf("%+v", w.Restart)
		}
		if w.Exit == nil || w.Exit.Code != 7 || !w.Exit.OOM {
			b.Errorf("%+v", w.Exit)
		}
		ill := b.why("ill")
		if got := strings.Join(ill.Lines(), "\n"); !strings.Contains(got, "its last health check exited with code 4: no answer") || strings.Contains(got, "\x1b") {
			b.Errorf("%q", got)
		}
		if err := b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{Services: []string{"web"}}, nil); err != nil {
			b.Fatal(err)
		}
		if s := b.why("web").Start; s == nil || s.Command != "restart" || s.Action != plan.Restart || len(s.Path) != 4 {
			b.Errorf("%+v", s)
		}
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Services: []string{"web"}}, nil); err != nil {
			b.Fatal(err)
		}
		if !b.why("web").Stopped || b.why("ill").Stopped {
			b.Error("who was stopped is not told")
		}
		if _, err := b.engine.Why(b.Context(), "shop", ask.WhyOptions{Service: "nobody"}); !errors.Is(err, errdefs.ErrNotFound) {
			b.Errorf("%v", err)
		}
	})
}

// TestWhyTellsOfWhatIsGone: what could not be started at all was taken away again, and the up that came to that is what is asked for.
func TestWhyTellsOfWhatIsGone(t *testing.T) {
	remembering(t, func(b *bench) {
		b.host.Program = func(runtime.Config) fake.Program { return fake.Program{StartError: errors.New("no such program")} }
		if err := b.engine.Up(b.Context(), project(service("web")), ask.UpOptions{Command: "up -d"}, b.sink); err == nil {
			b.Fatal("it came up")
		}
		w, err := b.engine.Why(b.Context(), "shop", ask.WhyOptions{Service: "web"})
		if err != nil || len(w.Containers) != 0 || w.Unfinished == nil || !strings.Contains(w.Unfinished.Error, "no such program") {
			b.Errorf("%+v, %v", w, err)
		}
	})
}

func TestAFailedUpEndsWithWhatWhyTells(t *testing.T) {
	run(t, func(b *bench) {
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) { return 4, 0, "no answer" }
		p := project(service("db", healthy), service("web", after("db", spec.ServiceHealthy, false)))
		err := b.engine.Up(b.Context(), p, ask.UpOptions{}, nil)
		ill, why := false, b.why("db")
		for _, l := range why.Lines() {
			ill = true
			if err == nil || !strings.Contains(err.Error(), l) {
				b.Errorf("up does not say %q: %v", l, err)
			}
		}
		if !ill {
			b.Error("why says nothing")
		}
		slow := service("slow", healthy, func(s *spec.Service) { s.HealthCheck.Interval = time.Minute })
		err = b.engine.Up(b.Context(), project(slow), ask.UpOptions{Wait: true, WaitTimeout: time.Second}, nil)
		if err == nil || !strings.Contains(err.Error(), "not healthy after 1s: container shop-slow-1 is not healthy yet") || !strings.Contains(err.Error(), "no answer") {
			b.Errorf("an up that took too long: %v", err)
		}
	})
}

func TestGCFindsWhatNobodyHas(t *testing.T) {
	run(t, func(b *bench) {
		b.up(everyKind("one"), ask.UpOptions{})
		gc := func(check bool) *ask.Garbage {
			b.Helper()
			g, err := b.engine.GC(b.Context(), ask.GCOptions{Check: check})
			if err != nil {
				b.Fatal(err)
			}
			return g
		}
		if g := gc(true); len(g.Found) > 0 {
			b.Errorf("a clean host has garbage: %+v", g)
		}
		b.host.Strew("networks", "bridge sb1")
		b.host.Strew("images", "layers/x")
		for _, dir := range []string{"shop", "gone"} {
			if err := os.MkdirAll(filepath.Join(b.roots.State, "logs", dir), 0o700); err != nil {
				b.Fatal(err)
			}
		}
		before := len(b.host.Left())
		if g := gc(true); len(g.Found) != 3 || g.Removed {
			b.Errorf("found %+v", g)
		}
		if g := gc(false); len(g.Found) != 3 || !g.Removed {
			b.Errorf("removed %+v", g)
		}
		if g := gc(true); len(g.Found) > 0 {
			b.Errorf("afterwards: %+v", g)
		}
		if _, err := os.Stat(filepath.Join(b.roots.State, "logs", "shop")); err != nil || len(b.host.Left()) != before {
			b.Errorf("it took what is somebody's: %v", err)
		}
	})
}

func TestGCWaitsForWhatIsUnderWay(t *testing.T) {
	run(t, func(b *bench) {
		hold := make(chan struct{})
		b.host.Fault = func(op string, after bool) error {
			if op == "Containers.Create" && !after {
				<-hold // its snapshot is there and it is not
			}
			return nil
		}
		up, gc := make(chan error, 1), make(chan *ask.Garbage, 1)
		go func() { up <- b.engine.Up(b.Context(), project(service("web")), ask.UpOptions{}, nil) }()
		synctest.Wait()
		go func() {
			g, err := b.engine.GC(b.Context(), ask.GCOptions{})
			if err != nil {
				b.Error(err)
			}
			gc <- g
		}()
		synctest.Wait()
		select {
		case <-gc:
			b.Error("it did not wait")
		default:
		}
		close(hold)
		if err := <-up; err != nil {
			b.Error(err)
		}
		if g := <-gc; len(g.Found) > 0 {
			b.Errorf("it took %+v", g.Found)
		}
	})
}

func TestDumpTellsAllButSecrets(t *testing.T) {
	run(t, func(b *bench) {
		p := everyKind("one")
		p.Services["web"].Environment["API_TOKEN"] = "hunter2"
		p.Services["web"].Command = []string{"serve", "--db=postgres://u:hunter2@db/x"}
		p.Services["web"].Secrets = []spec.FileUse{{Source: "pin", Target: "/run/secrets/pin"}}
		pin := func(content string) (digest string) {
			p.Secrets = map[string]*spec.FileObject{"pin": {Key: "pin", Environment: "PIN", Content: []byte(content)}}
			return fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
		}
		first := pin("1234")
		b.up(p, ask.UpOptions{})
		p.Services["web"].Environment["API_TOKEN"] = "hunter3"
		second := pin("5678")
		d, err := b.engine.Dump(b.Context(), "shop", p)
		if err != nil {
			b.Fatal(err)
		}
		all := string(d.Desired) + string(d.Observed) + string(d.Steps)
		for _, c := range d.Changes {
			all += fmt.Sprint(c.Reasons)
		}
		if !strings.Contains(all, "secrets[0].digest") || strings.Contains(all, first) || strings.Contains(all, second) {
			b.Errorf("from the digest of a short secret it can be guessed: %s", all)
		}
		if strings.Contains(all, "hunter") || !strings.Contains(all, "(hidden)") || !strings.Contains(all, "LEVEL") {
			b.Errorf("%s", all)
		}
		if len(d.Changes) == 0 || len(d.Graph.Resources) != 6 || len(d.Graph.Steps) == 0 || len(d.Graph.Edges) == 0 {
			b.Errorf("%+v", d.Graph)
		}
		if d, err = b.engine.Dump(b.Context(), "shop", nil); err != nil || len(d.Graph.Steps) != 0 {
			b.Errorf("of the last up: %+v, %v", d, err)
		}
		if _, err := b.engine.Dump(b.Context(), "nobody", nil); !errors.Is(err, errdefs.ErrNotFound) {
			b.Errorf("%v", err)
		}
	})
}
