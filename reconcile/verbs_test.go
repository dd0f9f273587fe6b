package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

// warned are the warnings so far: "name: text: detail".
func (b *bench) warned() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, ev := range b.events {
		if ev.Phase == event.Warning {
			out = append(out, ev.Name+": "+ev.Text+": "+ev.Detail)
		}
	}
	return strings.Join(out, "\n")
}

func TestPortsOfAnInternalNetworkAreWarnedOf(t *testing.T) {
	run(t, func(b *bench) {
		ports := func(s *spec.Service) { s.Ports = []spec.Port{{Published: 8080, Target: 80, Protocol: "tcp"}} }
		p := project(service("web", ports))
		p.Networks["default"].Internal = true
		p.Sources = spec.Sources{}
		b.up(p, ask.UpOptions{})
		if got := b.warned(); !strings.Contains(got, "not published") || !strings.Contains(got, "service web is on shop_default only") {
			b.Errorf("warned of %q", got)
		}
		p = project(service("web", ports))
		b.events = nil
		b.up(p, ask.UpOptions{})
		if got := b.warned(); got != "" {
			b.Errorf("an open network, and warned of %q", got)
		}
	})
}

func TestOptionsThatNoDriverKnowsAreWarnedOf(t *testing.T) {
	run(t, func(b *bench) {
		p := project(service("web", func(s *spec.Service) { s.Networks["default"] = &spec.Endpoint{DriverOpts: map[string]string{"a": "b"}} }))
		p.Networks["default"].DriverOpts = map[string]string{"c": "d"}
		p.Sources = spec.Sources{}
		b.up(p, ask.UpOptions{})
		if got := b.warned(); !strings.Contains(got, "service web has a for its place on network default") || !strings.Contains(got, "network shop_default of driver bridge: c") {
			b.Errorf("warned of %q", got)
		}
	})
}

func TestWarningsOfAStartAreTold(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(runtime.Config) fake.Program {
			return fake.Program{Warnings: []string{"memory limit: this host has no memory controller"}}
		}
		b.up(project(service("web")), ask.UpOptions{})
		if got := b.warned(); !strings.Contains(got, "shop-web-1: Not as asked for: memory limit") {
			b.Errorf("warned of %q", got)
		}
	})
}

func TestAContainerIsNamedOnceAndNotById(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(c runtime.Config) fake.Program {
			return fake.Program{StartError: fmt.Errorf("cannot start container %.12s: exec \"/nope\": no such file or directory", c.ID)}
		}
		p := project(service("web"))
		err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink)
		if want := `cannot start container shop-web-1: exec "/nope": no such file or directory`; err == nil || err.Error() != want {
			b.Errorf("up: got %v", err)
		}
		if err := b.engine.Start(b.Context(), "shop", ask.ServiceOptions{}, b.sink); err == nil || strings.Count(err.Error(), "cannot start") != 1 {
			b.Errorf("start: got %v", err)
		}
		if _, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "web", Name: "once"}, process.IO{}, b.sink); err == nil || err.Error() != `cannot run container once: exec "/nope": no such file or directory` {
			b.Errorf("run: got %v", err)
		}
		if _, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "web", Name: "aside", Detach: true}, process.IO{}, b.sink); err == nil || err.Error() != `cannot start container aside: exec "/nope": no such file or directory` {
			b.Errorf("run -d: got %v", err)
		}
	})
}

func TestAFailureShowsItsLogAndNoControlCharacters(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(c runtime.Config) fake.Program {
			if c.Labels["com.docker.compose.service"] == "task" {
				return fake.Program{For: time.Second, Code: 3, OOM: true}
			}
			return fake.Program{}
		}
		p := project(service("task"), service("web", after("task", spec.ServiceCompleted, false)))
		path := filepath.Join(b.roots.State, "logs/shop/task-1.log")
		b.writeLog(path, time.Now().Add(time.Hour), "migrating\x1b[2J", "no such table")
		err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink)
		if err == nil {
			b.Fatal("it came up")
		}
		for _, want := range []string{"container shop-task-1 did not complete successfully: it exited with code 3 (a process of it was killed because it was out of memory)", "\n    migrating\n    no such table", "so not done: start container shop-web-1"} {
			if !strings.Contains(err.Error(), want) {
				b.Errorf("expected %q in %q", want, err)
			}
		}
	})
}

// writeLog appends lines to a log, a microsecond apart.
func (b *bench) writeLog(path string, at time.Time, lines ...string) {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for i, l := range lines {
		fmt.Fprintf(f, "%s stdout F %s\n", at.Add(time.Duration(i)*time.Microsecond).UTC().Format(time.RFC3339Nano), l)
	}
}

func TestKill(t *testing.T) {
	run(t, func(b *bench) {
		p := project(service("a", func(s *spec.Service) { s.Restart.Name = "always" }), service("old"))
		b.up(p, ask.UpOptions{})
		delete(p.Services, "old")
		b.up(p, ask.UpOptions{})
		// A signal that ends it, and the policy starts it again.
		if err := b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{Signal: "term"}, b.sink); err != nil {
			b.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		synctest.Wait()
		if rows := b.rows("shop"); rows["shop-a-1"].State != "running" || rows["shop-a-1"].Restarts != 1 || rows["shop-old-1"].State != "running" {
			b.Errorf("after SIGTERM: %+v", rows)
		}
		// SIGKILL is for good; the orphan is left alone.
		if err := b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if rows := b.rows("shop"); rows["shop-a-1"].State != "exited" || rows["shop-old-1"].State != "running" {
			b.Errorf("after SIGKILL: %+v", rows)
		}
		if err := b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{RemoveOrphans: true}, b.sink); err != nil {
			b.Fatal(err)
		}
		if rows := b.rows("shop"); len(rows) != 1 {
			b.Errorf("after --remove-orphans: %+v", rows)
		}
		if err := b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{Signal: "SIGNO"}, b.sink); !errors.Is(err, errdefs.ErrInvalidArgument) {
			b.Errorf("got %v", err)
		}
	})
}

func TestRemove(t *testing.T) {
	run(t, func(b *bench) {
		b.up(project(service("a", func(s *spec.Service) { s.Mounts = []spec.Mount{{Type: "volume", Target: "/cache"}} }), service("b")), ask.UpOptions{})
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Services: []string{"a"}}, b.sink); err != nil {
			b.Fatal(err)
		}
		if err := b.engine.Remove(b.Context(), "shop", ask.ServiceOptions{Volumes: true}, b.sink); err != nil {
			b.Fatal(err)
		}
		if rows := b.rows("shop"); len(rows) != 1 || rows["shop-b-1"].State != "running" {
			b.Errorf("rm: %+v", rows)
		}
		if left := strings.Join(b.host.Left(), " "); strings.Contains(left, "volume") {
			b.Errorf("its anonymous volume is left: %s", left)
		}
		if err := b.engine.Remove(b.Context(), "shop", ask.ServiceOptions{Stop: true}, b.sink); err != nil {
			b.Fatal(err)
		}
		if rows := b.rows("shop"); len(rows) != 0 {
			b.Errorf("rm -s: %+v", rows)
		}
		if err := b.engine.Remove(b.Context(), "shop", ask.ServiceOptions{Services: []string{"nobody"}}, b.sink); err != nil {
			b.Errorf("rm of what is not there: %v", err)
		}
	})
}

func TestPull(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Registry["far:1"] = fake.Image("far:1", v1.Config{Cmd: []string{"x"}})
		far := func(s *spec.Service) { s.Image = "far:1" }
		p := project(service("a", far), service("b", far), service("c"), service("d", func(s *spec.Service) { s.PullPolicy = "never" }))
		ops := b.changes(func() {
			if err := b.engine.Pull(b.Context(), p, []string{"a", "b"}, "", b.sink); err != nil {
				b.Fatal(err)
			}
		})
		if !slices.Equal(ops, []string{"Images.Pull"}) {
			b.Errorf("one image for two services: %v", ops)
		}
		if ops := b.changes(func() {
			if err := b.engine.Pull(b.Context(), p, nil, "missing", b.sink); err != nil {
				b.Fatal(err)
			}
		}); len(ops) > 0 {
			b.Errorf("all are here: %v", ops)
		}
		// Every image gets its try, and each failure is told.
		p.Services["a"].Image, p.Services["b"].Image = "gone:1", "gone:2"
		err := b.engine.Pull(b.Context(), p, []string{"a", "b"}, "", b.sink)
		if err == nil || !strings.Contains(err.Error(), "service a") || !strings.Contains(err.Error(), "service b") {
			b.Errorf("got %v", err)
		}
		if err := b.engine.Pull(b.Context(), p, []string{"nobody"}, "", b.sink); !errors.Is(err, errdefs.ErrNotFound) {
			b.Errorf("got %v", err)
		}
	})
}

func TestLoad(t *testing.T) {
	run(t, func(b *bench) {
		infos, err := b.engine.Load(b.Context(), strings.NewReader("new:1\nnew:2\n"), b.sink)
		if err != nil || len(infos) != 2 {
			b.Fatal(infos, err)
		}
		if said := b.said(); index(said, "image new:1 Loaded") < 0 || index(said, "image new:2 Loaded") < 0 {
			b.Errorf("said %v", said)
		}
		b.up(project(service("a", func(s *spec.Service) { s.Image, s.PullPolicy = "new:1", "never" })), ask.UpOptions{})
	})
}

func TestEventsAreOfTheirProjectAndEndWithTheListener(t *testing.T) {
	run(t, func(b *bench) {
		ctx, cancel := context.WithCancel(b.Context())
		mine, all := b.engine.Events(ctx, "shop", event.Window{}), b.engine.Events(ctx, "", event.Window{})
		other := project(service("x"))
		other.Name, other.Networks["default"].Name = "other", "other_default"
		b.up(project(service("a")), ask.UpOptions{})
		b.up(other, ask.UpOptions{})
		for seen := map[string]bool{}; len(seen) < 2; {
			seen[(<-all).Project] = true
		}
		if ev := <-mine; ev.Project != "shop" {
			b.Errorf("got %+v", ev)
		}
		cancel()
		for ev := range mine {
			if ev.Project != "shop" {
				b.Errorf("got %+v", ev)
			}
		}
	})
}

func TestProjects(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(c runtime.Config) fake.Program {
			if c.Labels["com.docker.compose.service"] == "task" {
				return fake.Program{For: time.Second}
			}
			return fake.Program{}
		}
		b.up(project(service("a", func(s *spec.Service) { s.Replicas = 2 }), service("task")), ask.UpOptions{})
		empty := project()
		empty.Name = "empty"
		b.up(empty, ask.UpOptions{})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		list, err := b.engine.Projects(b.Context())
		if err != nil || len(list) != 2 || list[0].Name != "empty" || list[1].Name != "shop" {
			b.Fatalf("got %+v, %v", list, err)
		}
		if s := list[1]; s.States["running"] != 2 || s.States["exited"] != 1 || !slices.Equal(s.Files, []string{"/src/shop/compose.yaml"}) || len(list[0].Files) != 1 {
			b.Errorf("got %+v", list)
		}
	})
}

func TestRunGivesTheTerminalItsSize(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(runtime.Config) fake.Program { return fake.Program{For: time.Second} }
		if _, err := b.engine.Run(b.Context(), project(service("web")), ask.RunOptions{Service: "web", TTY: true, Rows: 24, Cols: 80}, process.IO{}, b.sink); err != nil {
			b.Fatal(err)
		}
		list, err := b.host.Set().Containers.List(b.Context())
		if err != nil || len(list) != 1 {
			b.Fatal(list, err)
		}
		if size := list[0].Config.Spec.Process.ConsoleSize; size == nil || size.Height != 24 || size.Width != 80 {
			b.Errorf("got %+v", size)
		}
	})
}

func TestWhoLivesInANamespaceFollowsItsOwner(t *testing.T) {
	run(t, func(b *bench) {
		fails := true
		b.host.Program = func(c runtime.Config) fake.Program {
			if c.Labels["com.docker.compose.service"] == "own" && fails {
				fails = false
				return fake.Program{For: 10 * time.Second, Code: 1}
			}
			return fake.Program{}
		}
		p := project(
			service("own", func(s *spec.Service) { s.Restart.Name = "always" }),
			service("pid", func(s *spec.Service) { s.PID = "service:own" }),
			service("ipc", func(s *spec.Service) { s.IPC = "service:own" }),
			service("stopped", func(s *spec.Service) { s.PID = "service:own" }),
			service("apart"))
		b.up(p, ask.UpOptions{})
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Services: []string{"stopped"}}, b.sink); err != nil {
			b.Fatal(err)
		}
		before := b.rows("shop")
		time.Sleep(15 * time.Second)
		synctest.Wait()
		now := b.rows("shop")
		own := now["shop-own-1"]
		if own.Restarts != 1 || own.State != "running" {
			b.Fatalf("own: %+v", own)
		}
		list, err := b.host.Set().Containers.List(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for _, name := range []string{"shop-pid-1", "shop-ipc-1"} {
			if c := now[name]; c.State != "running" || c.StartedAt.Before(own.StartedAt) {
				b.Errorf("%s did not follow: %s, started %s, own %s", name, c.State, c.StartedAt, own.StartedAt)
			}
			for _, s := range list {
				if s.Config.Facts["name"] != name {
					continue
				}
				raw := fmt.Sprint(s.Config.Spec.Linux.Namespaces, s.Config.Spec.Mounts)
				if !strings.Contains(raw, fmt.Sprintf("/proc/%d/ns/%s", own.Pid, name[5:8])) {
					b.Errorf("%s is in another namespace than its owner's, pid %d: %s", name, own.Pid, raw)
				}
				if name == "shop-ipc-1" && !strings.Contains(raw, fmt.Sprintf("/proc/%d/root/dev/shm", own.Pid)) {
					b.Errorf("%s does not share /dev/shm: %s", name, raw)
				}
			}
		}
		if now["shop-stopped-1"].State != "exited" || !now["shop-apart-1"].StartedAt.Equal(before["shop-apart-1"].StartedAt) {
			b.Errorf("who has nothing to do with it was started: %+v", now)
		}
		b.down(ask.DownOptions{})
	})
}

// TestAWaitIsForTheReplicasThatAreWanted: one that the same up takes away may end as it likes.
func TestAWaitIsForTheReplicasThatAreWanted(t *testing.T) {
	run(t, func(b *bench) {
		b.host.Program = func(runtime.Config) fake.Program { return fake.Program{IgnoreTerm: true} } // its stop takes its time
		p := project(service("db", healthy, func(s *spec.Service) { s.Replicas = 2 }), service("web", after("db", spec.ServiceHealthy, false)))
		b.up(p, ask.UpOptions{})
		p.Services["db"].Replicas = 1
		p.Services["web"].Environment["E"] = "1"
		b.host.ExecResult = func(c runtime.Config, _ runtime.Process) (int, time.Duration, string) {
			if c.Labels["com.docker.compose.container-number"] == "2" {
				return 1, 0, ""
			}
			return 0, 0, ""
		}
		b.reboot() // health is to be found out again, so there is something to wait for
		b.up(p, ask.UpOptions{})
	})
}

func TestDownRemovesImagesOnRequest(t *testing.T) {
	run(t, func(b *bench) {
		p := project(service("a"), service("b", func(s *spec.Service) { s.Image = "app:2" }))
		b.up(p, ask.UpOptions{})
		if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{RemoveImages: "local"}, b.sink); err != nil {
			b.Fatal(err)
		}
		images := func() int {
			list, err := b.host.Set().Images.List(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			return len(list)
		}
		if n := images(); n != 2 {
			b.Errorf("local removes images that were built here without a name, and there are none: %d left", n)
		}
		b.up(p, ask.UpOptions{})
		if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{RemoveImages: "all", Services: []string{"a"}}, b.sink); err != nil {
			b.Fatal(err)
		}
		if n := images(); n != 1 {
			b.Errorf("down --rmi all a: %d left", n)
		}
		if rows := b.rows("shop"); len(rows) != 1 || rows["shop-b-1"].State != "running" {
			b.Errorf("down a: %+v", rows)
		}
		if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{RemoveImages: "some"}, b.sink); !errors.Is(err, errdefs.ErrInvalidArgument) {
			b.Errorf("got %v", err)
		}
		if rows := b.rows("shop"); len(rows) != 1 {
			b.Error("a wrong option changed something")
		}
	})
}
