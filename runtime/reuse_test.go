package runtime_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

// monitorOf is the monitor of the last run of c, as its record has it.
func (h *host) monitorOf(c runtime.Config) (m struct{ Pid, Work int }) {
	h.t.Helper()
	var r struct{ Monitor *struct{ Pid, Work int } }
	b, err := os.ReadFile(h.roots.InState("containers", c.ID, "run.json"))
	must(h.t, err)
	must(h.t, json.Unmarshal(b, &r))
	return *r.Monitor
}

// short is a container that has ended and whose monitor waits for the next. A slow machine may take one for no short one.
func (h *host) short() (c runtime.Config, monitor int) {
	h.t.Helper()
	sandbox.Eventually(h.t, "the monitor of a container that has ended waits", func() bool {
		c = h.config("true")
		h.up(c)
		h.wait(c.ID)
		monitor = h.monitorOf(c).Pid
		return h.Spare() == monitor
	})
	return c, monitor
}

// served is a container A that has ended, and a container B that runs, of one process.
func (h *host) served() (a, b runtime.Config, st runtime.State, monitor int) {
	h.t.Helper()
	a, monitor = h.short()
	b = h.sh("trap 'exit 8' TERM; echo up; while :; do sleep 0.02; done")
	st = h.up(b)
	if got := parent(h.t, st.Pid); got != monitor {
		h.t.Fatalf("the monitor of the next container is %d, and %d waited", got, monitor)
	}
	if was, is := h.monitorOf(a), h.monitorOf(b); is.Pid != was.Pid || is.Work != was.Work+1 {
		h.t.Errorf("on record are %+v and %+v", was, is)
	}
	h.eventuallyLog(b, "up")
	return a, b, st, monitor
}

// stays checks that B runs on, as the same process and with the same monitor.
func (h *host) stays(b runtime.Config, st runtime.State, monitor int) {
	h.t.Helper()
	now, err := h.State(h.t.Context(), b.ID)
	must(h.t, err)
	if now.Status != runtime.Running || now.Pid != st.Pid || now.PidStart != st.PidStart || parent(h.t, st.Pid) != monitor {
		h.t.Errorf("the other container was %+v and is %+v", st, now)
	}
}

// over checks that A has ended, with this exit.
func (h *host) over(a runtime.Config, code int) {
	h.t.Helper()
	now, err := h.State(h.t.Context(), a.ID)
	must(h.t, err)
	if now.Status != runtime.Stopped || now.Exit == nil || now.Exit.Code != code || now.Pid != 0 {
		h.t.Errorf("the first container is %+v, exit %+v", now, now.Exit)
	}
	if x := h.wait(a.ID); x.Code != code {
		h.t.Errorf("its exit is %+v", x)
	}
}

// TestMonitorOfAnother: the record of a container that has ended names a process that is the monitor of another by now. Whoever reads it never takes that for
// its own, whatever other hands have made of the record.
func TestMonitorOfAnother(t *testing.T) {
	for name, tc := range map[string]struct {
		harm func(h *host, a runtime.Config, status []byte) // between two daemons; nil: nobody has died
		code int
	}{
		"the same daemon": {},
		"the next daemon": {harm: func(*host, runtime.Config, []byte) {}},
		"no exit": {code: 137, harm: func(h *host, a runtime.Config, _ []byte) {
			must(t, os.Remove(h.roots.InState("containers", a.ID, "exit.json")))
		}},
		"a damaged exit": {code: 137, harm: func(h *host, a runtime.Config, _ []byte) {
			must(t, os.WriteFile(h.roots.InState("containers", a.ID, "exit.json"), []byte("{"), 0o600))
		}},
		"an old status": {harm: func(h *host, a runtime.Config, status []byte) {
			must(t, os.WriteFile(h.roots.InRun("containers", a.ID, proto.StatusName), status, 0o600))
		}},
		"an old status, and no exit": {code: 137, harm: func(h *host, a runtime.Config, status []byte) {
			must(t, os.WriteFile(h.roots.InRun("containers", a.ID, proto.StatusName), status, 0o600))
			must(t, os.Remove(h.roots.InState("containers", a.ID, "exit.json")))
		}},
		"a damaged run": {harm: func(h *host, a runtime.Config, status []byte) {
			must(t, os.WriteFile(h.roots.InState("containers", a.ID, "run.json"), []byte("{"), 0o600))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			a, b, st, monitor := h.served()
			if tc.harm != nil {
				old := h.status(b.ID) // as that of A was
				old.Pid, old.PidStart, old.MonitorWork = 1<<22, 1, old.MonitorWork-1
				h.nextDaemon(func() { tc.harm(h, a, old.JSON()) })
			}
			h.over(a, tc.code)
			h.stays(b, st, monitor)
			list, err := h.List(t.Context())
			must(t, err)
			for _, s := range list {
				if want := map[bool]runtime.Status{true: runtime.Running, false: runtime.Stopped}[s.ID == b.ID]; s.Status != want {
					t.Errorf("%s is %s", s.ID, s.Status)
				}
			}
			if _, err := h.Sweep(t.Context(), true); err != nil {
				t.Error(err)
			}
			if _, err := h.Mend(t.Context(), a.ID); err != nil {
				t.Error(err)
			}
			if _, err := h.Stop(t.Context(), a.ID, 0); err != nil {
				t.Error(err)
			}
			must(t, h.Kill(t.Context(), a.ID, unix.SIGKILL))
			h.stays(b, st, monitor)
			// The first may start again, run beside the other, and go.
			again := h.up(a)
			if p := h.monitorOf(a).Pid; p == monitor {
				t.Error("one process is the monitor of two")
			} else if again.Pid == st.Pid {
				t.Errorf("it is %+v", again)
			}
			h.wait(a.ID)
			h.stays(b, st, monitor)
			must(t, h.Delete(t.Context(), a.ID))
			h.stays(b, st, monitor)
			if x, err := h.Stop(t.Context(), b.ID, sandbox.Patience); err != nil || x.Code != 8 {
				t.Errorf("the exit of the other is %+v, %v", x, err)
			}
		})
	}
}

// TestMonitorKilledWhileItServesAnother: that is the end of the other alone.
func TestMonitorKilledWhileItServesAnother(t *testing.T) {
	for name, between := range map[string]bool{"with its daemon": false, "between two daemons": true} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			a, b, _, monitor := h.served()
			kill := func() { must(t, unix.Kill(monitor, unix.SIGKILL)) }
			if between {
				h.nextDaemon(kill)
			} else {
				kill()
			}
			if x := h.wait(b.ID); x.Code != 137 || !x.Unseen {
				t.Errorf("the exit of the other is %+v", x)
			}
			h.over(a, 0)
		})
	}
}

// TestFreeMonitorIsKeptOnce: one waits; a second that is free ends, and so does one that waits when the Driver is closed.
func TestFreeMonitorIsKeptOnce(t *testing.T) {
	h := newHost(t)
	var first, second runtime.Config
	var one, two int
	sandbox.Eventually(t, "two that are short at once", func() bool {
		first, second = h.sh("read -r line"), h.sh("read -r line")
		ends := make(chan struct{})
		for _, c := range []runtime.Config{first, second} {
			c.StdinOpen = true
			_, err := h.Create(t.Context(), c)
			must(t, err)
			go func() {
				h.Run(t.Context(), c.ID, process.IO{Stdin: strings.NewReader("\n")}, nil) //nolint:errcheck // its exit is not what this is about
				ends <- struct{}{}
			}()
		}
		<-ends
		<-ends
		one, two = h.monitorOf(first).Pid, h.monitorOf(second).Pid
		return one != two && (h.Spare() == one || h.Spare() == two)
	})
	other := one + two - h.Spare()
	sandbox.Eventually(t, "the other has ended", func() bool { return unix.Kill(other, 0) == unix.ESRCH })
	waits := h.Spare()
	must(t, h.Driver.Close())
	if err := unix.Kill(waits, 0); err != unix.ESRCH {
		t.Errorf("the Driver is closed and the process waits on: %v", err)
	}
	h.Driver = h.driver()
}

// TestFreeMonitorKilled: one that is killed while it waits is not given work.
func TestFreeMonitorKilled(t *testing.T) {
	h := newHost(t)
	_, monitor := h.short()
	pidfd, err := unix.PidfdOpen(monitor, 0)
	must(t, err)
	defer unix.Close(pidfd)
	must(t, unix.Kill(monitor, unix.SIGKILL))
	sandbox.Eventually(t, "it has ended", func() bool {
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0) // 0 or EINTR: not yet
		return n == 1
	})
	if st := h.up(h.config("sleep", "1000")); parent(t, st.Pid) == monitor {
		t.Error("it is the monitor of the next")
	}
}

// TestUsedMonitorIsNotForOthersToSee: what a monitor was told of an earlier container is in the memory of its clones. Where processes of a container can be
// there before them, in its pid namespace, the clones are of a process that has had no other.
func TestUsedMonitorIsNotForOthersToSee(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	st := h.up(c)
	_, monitor := h.short()

	joins := h.config("sleep", "1000")
	for i := range joins.Spec.Linux.Namespaces {
		if ns := &joins.Spec.Linux.Namespaces[i]; ns.Type == specs.PIDNamespace {
			ns.Path = filepath.Join("/proc", strconv.Itoa(st.Pid), "ns/pid")
		}
	}
	if got := parent(t, h.up(joins).Pid); got == monitor {
		t.Error("it is the monitor of a container in another's pid namespace")
	}
	if h.Spare() != monitor {
		t.Errorf("%d waits, it was %d", h.Spare(), monitor)
	}
	_, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"true"}}, process.IO{})
	must(t, err)
	// For the next exec there is one that is new.
	sandbox.Eventually(t, "another waits", func() bool { return h.Spare() != 0 && h.Spare() != monitor })
	sandbox.Eventually(t, "the other has ended", func() bool { return unix.Kill(monitor, 0) == unix.ESRCH })
}
