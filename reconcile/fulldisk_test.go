package reconcile_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/proto"
	"github.com/stackrun/stack/spec"
)

// full fails those calls of drivers that write, as a full disk does.
func (b *bench) full(ops ...string) {
	b.host.Fault = func(op string, after bool) error {
		for _, full := range ops {
			if op == full && !after {
				return fmt.Errorf("cannot write: %w", unix.ENOSPC)
			}
		}
		return nil
	}
}

// TestWhatCannotBeReplacedRunsOn: a restart or a recreate for which the disk has no room ends nothing, nor what would have been restarted with it; what it has made is
// gone again. With room it is done.
func TestWhatCannotBeReplacedRunsOn(t *testing.T) {
	restart := func(b *bench, _ *spec.Project) error {
		return b.engine.Restart(b.Context(), "shop", ask.ServiceOptions{Services: []string{"db"}}, nil)
	}
	recreate := func(b *bench, p *spec.Project) error {
		return b.engine.Up(b.Context(), p, ask.UpOptions{ForceRecreate: true}, nil)
	}
	for _, tt := range []struct {
		name string
		full []string
		do   func(b *bench, p *spec.Project) error
		anew bool // the containers
	}{
		{"restart", []string{"Containers.Reserve"}, restart, false},
		{"recreate, no snapshot", []string{"Images.Prepare"}, recreate, true},
		{"recreate, no record", []string{"Containers.Create"}, recreate, true},
		{"recreate, no room for the start", []string{"Containers.Reserve"}, recreate, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(b *bench) {
				p := project(service("db"), service("web", after("db", spec.ServiceStarted, true)))
				b.up(p, ask.UpOptions{})
				before := b.rows("shop")
				b.full(tt.full...)
				if err := tt.do(b, p); err == nil || !strings.Contains(err.Error(), "no space left") {
					b.Errorf("error %v", err)
				}
				now := b.rows("shop")
				if left := slices.DeleteFunc(b.host.Left(), func(s string) bool { return !strings.Contains(s, "snapshot") }); len(left) != len(before) {
					b.Errorf("there are %v", left)
				}
				for name, was := range before {
					if is := now[name]; is.ID != was.ID || is.State != "running" || is.Pid != was.Pid {
						b.Errorf("%s was %.12s, %d, and is %.12s, %s, %d", name, was.ID, was.Pid, is.ID, is.State, is.Pid)
					}
				}
				if len(now) != len(before) {
					b.Errorf("there are %v", slices.Sorted(maps.Keys(now)))
				}
				b.host.Fault = nil
				if err := tt.do(b, p); err != nil {
					b.Fatal(err)
				}
				for name, is := range b.rows("shop") {
					if anew := is.ID != before[name].ID; anew != tt.anew || is.State != "running" || is.Pid == before[name].Pid {
						b.Errorf("%s was %.12s, %d, and is %.12s, %s, %d", name, before[name].ID, before[name].Pid, is.ID, is.State, is.Pid)
					}
				}
			})
		})
	}
}

// TestSuccessorOfWhatRunsOnGoes: what was made to replace a container that then cannot be stopped is taken away again.
func TestSuccessorOfWhatRunsOnGoes(t *testing.T) {
	run(t, func(b *bench) {
		p := project(service("web"))
		b.up(p, ask.UpOptions{})
		before := b.rows("shop")["shop-web-1"]
		b.full("Containers.Stop")
		if err := b.engine.Up(b.Context(), p, ask.UpOptions{ForceRecreate: true}, nil); err == nil {
			b.Error("it has been stopped")
		}
		b.host.Fault = nil
		now := b.rows("shop")
		if len(now) != 1 || now["shop-web-1"].ID != before.ID || now["shop-web-1"].State != "running" {
			b.Errorf("it was %.12s, there are %v", before.ID, slices.Sorted(maps.Keys(now)))
		}
	})
}

// TestFailedRecreateKeepsWhatWasHandedOver: when the new container cannot be started the pass has run nothing, and yet it may not take away what it has made: the
// anonymous volumes are those of the container from before.
func TestFailedRecreateKeepsWhatWasHandedOver(t *testing.T) {
	run(t, func(b *bench) {
		p := project(service("db", func(s *spec.Service) { s.Mounts = []spec.Mount{{Type: "volume", Target: "/data"}} }))
		b.up(p, ask.UpOptions{})
		before := b.rows("shop")["shop-db-1"].Mounts
		var program fake.Program
		b.host.Program = func(runtime.Config) fake.Program { return program }
		program.StartError = errors.New("no such program")
		p.Services["db"].Environment["LEVEL"] = "debug"
		if err := b.engine.Up(b.Context(), p, ask.UpOptions{}, nil); err == nil {
			b.Error("it has been started")
		}
		program.StartError = nil
		b.up(p, ask.UpOptions{})
		if now := b.rows("shop")["shop-db-1"]; len(before) != 1 || len(now.Mounts) != 1 || now.Mounts[0] != before[0] {
			b.Errorf("its volume was %v, it has %v", before, now.Mounts)
		}
	})
}

// TestAStartThatTheHostLacksSomethingForIsNoAttempt: a policy tries it again for as long as that lasts, each minute at least, however few attempts it has. A start that fails for what the container is
// counts.
func TestAStartThatTheHostLacksSomethingForIsNoAttempt(t *testing.T) {
	failed := func(call string, errno unix.Errno) error {
		return &runtime.StartError{Failure: &proto.Failure{Stage: "clone", Syscall: call, Errno: errno, ExitCode: 125}}
	}
	for name, tt := range map[string]struct {
		fault error
		ends  string
	}{
		"no namespace of its own":  {failed("unshare", unix.ENOSPC), "running"},
		"no pid namespace":         {failed("clone3", unix.ENOSPC), "running"},
		"no process":               {failed("clone3", unix.EAGAIN), "running"},
		"no process for a monitor": {fmt.Errorf("cannot start the init program: %w", unix.EAGAIN), "running"},
		"no open file":             {failed("open", unix.EMFILE), "running"},
		"pids_limit is too low":    {&runtime.StartError{Failure: &proto.Failure{Stage: "init", Syscall: "clone", Errno: unix.EAGAIN, ExitCode: 125}}, "exited"},
		"its tmpfs is full":        {failed("write", unix.ENOSPC), "exited"},
		"no such program":          {failed("execve", unix.ENOENT), "exited"},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(b *bench) {
				var starts []time.Time
				b.host.Program = func(runtime.Config) fake.Program {
					switch starts = append(starts, time.Now()); {
					case len(starts) == 1:
						return fake.Program{For: time.Minute, Code: 1}
					case time.Since(starts[0]) < time.Hour:
						return fake.Program{StartError: tt.fault}
					}
					return fake.Program{}
				}
				// It belongs to no file, so that healing does not start it.
				id, _, err := b.engine.Single().Create(b.Context(), single.Want{Name: "web", Spec: plan.Spec{Image: "app:1", NetworkMode: "none", Restart: plan.RestartPolicy{Name: "on-failure", MaxAttempts: 2}}})
				b.must(err)
				_, err = b.engine.Single().Start(b.Context(), id)
				b.must(err)
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				b.same("state", b.state(id), tt.ends)
				for i, at := range starts[1:] {
					if apart := at.Sub(starts[i]); i > 0 && apart > time.Minute {
						b.Errorf("start %d comes %s after the one before", i+2, apart)
					}
				}
			})
		})
	}
}
