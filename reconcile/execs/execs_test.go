package execs

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/bundle"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

const web = "aaaabbbbccccddddeeeeffff0000111122223333444455556666777788889999"

// host has one container, shop-web-1, whose commands run does.
type host struct {
	driver.Containers
	status   runtime.Status
	inFlight atomic.Int32
	run      func(ctx context.Context, p runtime.Process, streams process.IO) (process.Exit, error)
}

func (h *host) state() runtime.State {
	return runtime.State{ID: web, Status: h.status, Config: &runtime.Config{
		ID: web, Labels: map[string]string{label.Project: "shop", label.Service: "web"}, Facts: map[string]string{bundle.FactName: "shop-web-1"},
	}}
}

func (h *host) State(_ context.Context, id string) (runtime.State, error) {
	if id != web {
		return runtime.State{}, errdefs.With(errdefs.ErrNotFound, errors.New("no container "+id))
	}
	return h.state(), nil
}

func (h *host) Select(context.Context, func(map[string]string) bool) ([]runtime.State, error) {
	return []runtime.State{h.state()}, nil
}

func (h *host) Exec(ctx context.Context, _ string, p runtime.Process, streams process.IO) (process.Exit, error) {
	return h.run(ctx, p, streams)
}

// commands are those in h's container.
func commands(t *testing.T, h *host) *Commands {
	h.status = runtime.Running
	return New(Options{
		Drivers: driver.Set{Containers: h}, Life: t.Context(), Go: func(f func()) { go f() },
		Enter: func() func() { h.inFlight.Add(1); return func() { h.inFlight.Add(-1) } },
	})
}

// begun is a command that is about to be run.
func begun(t *testing.T, x *Commands, w Want) string {
	t.Helper()
	id, err := x.CreateExec(t.Context(), "shop-web-1", w)
	if err == nil {
		_, err = x.BeginExec(t.Context(), id, Start{})
	}
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestOnce: a command is made, run once, and known with its end afterwards.
func TestOnce(t *testing.T) {
	h := &host{}
	h.run = func(_ context.Context, p runtime.Process, _ process.IO) (process.Exit, error) {
		p.Started(7)
		return process.Exit{Code: 3}, nil
	}
	x := commands(t, h)
	id, err := x.CreateExec(t.Context(), "shop-web-1", Want{Args: []string{"sh"}, Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	if d, err := x.InspectExec(id); err != nil || d.Running || d.Exit != nil || d.Container != web {
		t.Errorf("made: %+v, %v", d, err)
	}
	if d, err := x.BeginExec(t.Context(), id, Start{Rows: 50, Cols: 132}); err != nil || !d.Running || d.Rows != 50 || d.Cols != 132 {
		t.Errorf("begun: %+v, %v", d, err)
	}
	if got := x.Execs(web); !slices.Equal(got, []string{id}) {
		t.Errorf("running: %q", got)
	}
	if _, err := x.BeginExec(t.Context(), id, Start{}); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("begun twice: %v", err)
	}
	if err := x.RunExec(t.Context(), id, false, process.IO{}); err != nil {
		t.Error(err)
	}
	if d, err := x.InspectExec(id); err != nil || d.Running || d.Pid != 7 || d.Exit == nil || d.Exit.Code != 3 {
		t.Errorf("ended: %+v, %v", d, err)
	}
	if got := x.Execs(web); len(got) != 0 || h.inFlight.Load() != 0 {
		t.Errorf("ended, and %q run, %d requests are in flight", got, h.inFlight.Load())
	}
	if err := x.ResizeExec(t.Context(), id, process.WinSize{Rows: 1, Cols: 1}); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("a terminal of what has ended: %v", err)
	}
}

// TestRefused: no command is made where it could not be run, nor run where it could not have been made.
func TestRefused(t *testing.T) {
	h := &host{}
	x := commands(t, h)
	made, err := x.CreateExec(t.Context(), web[:12], Want{Args: []string{"sh"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		ref    string
		args   []string
		status runtime.Status
		want   error
	}{
		{"shop-db-1", []string{"sh"}, runtime.Running, errdefs.ErrNotFound},
		{"shop-web-1", nil, runtime.Running, errdefs.ErrInvalidArgument},
		{"shop-web-1", []string{"sh"}, runtime.Paused, errdefs.ErrConflict},
		{"shop-web-1", []string{"sh"}, runtime.Stopped, errdefs.ErrConflict},
	} {
		h.status = c.status
		if _, err := x.CreateExec(t.Context(), c.ref, Want{Args: c.args}); !errors.Is(err, c.want) {
			t.Errorf("%q in %s, which is %v: %v, expected %v", c.args, c.ref, c.status, err, c.want)
		}
		if _, err := x.BeginExec(t.Context(), made, Start{}); c.status != runtime.Running && !errors.Is(err, c.want) {
			t.Errorf("begun in what is %v: %v", c.status, err)
		}
	}
	if _, err := x.InspectExec("unknown"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Error(err)
	}
}

// TestCouldNotRun: the exit code says why, and the error names the container as users know it.
func TestCouldNotRun(t *testing.T) {
	for _, detach := range []bool{false, true} {
		for _, c := range []struct {
			err  error
			code int
		}{
			{&runtime.StartError{Failure: &proto.Failure{Stage: "exec", ExitCode: 127, Detail: "not found"}}, 127},
			{errors.New("it broke"), 126},
		} {
			h := &host{run: func(context.Context, runtime.Process, process.IO) (process.Exit, error) { return process.Exit{}, c.err }}
			x := commands(t, h)
			id := begun(t, x, Want{Args: []string{"x"}})
			if err := x.RunExec(t.Context(), id, detach, process.IO{}); !errors.Is(err, c.err) {
				t.Errorf("detached %v: %v", detach, err)
			}
			if d, _ := x.InspectExec(id); d.Running || d.Exit == nil || d.Exit.Code != c.code || h.inFlight.Load() != 0 {
				t.Errorf("detached %v: %+v, %d requests in flight, expected exit code %d", detach, d.Exit, h.inFlight.Load(), c.code)
			}
		}
	}
}

// TestCallerGoes: the command runs on without the streams of a caller that has gone, and its end is known.
func TestCallerGoes(t *testing.T) {
	end := make(chan struct{})
	h := &host{run: func(ctx context.Context, _ runtime.Process, _ process.IO) (process.Exit, error) {
		select {
		case <-end:
			return process.Exit{Code: 5}, nil
		case <-ctx.Done():
			return process.Exit{}, ctx.Err()
		}
	}}
	synctest.Test(t, func(t *testing.T) {
		end = make(chan struct{})
		x := commands(t, h)
		id := begun(t, x, Want{Args: []string{"x"}})
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if err := x.RunExec(ctx, id, false, process.IO{}); err != nil {
			t.Error(err)
		}
		if d, _ := x.InspectExec(id); !d.Running || h.inFlight.Load() != 1 {
			t.Errorf("its caller has gone: %+v, %d requests in flight", d, h.inFlight.Load())
		}
		close(end)
		synctest.Wait()
		if d, _ := x.InspectExec(id); d.Running || d.Exit == nil || d.Exit.Code != 5 {
			t.Errorf("ended: %+v", d)
		}
	})
}

// TestTheLastSizeCounts: a terminal's size that is told before the command runs is its first.
func TestTheLastSizeCounts(t *testing.T) {
	var got process.WinSize
	x := commands(t, &host{run: func(_ context.Context, _ runtime.Process, streams process.IO) (process.Exit, error) {
		got = <-streams.Resize
		return process.Exit{}, nil
	}})
	id := begun(t, x, Want{Args: []string{"x"}, TTY: true})
	for _, rows := range []uint16{10, 20} {
		if err := x.ResizeExec(t.Context(), id, process.WinSize{Rows: rows, Cols: 80}); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.RunExec(t.Context(), id, false, process.IO{}); err != nil || got.Rows != 20 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestForgotten: what nobody asks about any more is forgotten some time after its end, what runs never.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{}
		x := commands(t, h)
		runs, ends := begun(t, x, Want{Args: []string{"x"}}), begun(t, x, Want{Args: []string{"x"}})
		h.run = func(context.Context, runtime.Process, process.IO) (process.Exit, error) { return process.Exit{}, nil }
		if err := x.RunExec(t.Context(), ends, false, process.IO{}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			after time.Duration
			known bool
		}{{execKept, true}, {time.Second, false}} {
			time.Sleep(c.after) // of the bubble's clock
			if _, err := x.CreateExec(t.Context(), web, Want{Args: []string{"x"}}); err != nil {
				t.Fatal(err)
			}
			if _, err := x.InspectExec(ends); (err == nil) != c.known {
				t.Errorf("after %v more: %v", c.after, err)
			}
			if _, err := x.InspectExec(runs); err != nil {
				t.Errorf("what runs: %v", err)
			}
		}
	})
}

// TestFull: as many as may be are kept; the one that has ended the longest time ago makes room, and where all run there is none.
func TestFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := commands(t, &host{})
		first := ""
		for range maxExecs {
			id, err := x.CreateExec(t.Context(), web, Want{Args: []string{"x"}})
			if err != nil {
				t.Fatal(err)
			}
			if first == "" {
				first = id
			}
			time.Sleep(time.Millisecond) // of the bubble's clock
		}
		last, err := x.CreateExec(t.Context(), web, Want{Args: []string{"x"}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.InspectExec(first); !errors.Is(err, errdefs.ErrNotFound) || len(x.all) != maxExecs {
			t.Errorf("the first: %v; %d are kept", err, len(x.all))
		}
		if _, err := x.InspectExec(last); err != nil {
			t.Error(err)
		}
		for id := range x.all {
			if _, err := x.BeginExec(t.Context(), id, Start{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := x.CreateExec(t.Context(), web, Want{Args: []string{"x"}}); !errors.Is(err, errdefs.ErrUnavailable) {
			t.Error(err)
		}
	})
}
