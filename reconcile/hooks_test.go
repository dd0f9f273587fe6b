package reconcile_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// hooked is a service with hooks, and the ones that have been run, by the last word of their command.
type hooked struct {
	mu  sync.Mutex
	ran []string
	end func(name string) (code int, after time.Duration)
}

func (h *hooked) service(change ...func(*spec.Service)) *spec.Service {
	b, c := "b", "c"
	return service("web", append([]func(*spec.Service){func(s *spec.Service) {
		s.PostStart = []spec.Hook{{Command: []string{"hook", "born"}, User: "7", WorkingDir: "/w", Privileged: true, Environment: map[string]*string{"B": &b, "C": &c, "NONE": nil}}, {Command: []string{"hook", "grown"}}}
		s.PreStop = []spec.Hook{{Command: []string{"hook", "dying"}}}
	}}, change...)...)
}

func (h *hooked) on(b *bench) {
	b.host.ExecResult = func(_ runtime.Config, p runtime.Process) (int, time.Duration, string) {
		name := p.Args[len(p.Args)-1]
		if name == "born" && (p.User != "7" || p.Cwd != "/w" || !p.Privileged || p.Note == "" || !slices.Equal(p.Env, []string{"B=b", "C=c"})) {
			b.Errorf("hook is run as %+v", p)
		}
		h.mu.Lock()
		h.ran = append(h.ran, name)
		h.mu.Unlock()
		if h.end == nil {
			return 0, 0, ""
		}
		code, after := h.end(name)
		return code, after, "why " + name
	}
}

// since is what has been run since the last call.
func (h *hooked) since() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := strings.Join(h.ran, " ")
	h.ran = nil
	return s
}

func TestHooksOnEveryPath(t *testing.T) {
	run(t, func(b *bench) {
		h := &hooked{}
		h.on(b)
		p := project(h.service(func(s *spec.Service) { s.Restart.Name = "always" }))
		step := func(what, want string, do func() error) {
			b.Helper()
			if err := do(); err != nil {
				b.Errorf("%s: %v", what, err)
			}
			if got := h.since(); got != want {
				b.Errorf("%s ran %q, want %q", what, got, want)
			}
		}
		o := ask.ServiceOptions{}
		up := func() error { return b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink) }
		step("up", "born grown", up)
		step("up again", "", up)
		step("start of what runs", "", func() error { return b.engine.Start(b.Context(), "shop", o, b.sink) })
		step("restart", "dying born grown", func() error { return b.engine.Restart(b.Context(), "shop", o, b.sink) })
		step("stop", "dying", func() error { return b.engine.Stop(b.Context(), "shop", o, b.sink) })
		step("stop of what does not run", "", func() error { return b.engine.Stop(b.Context(), "shop", o, b.sink) })
		step("start", "born grown", func() error { return b.engine.Start(b.Context(), "shop", o, b.sink) })
		step("restart by policy", "born grown", func() error {
			if err := b.host.Set().Containers.Kill(b.Context(), b.rows("shop")["shop-web-1"].ID, 15); err != nil {
				return err
			}
			time.Sleep(time.Second) // fake time
			synctest.Wait()
			return nil
		})
		p.Services["web"].Environment["NEW"] = "1"
		step("recreate", "dying born grown", up)
		step("kill", "", func() error { return b.engine.Kill(b.Context(), "shop", o, b.sink) })
		step("up after a kill", "born grown", up)
		step("run", "born grown", func() error {
			b.host.Program = func(runtime.Config) fake.Program { return fake.Program{For: time.Second} }
			_, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "web", Remove: true}, process.IO{}, b.sink)
			return err
		})
		step("down", "dying", func() error { return b.engine.Down(b.Context(), "shop", ask.DownOptions{}, b.sink) })
	})
}

func TestHookThatFails(t *testing.T) {
	run(t, func(b *bench) {
		bad := "grown"
		h := &hooked{end: func(name string) (int, time.Duration) {
			if name == bad {
				return 3, 0
			}
			return 0, 0
		}}
		h.on(b)
		p := project(h.service())
		err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink)
		var d *diag.Diagnostic
		if err == nil || !strings.Contains(err.Error(), `cannot run post_start[1] of container shop-web-1: "hook grown" exited with code 3: why grown`) {
			b.Errorf("up: %v", err)
		} else if errors.As(err, &d) && d.Address != "services.web.post_start[1]" {
			b.Errorf("place: %s", d.Address)
		}
		if got := b.rows("shop")["shop-web-1"].State; got != "running" {
			b.Errorf("the container is %s after a post_start that failed", got)
		}
		bad = "dying"
		for what, do := range map[string]func() error{
			"stop":    func() error { return b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, b.sink) },
			"restart": func() error { return b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{}, b.sink) },
			"down":    func() error { return b.engine.Down(b.Context(), "shop", ask.DownOptions{}, b.sink) },
		} {
			if err := do(); err == nil || !strings.Contains(err.Error(), "pre_stop[0]") {
				b.Errorf("%s: %v", what, err)
			}
			if got := b.rows("shop")["shop-web-1"].State; got != "running" {
				b.Errorf("the container is %s after a pre_stop that failed at %s", got, what)
			}
		}
		bad = ""
	})
}

// What a down has removed nobody brings back, though it could not remove all.
func TestHealingLeavesWhatAFailedDownHasRemoved(t *testing.T) {
	run(t, func(b *bench) {
		fails := true
		h := &hooked{end: func(name string) (int, time.Duration) {
			if fails && name == "dying" {
				return 3, 0
			}
			return 0, 0
		}}
		h.on(b)
		p := project(h.service(), service("side"))
		b.up(p, ask.UpOptions{})
		if err := b.engine.Down(b.Context(), "shop", ask.DownOptions{}, b.sink); err == nil || !strings.Contains(err.Error(), "pre_stop[0]") {
			b.Errorf("down: %v", err)
		}
		time.Sleep(time.Minute) // of the bubble's clock
		rows := b.rows("shop")
		if _, there := rows["shop-side-1"]; there || rows["shop-web-1"].State != "running" {
			b.Errorf("a minute after a down that failed there is %v", rows)
		}
		fails = false
		b.up(p, ask.UpOptions{})
		if got := b.rows("shop")["shop-side-1"].State; got != "running" {
			b.Errorf("after an up it is %q", got)
		}
	})
}

// A pre_stop may take longer than the grace period: as with docker compose, only a kill ends it.
func TestPreStopIsNotBoundedButByAKill(t *testing.T) {
	run(t, func(b *bench) {
		last := time.Minute
		h := &hooked{end: func(name string) (int, time.Duration) {
			if name == "dying" {
				return 0, last
			}
			return 0, 0
		}}
		h.on(b)
		b.up(project(h.service()), ask.UpOptions{})
		begin := time.Now()
		one := time.Second
		if err := b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{Timeout: &one}, b.sink); err != nil || time.Since(begin) < last {
			b.Errorf("stop after %s: %v", time.Since(begin), err)
		}
		last = 1000 * time.Hour
		if err := b.engine.Start(b.Context(), "shop", ask.ServiceOptions{}, b.sink); err != nil {
			b.Fatal(err)
		}
		stopped := make(chan error, 1)
		go func() { stopped <- b.engine.Stop(b.Context(), "shop", ask.ServiceOptions{}, b.sink) }()
		synctest.Wait()
		begin = time.Now()
		if err := b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{}, b.sink); err != nil {
			b.Error(err)
		}
		if err := <-stopped; err != nil || time.Since(begin) > time.Minute {
			b.Errorf("the stop ended after %s: %v", time.Since(begin), err)
		}
	})
}

// A container that is unhealthy is restarted by nobody's wish: its pre_stop may take its grace period, and no more.
func TestPreStopDoesNotHoldUpHealing(t *testing.T) {
	run(t, func(b *bench) {
		var mu sync.Mutex
		sick, stuck := false, 0
		b.host.ExecResult = func(_ runtime.Config, p runtime.Process) (int, time.Duration, string) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case p.Args[0] == "hang":
				stuck++
				return 0, 1000 * time.Hour, ""
			case sick:
				return 1, 0, ""
			}
			return 0, 0, ""
		}
		starts := 0
		b.host.Program = func(runtime.Config) fake.Program {
			mu.Lock()
			defer mu.Unlock()
			starts++
			sick = false
			return fake.Program{}
		}
		grace := 3 * time.Second
		b.up(project(service("web", healthy, func(s *spec.Service) {
			s.PreStop = []spec.Hook{{Command: []string{"hang"}}}
			s.StopGrace = &grace
		})), ask.UpOptions{})
		mu.Lock()
		sick = true
		mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if starts != 2 || stuck != 1 {
			b.Errorf("started %d times, and the hook ran %d times", starts, stuck)
		}
		if err := b.engine.Kill(b.Context(), "shop", ask.ServiceOptions{}, nil); err != nil {
			b.Error(err)
		}
	})
}
