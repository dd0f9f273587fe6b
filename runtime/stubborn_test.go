package runtime_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
)

// Containers that do not go by themselves. A grace of zero and one that runs out are the same from there on.
func TestStopOfTheStubborn(t *testing.T) {
	for name, tc := range map[string]struct {
		script  string
		prepare func(*host, runtime.State)
	}{
		"ignores the signal": {"trap '' TERM; echo up; while :; do sleep 1000; done", func(*host, runtime.State) {}},
		"stopped by a signal": {"trap 'exit 0' TERM; echo up; while :; do sleep 0.02; done", func(h *host, st runtime.State) {
			must(h.t, unix.Kill(st.Pid, unix.SIGSTOP))
			sandbox.Eventually(h.t, "it is stopped", func() bool {
				b, err := os.ReadFile("/proc/" + strconv.Itoa(st.Pid) + "/stat")
				return err == nil && strings.Contains(string(b), ") T ")
			})
		}},
		"paused and deaf": {"trap '' TERM; echo up; while :; do sleep 1000; done", func(h *host, st runtime.State) {
			must(h.t, h.Pause(h.t.Context(), st.ID))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			c := h.sh(tc.script)
			st := h.up(c)
			h.eventuallyLog(c, "up")
			tc.prepare(h, st)
			x, err := h.Stop(t.Context(), c.ID, 100*time.Millisecond)
			if err != nil || x.Code != 137 || x.Error != "" {
				t.Errorf("exit %+v, %v", x, err)
			}
			must(t, h.Delete(t.Context(), c.ID))
		})
	}
}

func TestKillOfThePaused(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	h.up(c)
	must(t, h.Pause(t.Context(), c.ID))
	must(t, h.Kill(t.Context(), c.ID, unix.SIGKILL))
	if x := h.wait(c.ID); x.Code != 137 {
		t.Errorf("exit %+v", x)
	}
}
