package runtime_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// TestSpare: one program waits after a start, the next start and the next exec take it, one that was killed is replaced, and
// with the Driver it ends.
func TestSpare(t *testing.T) {
	h := newHost(t)
	h.Waits(time.Hour)
	if pid := h.Spare(); pid != 0 {
		t.Fatalf("before the first start %d waits", pid)
	}
	next := func(before int) int {
		t.Helper()
		sandbox.Eventually(t, "another program waits", func() bool { pid := h.Spare(); return pid != 0 && pid != before })
		return h.Spare()
	}
	first := h.config("sleep", "1000")
	h.up(first)
	spare := next(0)

	if got := parent(t, h.up(h.config("sleep", "1000")).Pid); got != spare {
		t.Errorf("the monitor of the next container is %d, and %d waited", got, spare)
	}
	spare = next(spare)

	var out, errs buffer
	_, err := h.Exec(t.Context(), first.ID, runtime.Process{Args: []string{"sh", "-c", "echo out; echo err >&2; read -r line || echo none"}}, process.IO{Stdout: &out, Stderr: &errs})
	must(t, err)
	if out.String() != "out\nnone\n" || errs.String() != "err\n" {
		t.Errorf("the exec says %q and %q", out.String(), errs.String())
	}
	spare = next(spare)

	pidfd, err := unix.PidfdOpen(spare, 0)
	must(t, err)
	defer unix.Close(pidfd)
	must(t, unix.Kill(spare, unix.SIGKILL))
	sandbox.Eventually(t, "the one that waited has ended", func() bool {
		n, _ := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0) // 0 or EINTR: not yet
		return n == 1
	})
	h.up(h.config("sleep", "1000"))
	spare = next(spare)

	if len(h.cgroups()) == 0 {
		t.Error("with containers the instance has no cgroups")
	}
	h.sweepContainers()
	sandbox.Eventually(t, "without containers nobody waits", func() bool { return h.Spare() == 0 })
	sandbox.Eventually(t, "without containers the instance has no cgroups", func() bool { return len(h.cgroups()) == 0 })
	h.up(h.config("sleep", "1000"))
	spare = next(0)
	must(t, h.Driver.Close())
	if err := unix.Kill(spare, 0); err != unix.ESRCH {
		t.Errorf("the Driver is closed and the program waits on: %v", err)
	}
	h.Driver = h.driver()
}

// cgroups are the instance's own.
func (h *host) cgroups() (dirs []string) {
	for _, tree := range []string{"", "*"} {
		found, err := filepath.Glob(filepath.Join("/sys/fs/cgroup", tree, "stack-"+h.roots.Instance()))
		must(h.t, err)
		dirs = append(dirs, found...)
	}
	return dirs
}

func parent(t testing.TB, pid int) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	must(t, err)
	ppid, err := strconv.Atoi(strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))[1])
	must(t, err)
	return ppid
}
