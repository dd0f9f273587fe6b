package runtime_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

// status is what the monitor of id left for whoever adopts it.
func (h *host) status(id string) proto.Status {
	h.t.Helper()
	b, err := os.ReadFile(h.roots.InRun("containers", id, proto.StatusName))
	must(h.t, err)
	var s proto.Status
	must(h.t, json.Unmarshal(b, &s))
	return s
}

// nextDaemon drops the Driver without a word to the containers, as SIGKILL does, and makes another.
func (h *host) nextDaemon(between func()) {
	h.t.Helper()
	must(h.t, h.Close())
	if between != nil {
		between()
	}
	h.Driver = h.driver()
}

func TestAdoptRunning(t *testing.T) {
	h := newHost(t)
	c := h.sh("trap 'exit 8' TERM; echo up; while :; do sleep 0.02; done")
	before := h.up(c)
	h.eventuallyLog(c, "up")
	h.nextDaemon(nil)
	after, err := h.State(t.Context(), c.ID)
	must(t, err)
	if after.Status != runtime.Running || after.Pid != before.Pid || after.PidStart != before.PidStart || !after.StartedAt.Equal(before.StartedAt) {
		t.Errorf("before %+v after %+v", before, after)
	}
	var out buffer
	x, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"echo", "hi"}}, process.IO{Stdout: &out})
	must(t, err)
	if x.Code != 0 || out.String() != "hi\n" {
		t.Errorf("exec in an adopted container: %+v %q", x, out.String())
	}
	events := h.Events(t.Context())
	if x, err := h.Stop(t.Context(), c.ID, 10*time.Second); err != nil || x.Code != 8 {
		t.Errorf("stop of an adopted container: %+v %v", x, err)
	}
	select {
	case e := <-events:
		if e.Kind != runtime.EventExited || e.Exit == nil || e.Exit.Code != 8 {
			t.Errorf("event %+v", e)
		}
	case <-time.After(sandbox.Patience):
		t.Error("no event of an adopted container's end")
	}
}

func TestExitWithoutDaemon(t *testing.T) {
	h := newHost(t)
	c := h.sh("trap 'echo late; exit 9' TERM; echo up; while :; do sleep 0.02; done")
	st := h.up(c)
	h.eventuallyLog(c, "up")
	h.nextDaemon(func() {
		must(t, unix.Kill(st.Pid, unix.SIGTERM))
		sandbox.Eventually(t, "the exit is on record", func() bool {
			_, err := os.Stat(h.roots.InState("containers", c.ID, "exit.json"))
			return err == nil
		})
	})
	if x := h.wait(c.ID); x.Code != 9 || x.Error != "" {
		t.Errorf("exit %+v, want 9", x)
	}
	if !strings.Contains(h.log(c), "late") {
		t.Errorf("log %q", h.log(c))
	}
}

func TestExitAfterAdoption(t *testing.T) {
	h := newHost(t)
	c := h.sh("trap 'exit 11' TERM; echo up; while :; do sleep 0.02; done")
	st := h.up(c)
	h.eventuallyLog(c, "up")
	h.nextDaemon(nil)
	must(t, unix.Kill(st.Pid, unix.SIGTERM))
	if x := h.wait(c.ID); x.Code != 11 {
		t.Errorf("exit %+v, want 11", x)
	}
}

func TestWaitersAtClose(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	h.up(c)
	done := make(chan error, 1)
	first := h.Driver
	go func() { _, err := first.Wait(t.Context(), c.ID); done <- err }()
	h.nextDaemon(nil)
	// Either it had begun to wait and was told, or it found the closed Driver.
	select {
	case err := <-done:
		if !errors.Is(err, errdefs.ErrUnavailable) {
			t.Errorf("a wait at the end of its daemon: %v", err)
		}
	case <-time.After(sandbox.Patience):
		t.Error("a wait outlives its daemon")
	}
}

func TestMonitorKilled(t *testing.T) {
	for _, who := range []string{"with its daemon", "between two daemons"} {
		t.Run(who, func(t *testing.T) {
			h := newHost(t)
			c := h.sh("sleep 1000 & echo up; wait")
			begun := h.up(c)
			h.eventuallyLog(c, "up")
			s := h.status(c.ID)
			kill := func() { must(t, unix.Kill(s.MonitorPid, unix.SIGKILL)) }
			if who == "with its daemon" {
				kill()
			} else {
				h.nextDaemon(kill)
			}
			x := h.wait(c.ID)
			if x.Code != 137 || !x.Unseen || !strings.Contains(x.Error, "monitor") {
				t.Errorf("exit %+v, want 137 that names the monitor", x)
			}
			sandbox.Eventually(t, "the container's init is gone", func() bool { return unix.Kill(s.Pid, 0) == unix.ESRCH })
			st, err := h.State(t.Context(), c.ID)
			must(t, err)
			if st.Status != runtime.Stopped || st.Exit == nil || st.Exit.Code != 137 || !st.Exit.Unseen || !st.StartedAt.Equal(begun.StartedAt) {
				t.Errorf("state %+v", st)
			}
			if text := h.log(c); text != "up\n" {
				t.Errorf("the log is %q", text)
			}
			h.up(c) // and it can be started again
		})
	}
}

// goDown leaves of container id, which has ended, what a power cut does: the run root empty, a record of a run in another boot, no exit.
func (h *host) goDown(id string) {
	h.t.Helper()
	must(h.t, os.RemoveAll(h.roots.Run))
	must(h.t, os.Remove(h.roots.InState("containers", id, "exit.json")))
	path := h.roots.InState("containers", id, "run.json")
	b, err := os.ReadFile(path)
	must(h.t, err)
	var m map[string]any
	must(h.t, json.Unmarshal(b, &m))
	m["boot"] = "another"
	b, err = json.Marshal(m)
	must(h.t, err)
	must(h.t, os.WriteFile(path, b, 0o600))
}

func TestHostWentDown(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	h.up(c)
	_, err := h.Stop(t.Context(), c.ID, 0)
	must(t, err)
	h.nextDaemon(func() { h.goDown(c.ID) })
	if x := h.wait(c.ID); x.Code != 137 || !strings.Contains(x.Error, "host went down") || x.StartedAt.IsZero() {
		t.Errorf("exit %+v", x)
	}
	h.up(c)
}

func TestDebrisIsRemoved(t *testing.T) {
	h := newHost(t)
	c := h.config("true")
	h.up(c)
	h.wait(c.ID)
	h.nextDaemon(func() {
		// A Create and a Delete that were killed in their middle, and a run directory of nobody.
		must(t, os.MkdirAll(h.roots.InState("containers", "half"), 0o700))
		must(t, os.WriteFile(h.roots.InState("containers", "half", ".config.json.tmp-1"), []byte("{"), 0o600))
		must(t, os.MkdirAll(h.roots.InRun("containers", "gone"), 0o700))
		tree := "/sys/fs/cgroup/pids"
		if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil { // v2 alone
			tree = "/sys/fs/cgroup"
		}
		must(t, os.MkdirAll(filepath.Join(tree, "stack-"+h.roots.Instance(), "lost"), 0o755))
	})
	list, err := h.List(t.Context())
	must(t, err)
	if len(list) != 1 || list[0].ID != c.ID {
		t.Errorf("list %+v", list)
	}
	// The rest is checked by sweep and LeavesNothing.
}
