package reconcile_test

import (
	"errors"
	"fmt"
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

// prepared is a service with steps before its start, and what has been started, by the last word of its command.
type prepared struct {
	mu   sync.Mutex
	ran  []string
	fail map[string]int // by word: the code that it exits with
}

func (h *prepared) service(change ...func(*spec.Service)) *spec.Service {
	return service("web", append([]func(*spec.Service){func(s *spec.Service) {
		s.Command = []string{"serve"}
		s.PreStart = []spec.Hook{{Command: []string{"once"}}, {Command: []string{"each"}, PerReplica: true}}
	}}, change...)...)
}

func (h *prepared) on(b *bench) {
	b.host.Program = func(cfg runtime.Config) fake.Program {
		h.mu.Lock()
		defer h.mu.Unlock()
		word := cfg.Spec.Process.Args[len(cfg.Spec.Process.Args)-1]
		h.ran = append(h.ran, word)
		if word == "serve" {
			return fake.Program{}
		}
		return fake.Program{For: time.Second, Code: h.fail[word]}
	}
}

// since is what has been started since the last call, equal ones together.
func (h *prepared) since() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.Sort(h.ran)
	counts := map[string]int{}
	for _, w := range h.ran {
		counts[w]++
	}
	var parts []string
	for _, w := range slices.Compact(h.ran) {
		parts = append(parts, fmt.Sprintf("%d×%s", counts[w], w))
	}
	h.ran = nil
	return strings.Join(parts, " ")
}

func TestPreStartOnEveryPath(t *testing.T) {
	run(t, func(b *bench) {
		h := &prepared{}
		h.on(b)
		p := project(h.service(func(s *spec.Service) { s.Replicas = 2 }))
		step := func(what, want string, do func() error) {
			b.Helper()
			if err := do(); err != nil {
				b.Errorf("%s: %v", what, err)
			}
			if got := h.since(); got != want {
				b.Errorf("%s ran %q, want %q", what, got, want)
			}
			for name := range b.rows("shop") {
				if strings.Contains(name, "pre_start") {
					b.Errorf("after %s there is %s", what, name)
				}
			}
		}
		const all, one = "2×each 1×once 2×serve", "1×each 1×serve"
		o := ask.ServiceOptions{}
		up := func() error { return b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink) }
		kill := func(names ...string) func() error {
			return func() error {
				for _, name := range names {
					if err := b.host.Set().Containers.Kill(b.Context(), b.rows("shop")[name].ID, 9); err != nil {
						return err
					}
				}
				time.Sleep(time.Minute) // fake time
				synctest.Wait()
				return nil
			}
		}
		step("up", all, up)
		step("up again", "", up)
		step("start of what runs", "", func() error { return b.engine.Start(b.Context(), "shop", o, b.sink) })
		step("restart", all, func() error { return b.engine.Restart(b.Context(), "shop", o, b.sink) })
		step("stop", "", func() error { return b.engine.Stop(b.Context(), "shop", o, b.sink) })
		step("start", all, func() error { return b.engine.Start(b.Context(), "shop", o, b.sink) })
		p.Services["web"].Environment["NEW"] = "1"
		step("recreate", all, up)
		step("healing of one", one, kill("shop-web-2"))
		step("healing of all", all, kill("shop-web-1", "shop-web-2"))
		p.Services["web"].Replicas = 3
		step("one more", one, up)
		step("run beside", "1×each 1×tool", func() error {
			_, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "web", Remove: true, Args: []string{"tool"}}, process.IO{}, b.sink)
			return err
		})
		p.Services["web"].PreStart[0].Command = []string{"other"}
		step("another step", "3×each 1×other 3×serve", up)
		step("down", "", func() error { return b.engine.Down(b.Context(), "shop", ask.DownOptions{}, b.sink) })
		step("run alone", "1×each 1×other 1×tool", func() error {
			_, err := b.engine.Run(b.Context(), p, ask.RunOptions{Service: "web", Remove: true, Args: []string{"tool"}}, process.IO{}, b.sink)
			return err
		})
		p.Services["web"].Restart.Name = "always"
		step("up", "3×each 1×other 3×serve", up)
		step("restart by policy", "1×serve", func() error {
			if err := b.host.Set().Containers.Kill(b.Context(), b.rows("shop")["shop-web-1"].ID, 15); err != nil {
				return err
			}
			time.Sleep(time.Second) // fake time
			synctest.Wait()
			return nil
		})
	})
}

// A step that fails is told once, with its place; nothing of the service runs, what came before stays, and the next up begins anew.
func TestPreStartThatFails(t *testing.T) {
	run(t, func(b *bench) {
		h := &prepared{fail: map[string]int{"once": 17}}
		h.on(b)
		p := project(h.service(func(s *spec.Service) { s.Replicas = 2 }))
		err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink)
		var d *diag.Diagnostic
		if err == nil || strings.Count(err.Error(), "cannot run pre_start[0] of container shop-web-1: \"once\" exited with code 17") != 1 {
			b.Errorf("up: %v", err)
		} else if errors.As(err, &d) && d.Address != "services.web.pre_start[0]" {
			b.Errorf("place: %s", d.Address)
		}
		for _, name := range []string{"shop-web-1", "shop-web-2"} {
			if got := b.rows("shop")[name].State; got != "created" {
				b.Errorf("%s is %q", name, got)
			}
		}
		if err := b.engine.Start(b.Context(), "shop", ask.ServiceOptions{}, b.sink); err == nil || strings.Count(err.Error(), "pre_start[0]") != 1 {
			b.Errorf("start: %v", err)
		}
		h.since()
		h.fail = nil
		b.up(p, ask.UpOptions{})
		if got := h.since(); got != "2×each 1×once 2×serve" {
			b.Errorf("the next up ran %q", got)
		}
	})
}

// TestPreStartThatFailsOfAOneOff: nothing of the one-off has run, and it goes with its steps.
func TestPreStartThatFailsOfAOneOff(t *testing.T) {
	for _, o := range []ask.RunOptions{{}, {Remove: true}, {Detach: true}, {Detach: true, Remove: true}} {
		run(t, func(b *bench) {
			h := new(prepared)
			h.on(b)
			p := project(h.service())
			b.up(p, ask.UpOptions{})
			before := b.host.Left()
			h.fail = map[string]int{"each": 17}
			o.Service = "web"
			if _, err := b.engine.Run(b.Context(), p, o, process.IO{}, nil); err == nil || !strings.Contains(err.Error(), "pre_start[1]") {
				b.Errorf("%+v: %v", o, err)
			}
			synctest.Wait()
			if left := b.host.Left(); !slices.Equal(left, before) {
				b.Errorf("%+v: left: %v; before: %v", o, left, before)
			}
		})
	}
}

// TestPreStartThatFailsOfWhatRan: the up that made a container anew has failed by a step, which nobody runs again behind the back of who has seen it.
func TestPreStartThatFailsOfWhatRan(t *testing.T) {
	run(t, func(b *bench) {
		h := &prepared{}
		h.on(b)
		p := project(h.service())
		b.up(p, ask.UpOptions{})
		b.listen()
		h.since()
		h.mu.Lock()
		h.fail = map[string]int{"each": 7}
		h.mu.Unlock()
		p.Services["web"].Environment["VERSION"] = "2"
		if err := b.engine.Up(b.Context(), p, ask.UpOptions{}, nil); err == nil {
			b.Error("it succeeds")
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := h.since(); got != "1×each 1×once" {
			b.Errorf("ran: %s", got)
		}
	})
}

// An update in turns whose steps fail takes nothing away, whatever it may tolerate.
func TestPreStartInAnUpdate(t *testing.T) {
	for _, first := range []string{"start-first", "stop-first"} {
		run(t, func(b *bench) {
			h := &prepared{}
			h.on(b)
			tolerant := spec.Rollout{Order: first, MaxFailureRatio: 1, FailureAction: "pause"}
			p := project(h.service(func(s *spec.Service) { s.Replicas, s.Deploy = 2, &spec.Deploy{Update: &tolerant} }))
			b.up(p, ask.UpOptions{})
			h.since()
			p.Services["web"].Environment["NEW"] = "1"
			h.fail = map[string]int{"once": 3}
			if err := b.engine.Up(b.Context(), p, ask.UpOptions{}, b.sink); err == nil || !strings.Contains(err.Error(), "exited with code 3") {
				b.Errorf("%s: %v", first, err)
			}
			if got := b.rows("shop")["shop-web-2"].State; got != "running" {
				b.Errorf("%s: the second is %s", first, got)
			}
			h.since()
			h.fail = nil
			b.up(p, ask.UpOptions{})
			if got := h.since(); got != "2×each 1×once 2×serve" {
				b.Errorf("%s: the next up ran %q", first, got)
			}
		})
	}
}
