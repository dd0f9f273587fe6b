package runtime_test

import (
	"errors"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/runtime"
)

// The init of init: true is one process of the container's own number, and not a handful of threads.
func TestInitUnderASmallPidsLimit(t *testing.T) {
	for _, limit := range []int64{2, 3} {
		h := newHost(t)
		c := h.sh("echo alone; [ $# -eq 0 ] || /bin/true; sleep 0.01 && echo with a child")
		c.Init = true
		c.Spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(limit)}
		h.up(c)
		x := h.wait(c.ID)
		if want := limit >= 3; !strings.Contains(h.log(c), "alone") || strings.Contains(h.log(c), "with a child") != want {
			t.Errorf("pids limit %d: exit %+v, log %q", limit, x, h.log(c))
		}
	}
}

func TestInitWithoutRoomForTheProgram(t *testing.T) {
	h := newHost(t)
	c := h.config("true")
	c.Init = true
	c.Spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr[int64](1)}
	_, err := h.Create(t.Context(), c)
	must(t, err)
	_, err = h.Start(t.Context(), c.ID)
	if start := new(runtime.StartError); err == nil || !errors.As(err, &start) || !strings.Contains(err.Error(), "pids_limit") {
		t.Errorf("started with one process for two: %v", err)
	} else if start.HostLacks() {
		t.Errorf("the host lacks nothing for it: %v", err)
	}
}
