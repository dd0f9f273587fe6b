package probe

import (
	"os"
	"strings"
	"testing"

	"github.com/stackrun/stack/cmd/stack/doctor"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

// A host on which the kernel tests run has what containers need; and looking leaves nothing behind.
func TestThisHostWillDo(t *testing.T) {
	sandbox.Require(t)
	sandbox.LeavesNothing(t)
	all := Run(roots.Roots{State: t.TempDir(), Run: t.TempDir()})
	names := map[string]bool{}
	for _, c := range all {
		names[c.Name] = true
		if c.State == doctor.Missing {
			t.Errorf("%+v", c)
		}
		if c.State != doctor.OK && c.Fix == "" {
			t.Errorf("%s is %s and nothing says what to do", c.Name, c.State)
		}
	}
	for _, want := range []string{"root", "overlayfs", "cgroups", "nftables", "bridge", "veth", "state root"} {
		if !names[want] {
			t.Errorf("nothing was found out about %s", want)
		}
	}
}

func TestControllers(t *testing.T) {
	const hybrid = `tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0
`
	mode, have := parseV1(hybrid)
	if mode != "hybrid" {
		t.Error("got", mode)
	}
	if c := controllers(mode, have); c.State != doctor.Warning || !strings.Contains(c.Detail, "without cpuset:") {
		t.Errorf("got %+v", c)
	}
	if c := controllers("v2", []string{"cpuset", "cpu", "io", "memory", "pids"}); c.State != doctor.OK {
		t.Errorf("got %+v", c)
	}
	if mode, _ := parseV1("proc /proc proc rw 0 0\n"); mode != "" {
		t.Error("got", mode)
	}
}
