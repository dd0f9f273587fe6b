package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history/book"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// bench is an engine on a host in memory, in fake time.
type bench struct {
	*testing.T
	host   *fake.Host
	store  *fake.Store
	cut    *fake.Cut // of both
	engine *reconcile.Engine
	roots  roots.Roots
	ports  map[string]string // of replicas that are updated in turns
	book   *book.Book        // of remembering
	path   string
	kernel string // which boot of the host it is; "" = this one

	mu     sync.Mutex
	events []event.Event
}

// run calls test in a bubble of fake time. The host has images app:1 and app:2.
func run(t *testing.T, test func(b *bench)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		cut := new(fake.Cut)
		b := &bench{T: t, host: fake.New(), store: &fake.Store{Cut: cut}, cut: cut, roots: roots.Roots{State: dir + "/state", Run: dir + "/run"}, ports: map[string]string{}}
		b.host.Cut = cut
		for _, ref := range []string{"app:1", "app:2"} {
			b.host.AddImage(ref, v1.Config{Cmd: []string{"serve"}, Env: []string{"FROM_IMAGE=1"}})
		}
		b.boot()
		defer func() { b.shut() }()
		test(b)
	})
}

func (b *bench) boot() {
	b.Helper()
	e, err := reconcile.New(b.Context(), b.host.Set(), reconcile.Options{Roots: b.roots, Store: b.store, Boot: b.kernel})
	if err != nil {
		b.Fatal(err)
	}
	b.engine = e
}

func (b *bench) shut() {
	if err := b.engine.Close(context.Background()); err != nil {
		b.Error(err)
	}
}

// reboot is the end of one daemon and the beginning of the next.
func (b *bench) reboot() {
	b.Helper()
	b.shut()
	b.boot()
}

func (b *bench) sink(ev event.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, ev)
}

// said are the events so far, a line each, without times.
func (b *bench) said() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, ev := range b.events {
		out = append(out, fmt.Sprintf("%s %s %s", ev.Kind, ev.Name, ev.Text))
	}
	return out
}

func (b *bench) up(p *spec.Project, o ask.UpOptions) {
	b.Helper()
	if err := b.engine.Up(b.Context(), p, o, b.sink); err != nil {
		b.Fatalf("up: %v", err)
	}
}

// down takes the project down: nothing is left of it.
func (b *bench) down(o ask.DownOptions) {
	b.Helper()
	if err := b.engine.Down(b.Context(), "shop", o, b.sink); err != nil {
		b.Fatal(err)
	}
	if left := b.host.Left(); len(left) > 0 {
		b.Errorf("left %v", left)
	}
}

// changes are the changing operations of do, and none of what was under way before: a container that has ended is tidied up in the background.
func (b *bench) changes(do func()) []string {
	synctest.Wait()
	before := len(b.host.Ops())
	do()
	return b.host.Ops()[before:]
}

func (b *bench) rows(project string) map[string]ask.Container {
	b.Helper()
	list, err := b.engine.Containers(b.Context(), project)
	if err != nil {
		b.Fatal(err)
	}
	m := map[string]ask.Container{}
	for _, c := range list {
		m[c.Name] = c
	}
	return m
}

func project(services ...*spec.Service) *spec.Project {
	p := &spec.Project{
		Name: "shop", Dir: "/src/shop", Files: []string{"/src/shop/compose.yaml"}, Services: map[string]*spec.Service{},
		Networks: map[string]*spec.Network{"default": {Key: "default", Name: "shop_default"}},
		Volumes:  map[string]*spec.Volume{"data": {Key: "data", Name: "shop_data"}},
	}
	for _, s := range services {
		p.Services[s.Name] = s
	}
	return p
}

func service(name string, change ...func(*spec.Service)) *spec.Service {
	s := &spec.Service{Name: name, Image: "app:1", Replicas: 1, Networks: map[string]*spec.Endpoint{"default": nil}, Environment: map[string]string{}, DependsOn: map[string]spec.Dependency{}}
	for _, c := range change {
		c(s)
	}
	return s
}

func after(name string, c spec.Condition, restart bool) func(*spec.Service) {
	return func(s *spec.Service) {
		s.DependsOn[name] = spec.Dependency{Condition: c, Restart: restart, Required: true}
	}
}

func healthy(s *spec.Service) {
	s.HealthCheck = &spec.HealthCheck{Test: []string{"CMD", "probe"}, Interval: time.Second, Retries: 3}
}

func index(list []string, item string) int {
	return slices.IndexFunc(list, func(s string) bool { return s == item })
}

func TestUpThenUpThenDown(t *testing.T) {
	run(t, func(b *bench) {
		p := project(
			service("db", healthy, func(s *spec.Service) { s.Mounts = []spec.Mount{{Type: "volume", Source: "data", Target: "/data"}} }),
			service("web", after("db", spec.ServiceHealthy, false), func(s *spec.Service) { s.Ports = []spec.Port{{Published: 8080, Target: 80, Protocol: "tcp"}} }),
		)
		b.up(p, ask.UpOptions{})
		rows := b.rows("shop")
		if len(rows) != 2 || rows["shop-db-1"].State != "running" || rows["shop-db-1"].Health != "healthy" || rows["shop-web-1"].State != "running" {
			b.Fatalf("got %+v", rows)
		}
		if got := rows["shop-web-1"].Ports; len(got) != 2 || got[0].PublishedPort != 8080 || got[0].TargetPort != 80 {
			b.Errorf("ports: %+v", got)
		}
		if l := rows["shop-web-1"].Labels; l["com.docker.compose.project"] != "shop" || l["com.docker.compose.container-number"] != "1" || l["com.docker.compose.oneoff"] != "False" || len(l["com.docker.compose.config-hash"]) != 64 {
			b.Errorf("labels: %v", l)
		}
		said := b.said()
		if h, s := index(said, "container shop-db-1 Healthy"), index(said, "container shop-web-1 Starting"); h < 0 || s < h {
			b.Errorf("web did not wait for db: %v", said)
		}
		if ops := b.changes(func() { b.up(p, ask.UpOptions{}) }); len(ops) > 0 {
			b.Errorf("an up without a change did %v", ops)
		}
		if b.engine.Idle() {
			b.Error("idle with containers running")
		}
		if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		if left := b.host.Left(); !slices.Equal(left, []string{"volume shop_data"}) {
			b.Errorf("left: %v", left)
		}
		b.up(p, ask.UpOptions{})
		b.down(ask.DownOptions{Volumes: true})
		if !b.engine.Idle() {
			b.Error("not idle with nothing there")
		}
	})
}

func TestDownOfAnUnknownProjectWarns(t *testing.T) {
	run(t, func(b *bench) {
		if err := b.engine.Down(b.Context(), "nobody", ask.DownOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		if len(b.events) != 1 || b.events[0].Phase != event.Warning {
			b.Errorf("got %+v", b.events)
		}
	})
}

func TestChangedFieldRecreatesOnlyThatServiceAndKeepsAnonymousVolumes(t *testing.T) {
	run(t, func(b *bench) {
		anon := func(s *spec.Service) { s.Mounts = []spec.Mount{{Type: "volume", Target: "/cache"}} }
		p := project(service("a", anon), service("b"))
		b.up(p, ask.UpOptions{})
		before := b.rows("shop")
		p.Services["a"].Environment["LEVEL"] = "debug"
		b.up(p, ask.UpOptions{})
		now := b.rows("shop")
		if now["shop-a-1"].ID == before["shop-a-1"].ID || now["shop-b-1"].ID != before["shop-b-1"].ID {
			b.Error("expected a new a and the old b")
		}
		if got, want := now["shop-a-1"].Mounts, before["shop-a-1"].Mounts; len(got) != 1 || !slices.Equal(got, want) {
			b.Errorf("anonymous volume: got %v, expected %v", got, want)
		}
		b.up(p, ask.UpOptions{ForceRecreate: true, RenewAnon: true})
		if got := b.rows("shop")["shop-a-1"].Mounts; slices.Equal(got, before["shop-a-1"].Mounts) {
			b.Error("--renew-anon-volumes kept the volume")
		}
	})
}

func TestScaleKeepsTheLowestNumbers(t *testing.T) {
	run(t, func(b *bench) {
		p := project(service("api"))
		b.up(p, ask.UpOptions{Scale: map[string]int{"api": 4}})
		ids := b.rows("shop")
		b.up(p, ask.UpOptions{Scale: map[string]int{"api": 2}})
		rows := b.rows("shop")
		if len(rows) != 2 || rows["shop-api-1"].ID != ids["shop-api-1"].ID || rows["shop-api-2"].ID != ids["shop-api-2"].ID {
			b.Errorf("got %v", rows)
		}
	})
}

func TestTaskRunsOnceUntilSomebodyWaitsForItAgain(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(c runtime.Config) fake.Program {
			if c.Labels["com.docker.compose.service"] == "migrate" {
				return fake.Program{For: time.Second}
			}
			return fake.Program{}
		}
		p := project(service("migrate"), service("api", after("migrate", spec.ServiceCompleted, false)))
		b.up(p, ask.UpOptions{})
		if ops := b.changes(func() { b.up(p, ask.UpOptions{}) }); len(ops) > 0 {
			b.Errorf("did %v", ops)
		}
		p.Services["api"].Environment["X"] = "1"
		ops := b.changes(func() { b.up(p, ask.UpOptions{}) })
		if n := strings.Count(strings.Join(ops, " "), "Containers.Start"); n != 2 {
			b.Errorf("expected migrate and api to start but got %v", ops)
		}
	})
}

func TestFailureNamesTheCauseAndWhatWasSkipped(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(c runtime.Config) fake.Program {
			if c.Labels["com.docker.compose.service"] == "migrate" {
				return fake.Program{For: time.Second, Code: 3}
			}
			return fake.Program{}
		}
		p := project(service("migrate"), service("api", after("migrate", spec.ServiceCompleted, false)), service("other"))
		err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink)
		if err == nil {
			b.Fatal("expected an error")
		}
		for _, want := range []string{"shop-migrate-1", "exited with code 3", "so not done: start container shop-api-1"} {
			if !strings.Contains(err.Error(), want) {
				b.Errorf("%q is not in: %v", want, err)
			}
		}
		if b.rows("shop")["shop-other-1"].State != "running" {
			b.Error("other has nothing to do with it and should run")
		}
	})
}

func TestUnhealthyDependencyFailsWithItsLastOutput(t *testing.T) {
	run(t, func(b *bench) {
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) { return 1, 0, "no such table" }
		p := project(service("db", healthy), service("api", after("db", spec.ServiceHealthy, false)))
		begun := time.Now()
		err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink)
		if err == nil || !strings.Contains(err.Error(), "unhealthy") || !strings.Contains(err.Error(), "no such table") {
			b.Fatalf("got %v", err)
		}
		// interval × retries, as the file promises.
		if d := time.Since(begun); d < 3*time.Second || d > 5*time.Second {
			b.Errorf("gave up after %s", d)
		}
	})
}

func TestPortTakenIsFoundBeforeAnythingChanges(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Taken["8080/tcp"] = "nginx (pid 42)"
		p := project(service("web", func(s *spec.Service) { s.Ports = []spec.Port{{Published: 8080, Target: 80, Protocol: "tcp"}} }))
		ops := b.changes(func() {
			err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink)
			if err == nil || !strings.Contains(err.Error(), "nginx (pid 42)") {
				b.Errorf("got %v", err)
			}
		})
		if len(ops) > 0 {
			b.Errorf("did %v", ops)
		}
	})
}

func TestMissingImageIsPulledOrRefused(t *testing.T) {
	run(t, func(b *bench) {
		p := project(service("web", func(s *spec.Service) { s.Image, s.PullPolicy = "far:1", "never" }))
		if err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink); err == nil || !strings.Contains(err.Error(), "service web needs far:1") {
			b.Errorf("got %v", err)
		}
		p.Services["web"].PullPolicy = ""
		if err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink); err == nil || !strings.Contains(err.Error(), "cannot get the image of service web") {
			b.Errorf("got %v", err)
		}
		b.host.Registry["far:1"] = fake.Image("far:1", v1.Config{Cmd: []string{"x"}})
		b.up(p, ask.UpOptions{})
		// The same reference, another image: recreated, with the reason.
		b.host.Registry["far:1"] = fake.Image("far:1", v1.Config{Cmd: []string{"y"}})
		id := b.rows("shop")["shop-web-1"].ID
		b.up(p, ask.UpOptions{Pull: "always"})
		if b.rows("shop")["shop-web-1"].ID == id {
			b.Error("not recreated with a new image")
		}
	})
}

func TestRestartPolicyBacksOffAndAStopIsRemembered(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(runtime.Config) fake.Program { return fake.Program{For: time.Second, Code: 1} }
		p := project(service("worker", func(s *spec.Service) { s.Restart.Name = "always" }))
		b.up(p, ask.UpOptions{})
		time.Sleep(10 * time.Second) // fake time
		synctest.Wait()
		c := b.rows("shop")["shop-worker-1"]
		if c.Restarts < 3 || c.Restarts > 7 {
			b.Errorf("restarted %d times in 10 s", c.Restarts)
		}
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		b.reboot()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if c := b.rows("shop")["shop-worker-1"]; c.State != "exited" {
			b.Errorf("stopped by the user, and now %s", c.State)
		}
		if err := b.engine.Start(b.Context(), "shop", ask.ServiceOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		if c := b.rows("shop")["shop-worker-1"]; c.State != "running" {
			b.Errorf("started, and now %s", c.State)
		}
	})
}

func TestTheNextDaemonAdoptsAndChangesNothing(t *testing.T) {
	run(t, func(b *bench) {
		p := project(service("db", healthy), service("web", after("db", spec.ServiceHealthy, false)))
		b.up(p, ask.UpOptions{})
		ops := b.changes(func() {
			b.reboot()
			synctest.Wait()
			b.up(p, ask.UpOptions{})
		})
		if len(ops) > 0 {
			b.Errorf("the next daemon did %v", ops)
		}
		if c := b.rows("shop")["shop-db-1"]; c.Health != "healthy" {
			b.Errorf("adopted, and %q", c.Health)
		}
	})
}

func TestExecPicksARunningReplica(t *testing.T) {
	run(t, func(b *bench) {
		b.host.ExecResult = func(c runtime.Config, p runtime.Process) (int, time.Duration, string) {
			return 7, 0, c.Facts["name"]
		}
		p := project(service("api", func(s *spec.Service) { s.Replicas = 2 }))
		b.up(p, ask.UpOptions{})
		var out strings.Builder
		exit, err := b.engine.Exec(b.Context(), "shop", ask.ExecOptions{Service: "api", Index: 2, Args: []string{"x"}}, process.IO{Stdout: &out})
		if err != nil || exit.Code != 7 || out.String() != "shop-api-2" {
			b.Errorf("got %v %v %q", exit, err, out.String())
		}
		if _, err := b.engine.Exec(b.Context(), "shop", ask.ExecOptions{Service: "api", Index: 3}, process.IO{}); !errors.Is(err, errdefs.ErrNotFound) {
			b.Errorf("got %v", err)
		}
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, nil); err != nil {
			b.Fatal(err)
		}
		if _, err := b.engine.Exec(b.Context(), "shop", ask.ExecOptions{Service: "api"}, process.IO{}); !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "is not running") {
			b.Errorf("got %v", err)
		}
	})
}

func TestRunIsAOneOffWithItsExitCode(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(c runtime.Config) fake.Program {
			if c.Labels["com.docker.compose.oneoff"] == "True" {
				return fake.Program{For: time.Second, Code: 9}
			}
			return fake.Program{}
		}
		p := project(service("db", healthy), service("web", after("db", spec.ServiceHealthy, false), func(s *spec.Service) { s.Ports = []spec.Port{{Published: 8080, Target: 80, Protocol: "tcp"}} }))
		exit, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "web", Args: []string{"ls"}, Remove: true}, process.IO{}, b.sink)
		if err != nil || exit.Code != 9 {
			b.Fatalf("got %v, %v", exit, err)
		}
		rows := b.rows("shop")
		if len(rows) != 1 || rows["shop-db-1"].State != "running" {
			b.Errorf("got %v", rows)
		}
		if _, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "web", NoDeps: true}, process.IO{}, b.sink); err != nil {
			b.Fatal(err)
		}
		var oneOff ask.Container
		for _, c := range b.rows("shop") {
			if c.OneOff {
				oneOff = c
			}
		}
		if !strings.HasPrefix(oneOff.Name, "shop-web-run-") || len(oneOff.Name) != len("shop-web-run-")+12 || oneOff.State != "exited" || len(oneOff.Ports) > 0 {
			b.Errorf("got %+v", oneOff)
		}
		b.down(ask.DownOptions{})
	})
}

func TestStopGoesBackwardsAndSideBySide(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(runtime.Config) fake.Program { return fake.Program{IgnoreTerm: true} }
		p := project(service("db"), service("a", after("db", spec.ServiceStarted, false)), service("c", after("db", spec.ServiceStarted, false)))
		b.up(p, ask.UpOptions{})
		begun := time.Now()
		five := 5 * time.Second
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Timeout: &five}, b.sink); err != nil {
			b.Fatal(err)
		}
		if d := time.Since(begun); d != 10*time.Second {
			b.Errorf("expected a and c together, then db: 10 s, but got %s", d)
		}
		said := b.said()
		if index(said, "container shop-db-1 Stopping") < index(said, "container shop-a-1 Stopped") {
			b.Errorf("db stopped before a: %v", said)
		}
	})
}

func TestRestartFollowsDependsOnRestart(t *testing.T) {
	run(t, func(b *bench) {
		p := project(service("db"), service("a", after("db", spec.ServiceStarted, true)), service("c", after("db", spec.ServiceStarted, false)))
		b.up(p, ask.UpOptions{})
		ops := b.changes(func() {
			if err := b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{Services: []string{"db"}}, b.sink); err != nil {
				b.Fatal(err)
			}
		})
		if n := strings.Count(strings.Join(ops, " "), "Containers.Start"); n != 2 {
			b.Errorf("expected db and a to start but got %v", ops)
		}
	})
}

func TestUpWaitKnowsTasksAndTimesOut(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(c runtime.Config) fake.Program {
			if c.Labels["com.docker.compose.service"] == "task" {
				return fake.Program{For: time.Second}
			}
			return fake.Program{}
		}
		b.up(project(service("task"), service("db", healthy)), ask.UpOptions{Wait: true})
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) { return 1, 0, "" }
		slow := service("slow", healthy)
		slow.HealthCheck.StartPeriod = time.Hour
		err := b.engine.Up(b.Context(), project(slow), ask.UpOptions{Wait: true, WaitTimeout: 2 * time.Second}, b.sink)
		if err == nil || !strings.Contains(err.Error(), "application not healthy after 2s") {
			b.Errorf("got %v", err)
		}
	})
}

// TestUpWaitTellsWhoIsLate: the bound of --wait is one for dependencies too, and the error says of which container it was, where it is in the file, and what it has to say.
func TestUpWaitTellsWhoIsLate(t *testing.T) {
	slow := service("slow", healthy)
	slow.HealthCheck.StartPeriod = time.Hour
	for what, tt := range map[string]struct {
		p    *spec.Project
		want []string
	}{
		"a dependency that does not become healthy": {project(slow, service("web", after("slow", spec.ServiceHealthy, false))),
			[]string{"container shop-slow-1 is not healthy yet", "its last health check exited with code 1: no answer", "so not done: start container shop-web-1"}},
		"a job that does not end": {project(service("job"), service("web", after("job", spec.ServiceCompleted, false))), []string{"container shop-job-1 is still running", "so not done: start container shop-web-1"}},
	} {
		t.Run(what, func(t *testing.T) {
			run(t, func(b *bench) {
				b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) { return 1, 0, "no answer" }
				err := b.engine.Up(b.Context(), tt.p, ask.UpOptions{Wait: true, WaitTimeout: 2 * time.Second}, b.sink)
				text := ""
				if err != nil {
					text = err.Error()
				}
				for _, want := range append(tt.want, "application not healthy after 2s: ") {
					if !strings.Contains(text, want) {
						b.Errorf("no %q in %q", want, text)
					}
				}
			})
		})
	}
}

// What services that are not to run publish is no matter.
func TestUpOfOneServiceMindsItsOwnPorts(t *testing.T) {
	run(t, func(b *bench) {
		publish := func(s *spec.Service) { s.Ports = []spec.Port{{Published: 81, Target: 80, Protocol: "tcp"}} }
		several := service("several", publish)
		several.Replicas = 8
		p := project(several, service("other", publish), service("one", publish))
		b.up(p, ask.UpOptions{Services: []string{"one"}})
		err := b.engine.Up(b.Context(), p, ask.UpOptions{Services: []string{"several"}}, b.sink)
		if err == nil || !strings.Contains(err.Error(), "service several has 8 containers and publishes 81") {
			b.Errorf("got %v", err)
		}
		p = project(service("two", publish), service("three", publish))
		if err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink); err == nil || !strings.Contains(err.Error(), "81 is published by three and by two") {
			b.Errorf("got %v", err)
		}
	})
}

func TestUpWaitSeesWhatEndsAtOnce(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(runtime.Config) fake.Program { return fake.Program{For: 100 * time.Millisecond, Code: 3} }
		err := b.engine.Up(b.Context(), project(service("crash")), ask.UpOptions{Wait: true}, b.sink)
		if err == nil || !strings.Contains(err.Error(), "shop-crash-1 exited with code 3") {
			b.Errorf("a container that has ended after 100ms was taken for up: %v", err)
		}
		again := service("crash")
		again.Restart = spec.RestartPolicy{Name: "always"}
		err = b.engine.Up(b.Context(), project(again), ask.UpOptions{Wait: true, WaitTimeout: 5 * time.Second}, b.sink)
		if err == nil || !strings.Contains(err.Error(), "application not healthy after 5s") {
			b.Errorf("a container that ends again and again was taken for up: %v", err)
		}
	})
}

func TestOrphansAreNamedAndRemovedOnRequest(t *testing.T) {
	run(t, func(b *bench) {
		b.up(project(service("a"), service("old")), ask.UpOptions{})
		b.up(project(service("a")), ask.UpOptions{})
		if !b.rows("shop")["shop-old-1"].Orphan {
			b.Error("old is no orphan")
		}
		b.up(project(service("a")), ask.UpOptions{RemoveOrphans: true})
		if rows := b.rows("shop"); len(rows) != 1 {
			b.Errorf("got %v", rows)
		}
	})
}

func TestCancelledUpLeavesWhatTheNextCanGoOnFrom(t *testing.T) {
	run(t, func(b *bench) {
		b.host.ExecResult = func(runtime.Config, runtime.Process) (int, time.Duration, string) { return 1, 0, "" }
		db := service("db", healthy)
		db.HealthCheck.StartPeriod = time.Hour
		p := project(db, service("api", after("db", spec.ServiceHealthy, false)))
		ctx, cancel := context.WithCancel(b.Context())
		time.AfterFunc(3*time.Second, cancel)
		if err := b.engine.Up(ctx, p, ask.UpOptions{}, b.sink); !errors.Is(err, context.Canceled) {
			b.Fatalf("got %v", err)
		}
		b.host.ExecResult = nil
		b.up(p, ask.UpOptions{})
		if rows := b.rows("shop"); rows["shop-api-1"].State != "running" {
			b.Errorf("got %v", rows)
		}
	})
}
