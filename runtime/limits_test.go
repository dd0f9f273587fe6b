package runtime_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
)

func ptr[T any](v T) *T { return &v }

func TestOutOfMemory(t *testing.T) {
	h := newHost(t)
	events := h.Events(t.Context())
	c := h.sh("head -c 200m /dev/zero | tail -c 150m >/dev/null; exit 5")
	c.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr[int64](24 << 20), Swap: ptr[int64](24 << 20)}
	st := h.up(c)
	if len(st.Warnings) > 0 {
		t.Errorf("warnings %q", st.Warnings)
	}
	x := h.wait(c.ID)
	if !x.OOM {
		t.Errorf("exit %+v does not tell of the lack of memory", x)
	}
	for {
		select {
		case e := <-events:
			if e.Kind == runtime.EventOOM {
				return
			}
		case <-time.After(sandbox.Patience):
			t.Fatal("no oom event")
		}
	}
}

// TestOutOfMemoryBeforeTheProgram: the kernel ends whoever has the memory of what it ends, and the init that had its monitor's took that with it.
func TestOutOfMemoryBeforeTheProgram(t *testing.T) {
	h := newHost(t)
	c := h.config("/bin/true")
	c.Spec.Process.Env = append(c.Spec.Process.Env, slices.Repeat([]string{"FILLER=" + strings.Repeat("x", 100<<10)}, 15)...)
	c.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr[int64](512 << 10), Swap: ptr[int64](512 << 10)}
	_, err := h.Create(t.Context(), c)
	must(t, err)
	if _, err = h.Start(t.Context(), c.ID); err != nil {
		t.Fatalf("its monitor cannot tell of the end in execve: %v", err)
	}
	if x := h.wait(c.ID); !x.OOM || x.Code != 137 {
		t.Errorf("exit %+v", x)
	}
}

func TestNotOutOfMemory(t *testing.T) {
	h := newHost(t)
	c := h.sh("exit 137")
	c.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr[int64](64 << 20)}
	h.up(c)
	if x := h.wait(c.ID); x.OOM || x.Code != 137 {
		t.Errorf("exit %+v", x)
	}
}

func TestPidsLimit(t *testing.T) {
	h := newHost(t)
	c := h.sh("n=0; while [ $n -lt 40 ]; do sleep 1000 & n=$((n+1)); done; echo all of them")
	c.Spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr[int64](16)}
	h.up(c)
	x := h.wait(c.ID)
	if x.Code == 0 || !strings.Contains(h.log(c), "can't fork") || strings.Contains(h.log(c), "all of them") {
		t.Errorf("exit %+v log %q", x, h.log(c))
	}
}

func TestCPUQuotaIsSet(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	c.Spec.Linux.Resources.CPU = &specs.LinuxCPU{Quota: ptr[int64](25000), Period: ptr[uint64](100000), Shares: ptr[uint64](512), Cpus: "0"}
	st := h.up(c)
	if len(st.Warnings) > 0 {
		t.Errorf("warnings %q", st.Warnings)
	}
	dir := filepath.Join("stack-"+h.roots.Instance(), c.ID)
	v1 := map[string]string{
		"cpu/" + dir + "/cpu.cfs_quota_us": "25000", "cpu/" + dir + "/cpu.shares": "512", "cpuset/" + dir + "/cpuset.cpus": "0",
	}
	v2 := map[string]string{dir + "/cpu.max": "25000 100000", dir + "/cpuset.cpus": "0"}
	want := v1
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		want = v2
	}
	for file, value := range want {
		b, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", file))
		must(t, err)
		if got := strings.TrimSpace(string(b)); got != value {
			t.Errorf("%s = %q, want %q", file, got, value)
		}
	}
}

func TestLimitThatCannotBeApplied(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	c.Spec.Linux.Resources.CPU = &specs.LinuxCPU{RealtimeRuntime: ptr[int64](1000)}
	st := h.up(c)
	if len(st.Warnings) != 1 || !strings.Contains(st.Warnings[0], "realtime") {
		t.Errorf("warnings %q", st.Warnings)
	}
	again, err := h.State(t.Context(), c.ID)
	must(t, err)
	if len(again.Warnings) != 1 {
		t.Errorf("a later look does not show the warning: %q", again.Warnings)
	}
	_, err = h.Stop(t.Context(), c.ID, 0)
	must(t, err)

	must(t, h.Close())
	h.Driver, err = runtime.New(t.Context(), runtime.Options{Roots: h.roots, StrictLimits: true})
	must(t, err)
	_, err = h.Start(t.Context(), c.ID)
	var se *runtime.StartError
	if !errors.As(err, &se) || !strings.Contains(err.Error(), "realtime") {
		t.Errorf("strict: %v", err)
	}
	if errors.Is(err, errdefs.ErrNotFound) {
		t.Error("wrong kind")
	}
}

func TestDevicesAreDenied(t *testing.T) {
	h := newHost(t)
	// 1:1 is /dev/mem: it may be made (mknod is allowed, as in Docker) and not be opened.
	c := h.sh("echo x >/dev/null && head -c1 /dev/zero >/dev/null && /bin/busybox mknod /tmp/mem c 1 1 && ! head -c1 /tmp/mem && exit 21")
	h.up(c)
	if x := h.wait(c.ID); x.Code != 21 || !strings.Contains(h.log(c), "Operation not permitted") {
		t.Errorf("exit %+v log %q", x, h.log(c))
	}
}

// More open files than fs.nr_open nobody can have, and a low OOM score only who has CAP_SYS_RESOURCE: the container runs with what
// there is, and says so.
func TestMoreThanTheMachineGives(t *testing.T) {
	h := newHost(t)
	c := h.sh("ulimit -Hn; cat /proc/self/oom_score_adj")
	c.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: ^uint64(0), Hard: ^uint64(0)}}
	c.Spec.Process.OOMScoreAdj = ptr(-999)
	st := h.up(c)
	if len(st.Warnings) == 0 || !slices.ContainsFunc(st.Warnings, func(w string) bool { return strings.Contains(w, "nofile: asked for unlimited:unlimited") }) {
		t.Errorf("warnings %q", st.Warnings)
	}
	if x := h.wait(c.ID); x.Code != 0 {
		t.Errorf("exit %+v", x)
	}
	told := slices.ContainsFunc(st.Warnings, func(w string) bool { return strings.HasPrefix(w, "oom_score_adj -999") })
	if log := h.log(c); strings.Contains(log, "-999\n") == told {
		t.Errorf("the score is applied or told of, not both and not neither: log %q, warnings %q", log, st.Warnings)
	}
}
