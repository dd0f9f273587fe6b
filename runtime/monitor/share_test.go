package monitor_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/proto"
)

// waiting is the init of c, which is held back.
func (c *container) waiting() (pid int) {
	c.t.Helper()
	c.AwaitAttach = true
	c.start()
	c.await(proto.ReportListening)
	sandbox.Eventually(c.t, "the init is there", func() bool {
		// Of every thread: a clone is its maker's.
		for _, task := range tasks(c.pid) {
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", c.pid, task))
			if f := strings.Fields(string(b)); len(f) > 0 {
				pid, _ = strconv.Atoi(f[0])
			}
		}
		return pid > 0
	})
	return pid
}

func tasks(pid int) (names []string) {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// sameMemory asks kcmp(2).
func sameMemory(t *testing.T, a, b int) bool {
	t.Helper()
	const kcmpVM = 1
	r, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), kcmpVM, 0, 0, 0)
	if errno == unix.ENOSYS {
		t.Skip("SKIP: this kernel has no kcmp")
	}
	if errno != 0 {
		t.Fatal(errno)
	}
	return r == 0
}

// TestSharedMemory: an init has its monitor's memory until its execve, but for those that should not.
func TestSharedMemory(t *testing.T) {
	adj := 500
	for name, test := range map[string]struct {
		change func(c *container)
		shared bool
	}{
		"usual":                      {func(c *container) {}, true},
		"little memory":              {func(c *container) { c.Cramped = true }, false},
		"a score for the OOM killer": {func(c *container) { c.Spec.Process.OOMScoreAdj = &adj }, false},
		"the host's pid namespace": {func(c *container) {
			c.Spec.Linux.Namespaces = slices.DeleteFunc(c.Spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.PIDNamespace })
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newContainer(t, image(t), "cat /proc/1/oom_score_adj")
			test.change(c)
			init := c.waiting()
			if got := sameMemory(t, c.pid, init); got != test.shared {
				t.Errorf("shared: %v", got)
			}
			if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", c.pid)); err != nil || strings.TrimSpace(string(b)) == "500" {
				t.Errorf("the monitor has the score %q (%v)", b, err)
			}
			c.attach(t, proto.AttachRequest{})
			c.await(proto.ReportStarted)
			c.await(proto.ReportExited)
		})
	}
}

// TestMonitorDiesBeforeItsInitExecutes: what has the memory of a process that was killed ends too.
func TestMonitorDiesBeforeItsInitExecutes(t *testing.T) {
	c := newContainer(t, image(t), "touch /it-ran")
	init := c.waiting()
	must(t, unix.Kill(c.pid, unix.SIGKILL))
	sandbox.Eventually(t, "the init is gone", func() bool { return unix.Kill(init, 0) == unix.ESRCH })
}
