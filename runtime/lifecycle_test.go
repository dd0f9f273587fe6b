package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

func TestExitCodes(t *testing.T) {
	h := newHost(t)
	for _, tc := range []struct {
		name   string
		args   []string
		code   int
		signal int
	}{
		{"true", []string{"/bin/true"}, 0, 0},
		{"false", []string{"false"}, 1, 0},
		{"own code", []string{"sh", "-c", "exit 42"}, 42, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := h.config(tc.args...)
			begun := h.up(c)
			x := h.wait(c.ID)
			if x.Code != tc.code || x.Signal != tc.signal || x.FinishedAt.IsZero() {
				t.Errorf("got %+v, want code %d signal %d", x, tc.code, tc.signal)
			}
			s, err := h.State(t.Context(), c.ID)
			must(t, err)
			if s.Status != runtime.Stopped || s.Exit == nil || s.Exit.Code != tc.code || s.Pid != 0 || !s.StartedAt.Equal(begun.StartedAt) {
				t.Errorf("state after the end: %+v", s)
			}
		})
	}
}

func TestStartError(t *testing.T) {
	h := newHost(t)
	for _, tc := range []struct {
		name string
		args []string
		code int
	}{
		{"not found", []string{"/bin/nothing-here"}, 127},
		{"not found in PATH", []string{"nothing-here"}, 127},
		{"not executable", []string{"/bin/notexec"}, 126},
		{"a directory", []string{"/etc"}, 126},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := h.config(tc.args...)
			_, err := h.Create(t.Context(), c)
			must(t, err)
			_, err = h.Start(t.Context(), c.ID)
			var se *runtime.StartError
			if !errors.As(err, &se) || se.Failure.ExitCode != tc.code {
				t.Fatalf("got %v, want a StartError with code %d", err, tc.code)
			}
			if !strings.Contains(err.Error(), tc.args[0]) {
				t.Errorf("%q does not name %s", err, tc.args[0])
			}
			s, err := h.State(t.Context(), c.ID)
			must(t, err)
			if s.Status != runtime.Stopped || s.Exit == nil || s.Exit.Code != tc.code || s.Exit.Error == "" {
				t.Errorf("state after a failed start: %+v exit %+v", s, s.Exit)
			}
			if x := h.wait(c.ID); x.Code != tc.code {
				t.Errorf("wait: %+v", x)
			}
		})
	}
}

func TestStopWithinGrace(t *testing.T) {
	h := newHost(t)
	c := h.sh("trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done")
	h.up(c)
	h.eventuallyLog(c, "up")
	x, err := h.Stop(t.Context(), c.ID, -1)
	must(t, err)
	if x.Code != 7 {
		t.Errorf("exit %+v, want 7", x)
	}
	if !strings.Contains(h.log(c), "bye") {
		t.Errorf("log %q", h.log(c))
	}
	// Again = success, with the same exit.
	if x, err = h.Stop(t.Context(), c.ID, 0); err != nil || x.Code != 7 {
		t.Errorf("second stop: %+v %v", x, err)
	}
}

func TestStopSignalDefaultAction(t *testing.T) {
	h := newHost(t)
	// With init: true the process is not PID 1, so a signal's default action holds: 143.
	c := h.config("sleep", "1000")
	c.Init = true
	h.up(c)
	x, err := h.Stop(t.Context(), c.ID, 10*time.Second)
	must(t, err)
	if x.Code != 143 {
		t.Errorf("exit %+v, want 143", x)
	}
}

func TestStopAfterGraceKills(t *testing.T) {
	h := newHost(t)
	c := h.sh("trap '' TERM; sleep 1000 & echo up; while :; do wait; done")
	h.up(c)
	h.eventuallyLog(c, "up")
	begin := time.Now()
	x, err := h.Stop(t.Context(), c.ID, 150*time.Millisecond)
	must(t, err)
	if x.Code != 137 || x.Signal != 9 {
		t.Errorf("exit %+v, want 137 by signal 9", x)
	}
	if d := time.Since(begin); d < 150*time.Millisecond {
		t.Errorf("took %s", d)
	}
}

func TestOwnStopSignal(t *testing.T) {
	h := newHost(t)
	c := h.sh("trap 'exit 3' USR1; trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done")
	c.StopSignal, c.StopGrace = "SIGUSR1", 10*time.Second
	h.up(c)
	h.eventuallyLog(c, "up")
	if x, err := h.Stop(t.Context(), c.ID, -1); err != nil || x.Code != 3 {
		t.Errorf("exit %+v %v, want 3", x, err)
	}
}

func TestKill(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	h.up(c)
	must(t, h.Kill(t.Context(), c.ID, unix.SIGKILL))
	if x := h.wait(c.ID); x.Code != 137 || x.Signal != 9 || x.OOM {
		t.Errorf("exit %+v, want 137", x)
	}
	must(t, h.Kill(t.Context(), c.ID, unix.SIGKILL)) // not running = success
}

func TestRestartAfterStop(t *testing.T) {
	h := newHost(t)
	c := h.sh("echo run; exit 5")
	for range 3 {
		h.up(c)
		if x := h.wait(c.ID); x.Code != 5 {
			t.Fatalf("exit %+v", x)
		}
	}
	if got := strings.Count(h.log(c), "run\n"); got != 3 {
		t.Errorf("%d runs in the log, want 3: a restart must keep it", got)
	}
}

func TestCreateIsIdempotent(t *testing.T) {
	h := newHost(t)
	c := h.config("true")
	c.Spec.Process.Env = append(c.Spec.Process.Env, "PASSWORD=x")
	a, err := h.Create(t.Context(), c)
	must(t, err)
	b, err := h.Create(t.Context(), c)
	must(t, err)
	if a.Status != runtime.Created || !a.CreatedAt.Equal(b.CreatedAt) {
		t.Errorf("%+v then %+v", a, b)
	}
	fi, err := os.Stat(h.roots.InState("containers", c.ID, "config.json"))
	must(t, err)
	if fi.Mode().Perm() != 0o600 {
		t.Errorf("config.json has mode %v: it holds passwords", fi.Mode())
	}
	c.StopSignal = "USR1"
	if _, err := h.Create(t.Context(), c); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("another configuration under the same id: %v", err)
	}
	if _, err := h.Wait(t.Context(), c.ID); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("wait for a container that never ran: %v", err)
	}
}

func TestDelete(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	h.up(c)
	if err := h.Delete(t.Context(), c.ID); !errors.Is(err, errdefs.ErrConflict) {
		t.Fatalf("delete while it runs: %v", err)
	}
	_, err := h.Stop(t.Context(), c.ID, 0)
	must(t, err)
	must(t, h.Delete(t.Context(), c.ID))
	must(t, h.Delete(t.Context(), c.ID))
	if _, err := h.State(t.Context(), c.ID); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("state of a deleted container: %v", err)
	}
	if _, err := h.Start(t.Context(), c.ID); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("start of a deleted container: %v", err)
	}
}

func TestBadIDs(t *testing.T) {
	h := newHost(t)
	for _, id := range []string{"", "..", ".", "a/b", "../x", "a b", strings.Repeat("a", 200)} {
		c := h.config("true")
		c.ID = id
		if _, err := h.Create(t.Context(), c); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("create %q: %v", id, err)
		}
		if err := h.Delete(t.Context(), id); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("delete %q: %v", id, err)
		}
		if _, err := h.State(t.Context(), id); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("state %q: %v", id, err)
		}
	}
}

func TestStartCancelled(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	_, err := h.Create(t.Context(), c)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Start(ctx, c.ID); !errors.Is(err, context.Canceled) {
		t.Fatalf("start with a cancelled context: %v", err)
	}
	s, err := h.State(t.Context(), c.ID)
	must(t, err)
	if s.Status != runtime.Created {
		t.Errorf("state %+v, want created", s)
	}
	h.up(c)
}

// A start that is given up at any moment, and asked for again, has the program begin once.
func TestStartGivenUpAtAnyMoment(t *testing.T) {
	h := newHost(t)
	create := func() runtime.Config {
		c := h.sh("echo begun; exec sleep 1000")
		_, err := h.Create(t.Context(), c)
		must(t, err)
		return c
	}
	whole := time.Hour // of a start
	for range 3 {
		began := time.Now()
		c := create()
		_, err := h.Start(t.Context(), c.ID)
		must(t, err)
		whole = min(whole, time.Since(began))
	}
	undone, ran := 0, 0
	for range 40 {
		c := create()
		ctx, cancel := context.WithTimeout(t.Context(), whole/4+time.Duration(rand.Int64N(int64(whole)))) // chance is what is tested
		_, err := h.Start(ctx, c.ID)
		cancel()
		switch {
		case err == nil:
			ran++
		case errors.Is(err, context.DeadlineExceeded):
			undone++
		default:
			t.Fatal(err)
		}
		_, err = h.Start(t.Context(), c.ID)
		must(t, err)
		h.eventuallyLog(c, "begun")
		must(t, h.Kill(t.Context(), c.ID, unix.SIGKILL))
		h.wait(c.ID)
		if n := strings.Count(h.log(c), "begun"); n != 1 {
			t.Fatalf("the program has begun %d times, after %d starts that were undone and %d that were not", n, undone, ran)
		}
	}
	t.Logf("%d run, %d were undone", ran, undone)
}

func TestEvents(t *testing.T) {
	h := newHost(t)
	events := h.Events(t.Context())
	c := h.sh("exit 9")
	h.up(c)
	var kinds []runtime.EventKind
	timeout := time.After(sandbox.Patience)
	for len(kinds) < 2 {
		select {
		case e := <-events:
			if e.ID != c.ID || e.At.IsZero() {
				t.Errorf("event %+v", e)
			}
			kinds = append(kinds, e.Kind)
			if e.Kind == runtime.EventExited && (e.Exit == nil || e.Exit.Code != 9) {
				t.Errorf("exit %+v", e.Exit)
			}
		case <-timeout:
			t.Fatalf("only %v", kinds)
		}
	}
	if !slices.Equal(kinds, []runtime.EventKind{runtime.EventStarted, runtime.EventExited}) {
		t.Errorf("events %v", kinds)
	}
}

func TestPause(t *testing.T) {
	h := newHost(t)
	c := h.sh("while :; do echo tick; sleep 0.01; done")
	h.up(c)
	h.eventuallyLog(c, "tick")
	must(t, h.Pause(t.Context(), c.ID))
	s, err := h.State(t.Context(), c.ID)
	must(t, err)
	if s.Status != runtime.Paused {
		t.Errorf("status %s, want paused", s.Status)
	}
	if _, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"true"}}, process.IO{}); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("exec in a paused container: %v", err)
	}
	must(t, h.Resume(t.Context(), c.ID))
	must(t, h.Pause(t.Context(), c.ID))
	x, err := h.Stop(t.Context(), c.ID, 100*time.Millisecond) // a paused one can be stopped
	must(t, err)
	if x.Code != 137 {
		t.Errorf("exit %+v", x)
	}
}

func TestManyInParallel(t *testing.T) {
	h := newHost(t)
	const n = 50
	g, ctx := errgroup.WithContext(t.Context())
	for i := range n {
		c := h.sh(fmt.Sprintf("exit %d", i))
		g.Go(func() error {
			if _, err := h.Create(ctx, c); err != nil {
				return err
			}
			if _, err := h.Start(ctx, c.ID); err != nil {
				return err
			}
			x, err := h.Wait(ctx, c.ID)
			if err != nil {
				return err
			}
			if x.Code != i {
				return fmt.Errorf("container %d ended with %+v", i, x)
			}
			return h.Delete(ctx, c.ID)
		})
	}
	must(t, g.Wait())
	list, err := h.List(t.Context())
	must(t, err)
	if len(list) != 0 {
		t.Errorf("%d containers are left", len(list))
	}
}

func TestLongRunRoot(t *testing.T) {
	// A socket's address takes 107 bytes; a run root may be longer than that.
	sandbox.Require(t)
	h := newHost(t)
	long := h.roots
	long.Run = filepath.Join(long.Run, strings.Repeat("long", 30))
	must(t, os.MkdirAll(long.Run, 0o700))
	d, err := runtime.New(t.Context(), runtime.Options{Roots: long})
	must(t, err)
	defer d.Close()
	c := h.sh("cat")
	_, err = d.Create(t.Context(), c)
	must(t, err)
	var out buffer
	x, err := d.Run(t.Context(), c.ID, process.IO{Stdin: strings.NewReader("hello\n"), Stdout: &out}, nil)
	must(t, err)
	if x.Code != 0 || out.String() != "hello\n" {
		t.Errorf("exit %+v output %q", x, out.String())
	}
	must(t, d.Delete(t.Context(), c.ID))
}

// TestTimerSlack: the monitor's timers may be late, those of a container and of an exec are as exact as the daemon's.
func TestTimerSlack(t *testing.T) {
	const file = "/proc/self/timerslack_ns"
	h := newHost(t)
	own, err := os.ReadFile(file) // of the process, by another of its threads: it takes CAP_SYS_NICE (proc_timerslack_ns(5))
	must(t, err)
	c := h.sh("cat " + file + "; exec sleep 1000")
	h.up(c)
	sandbox.Eventually(t, "the container's slack is "+string(own), func() bool { return h.log(c) == string(own) })
	var out buffer
	x, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"cat", file}}, process.IO{Stdout: &out})
	must(t, err)
	if x.Code != 0 || out.String() != string(own) {
		t.Errorf("exit %+v, the slack of an exec is %q, expected %q", x, out.String(), own)
	}
}

// BenchmarkLifecycle is a whole life, one after the other, and where its time goes. "own" has a new network namespace each time,
// whose making waits for the kernel to take down the one before; "host" has none, as where the network package has made it.
func BenchmarkLifecycle(b *testing.B) {
	for _, net := range []string{"host", "own"} {
		b.Run("net="+net, func(b *testing.B) { benchmarkLifecycle(b, net == "own") })
	}
}

func benchmarkLifecycle(b *testing.B, ownNet bool) {
	h := newHost(b)
	var create, start, wait, remove time.Duration
	for b.Loop() {
		c := h.config("/bin/true")
		if !ownNet {
			c.Spec.Linux.Namespaces = slices.DeleteFunc(c.Spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.NetworkNamespace })
		}
		t0 := time.Now()
		if _, err := h.Create(b.Context(), c); err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		if _, err := h.Start(b.Context(), c.ID); err != nil {
			b.Fatal(err)
		}
		t2 := time.Now()
		if x, err := h.Wait(b.Context(), c.ID); err != nil || x.Code != 0 {
			b.Fatal(x, err)
		}
		t3 := time.Now()
		if err := h.Delete(b.Context(), c.ID); err != nil {
			b.Fatal(err)
		}
		create, start, wait, remove = create+t1.Sub(t0), start+t2.Sub(t1), wait+t3.Sub(t2), remove+time.Since(t3)
	}
	for name, d := range map[string]time.Duration{"create": create, "start": start, "wait": wait, "delete": remove} {
		b.ReportMetric(float64(d.Microseconds())/float64(b.N), name+"-µs/op")
	}
}
