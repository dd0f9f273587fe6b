package cgroup

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/proto"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, name string, opt Options) *Parent {
	t.Helper()
	parent, err := Open(name, opt)
	must(t, err)
	t.Cleanup(func() {
		ids, err := parent.List()
		if err != nil {
			t.Error(err)
		}
		for _, id := range ids {
			must(t, parent.Kill(context.Background(), id))
			must(t, parent.Remove(context.Background(), id))
		}
		parent.Prune()
	})
	return parent
}

// enter starts a process in the cgroups of id.
func enter(t *testing.T, parent *Parent, id string, args ...string) *exec.Cmd {
	t.Helper()
	// It is moved before it becomes what it is to be, so that all that it forks is there too.
	cmd := exec.Command("sh", append([]string{"-c", `read go; exec "$@"`, "sh"}, args...)...)
	gate, err := cmd.StdinPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	g := parent.Group(id)
	for _, dir := range append(g.V1, g.V2) {
		if dir != "" {
			must(t, os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(cmd.Process.Pid)), 0))
		}
	}
	_, err = io.WriteString(gate, "\n")
	must(t, err)
	must(t, gate.Close())
	return cmd
}

func create(p *Parent, id string, r *specs.LinuxResources) (g proto.Cgroup, warnings []string, err error) {
	plan, err := p.Plan(id, r)
	if err != nil {
		return g, nil, err
	}
	warnings, err = plan.Make()
	return plan.Group(), warnings, err
}

func TestLife(t *testing.T) {
	sandbox.LeavesNothing(t)
	parent := open(t, "stack-aaaaaa", Options{})
	other := open(t, "stack-bbbbbb", Options{})
	r := &specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: p[int64](64<<20 + 17), Reservation: p[int64](32 << 20)},
		CPU:     &specs.LinuxCPU{Shares: p[uint64](2048), Quota: p[int64](20000), Period: p[uint64](50000), Cpus: "0", Mems: "0"},
		Pids:    &specs.LinuxPids{Limit: p[int64](50)},
		Devices: DefaultDevices(),
	}
	g, warnings, err := create(parent, "one", r)
	must(t, err)
	if len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
	if _, err := os.Stat(g.OOM); err != nil {
		t.Error(err)
	}
	_, _, err = create(other, "one", nil)
	must(t, err)

	cmd := enter(t, parent, "one", "sleep", "1000")
	if yes, err := parent.Populated("one"); err != nil || !yes {
		t.Errorf("populated: %v %v", yes, err)
	}
	if yes, err := other.Populated("one"); err != nil || yes {
		t.Errorf("the other instance is populated: %v %v", yes, err)
	}
	if _, _, err := create(parent, "one", r); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("create over a process: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	if err := parent.Remove(ctx, "one"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("remove over a process: %v", err)
	}
	cancel()
	must(t, parent.Freeze(t.Context(), "one", true))
	if f, err := parent.Frozen("one"); err != nil || !f {
		t.Errorf("frozen: %v %v", f, err)
	}
	must(t, parent.Freeze(t.Context(), "one", false))
	must(t, parent.Kill(t.Context(), "one"))
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != unix.SIGKILL {
		t.Errorf("the process ended with %v", err)
	}
	must(t, parent.Remove(t.Context(), "one"))
	must(t, parent.Remove(t.Context(), "one"))
	must(t, parent.Kill(t.Context(), "one"))
	if ids, err := parent.List(); err != nil || len(ids) != 0 {
		t.Errorf("left: %v %v", ids, err)
	}
	if ids, err := other.List(); err != nil || len(ids) != 1 {
		t.Errorf("the other instance has %v %v", ids, err)
	}
	must(t, other.Remove(t.Context(), "one"))
}

func TestKillWithoutCgroupKill(t *testing.T) {
	sandbox.LeavesNothing(t)
	parent := open(t, "stack-cccccc", Options{})
	if len(parent.host.v1) == 0 {
		t.Skip("SKIP: this host has no cgroup v1")
	}
	parent.host.v2 = "" // as on a v1 host
	_, _, err := create(parent, "one", nil)
	must(t, err)
	cmd := enter(t, parent, "one", "sh", "-c", "sleep 1000 & sleep 1000 & sleep 1000 & wait")
	sandbox.Eventually(t, "four processes", func() bool {
		pids, err := procs(parent.Group("one").V1[0])
		return err == nil && len(pids) == 4
	})
	must(t, parent.Freeze(t.Context(), "one", true))
	if f, err := parent.Frozen("one"); err != nil || !f {
		t.Errorf("frozen: %v %v", f, err)
	}
	must(t, parent.Freeze(t.Context(), "one", false))
	must(t, parent.Kill(t.Context(), "one"))
	cmd.Wait()
	must(t, parent.Remove(t.Context(), "one"))
}

func TestStrict(t *testing.T) {
	sandbox.LeavesNothing(t)
	parent := open(t, "stack-dddddd", Options{Strict: true})
	_, _, err := create(parent, "one", &specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"mlx": {}}})
	if !errors.Is(err, errdefs.ErrNotSupported) || !strings.Contains(err.Error(), "rdma") {
		t.Errorf("got %v", err)
	}
	if ids, _ := parent.List(); len(ids) != 0 {
		t.Errorf("a failed create left %v", ids)
	}
}

func TestImpossibleValue(t *testing.T) {
	sandbox.LeavesNothing(t)
	parent := open(t, "stack-eeeeee", Options{})
	_, _, err := create(parent, "one", &specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "4000"}})
	if err == nil || !strings.Contains(err.Error(), "cpuset cpus") || !strings.Contains(err.Error(), "4000") {
		t.Errorf("got %v", err)
	}
	_, warnings, err := create(parent, "two", &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: p[uint64](1 << 30)}})
	must(t, err)
	if len(parent.host.v1) > 0 && (len(warnings) != 1 || !strings.Contains(warnings[0], "262144")) {
		t.Errorf("the kernel's own idea is not told: %q", warnings)
	}
	must(t, parent.Remove(t.Context(), "two"))
}

// TestDeviceProgram attaches the BPF program for real: cgroup2 has it on hybrid hosts too.
func TestDeviceProgram(t *testing.T) {
	sandbox.LeavesNothing(t)
	parent := open(t, "stack-ffffff", Options{})
	if parent.host.v2 == "" {
		t.Skip("SKIP: this host has no cgroup v2")
	}
	for name, tc := range map[string]struct {
		rules []specs.LinuxDeviceCgroup
		want  map[string]bool // path, or "w:"+path for writing → may be opened
	}{
		"docker": {DefaultDevices(), map[string]bool{"/dev/null": true, "w:/dev/zero": true, "/dev/urandom": true, "/dev/kmsg": false}},
		"one":    {[]specs.LinuxDeviceCgroup{{Access: "rwm"}, rule(true, "c", 1, 5, "r")}, map[string]bool{"/dev/zero": true, "w:/dev/zero": false, "/dev/null": false}},
		"all but": {[]specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}, rule(false, "c", 1, 5, "w")},
			map[string]bool{"/dev/zero": true, "w:/dev/zero": false, "w:/dev/null": true}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(parent.host.v2, parent.name+"-dev")
			must(t, os.Mkdir(dir, 0o755))
			defer func() { must(t, rmdirTree(dir)) }()
			set, err := newDeviceSet(tc.rules)
			must(t, err)
			warnings, err := set.attach(dir)
			must(t, err)
			if len(warnings) > 0 {
				t.Skipf("SKIP: %s", warnings[0])
			}
			fd, err := os.Open(dir)
			must(t, err)
			defer fd.Close()
			for path, may := range tc.want {
				script := "exec 3<"
				if strings.HasPrefix(path, "w:") {
					script = "exec 3>"
				}
				cmd := exec.Command("/bin/sh", "-c", script+strings.TrimPrefix(path, "w:"))
				// Streams of our own: /dev/null may be what is denied.
				cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
				cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(fd.Fd())}
				if err := cmd.Run(); (err == nil) != may {
					t.Errorf("open %s: %v, want allowed = %v", path, err, may)
				}
			}
		})
	}
}

// v2Only opens a parent where cgroup v2 has the controllers.
func v2Only(t *testing.T, name string) *Parent {
	t.Helper()
	sandbox.LeavesNothing(t)
	parent := open(t, name, Options{})
	if !slices.Contains(parent.host.v2Controllers, "memory") {
		t.Skip("SKIP: cgroup v2 has no controllers on this host")
	}
	return parent
}

// TestV2Values is what the kernel holds for each limit.
func TestV2Values(t *testing.T) {
	parent := v2Only(t, "stack-121212")
	g, warnings, err := create(parent, "one", &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: p[int64](64<<20 + 17), Swap: p[int64](96 << 20), Reservation: p[int64](32 << 20)},
		CPU:    &specs.LinuxCPU{Shares: p[uint64](512), Quota: p[int64](25000), Period: p[uint64](50000), Cpus: "0", Mems: "0"},
		Pids:   &specs.LinuxPids{Limit: p[int64](7)},
	})
	must(t, err)
	for _, w := range warnings {
		if !strings.Contains(w, "memory.swap.max") { // CONFIG_SWAP, swapaccount=0
			t.Errorf("warning %q", w)
		}
	}
	if len(g.V1) > 0 || g.OOM != filepath.Join(g.V2, "memory.events") {
		t.Errorf("group %+v", g)
	}
	for file, want := range map[string]string{
		"memory.max": "67108864", "memory.low": "33554432", "cpu.weight": "59", "cpu.max": "25000 50000", "cpuset.cpus": "0", "pids.max": "7",
	} {
		b, err := os.ReadFile(filepath.Join(g.V2, file))
		must(t, err)
		if got := strings.TrimSpace(string(b)); got != want {
			t.Errorf("%s = %q, want %q", file, got, want)
		}
	}
	must(t, parent.Remove(t.Context(), "one"))
}

// TestOnlyWhatIsAskedForIsHandedDown: what the root of cgroup2 hands down stays so for everybody on the host.
func TestOnlyWhatIsAskedForIsHandedDown(t *testing.T) {
	sandbox.LeavesNothing(t)
	parent := open(t, "stack-151515", Options{})
	if !slices.Contains(parent.host.v2Controllers, "hugetlb") {
		t.Skip("SKIP: cgroup v2 has no hugetlb on this host")
	}
	handedDown := func(dir string) bool {
		b, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
		must(t, err)
		return slices.Contains(strings.Fields(string(b)), "hugetlb")
	}
	if root := parent.host.v2; !handedDown(root) {
		t.Cleanup(func() { must(t, writeFile(filepath.Join(root, "cgroup.subtree_control"), "-hugetlb")) })
	}

	_, _, err := create(parent, "one", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: p[int64](7)}})
	must(t, err)
	if dir := filepath.Join(parent.host.v2, "stack-151515"); handedDown(dir) {
		t.Errorf("%s hands hugetlb down, which nobody has asked for", dir)
	}
	g, warnings, err := create(parent, "two", &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}})
	must(t, err)
	if len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
	b, err := os.ReadFile(filepath.Join(g.V2, "hugetlb.2MB.max"))
	must(t, err)
	if got := strings.TrimSpace(string(b)); got != "4194304" {
		t.Errorf("hugetlb.2MB.max = %q, want 4194304", got)
	}
	must(t, parent.Remove(t.Context(), "one"))
	must(t, parent.Remove(t.Context(), "two"))
	parent.Prune()
}

// TestRootHoldsProcesses is a delegated root as a container or a service has it: the processes in it must make room before
// it can give controllers away, and must stay alive.
func TestRootHoldsProcesses(t *testing.T) {
	parent := v2Only(t, "stack-131313")
	control := filepath.Join(parent.host.v2, "cgroup.subtree_control")
	on, err := os.ReadFile(control)
	must(t, err)
	for c := range strings.FieldsSeq(string(on)) {
		must(t, writeFile(control, "-"+c))
	}
	cmd := exec.Command("sleep", "1000")
	must(t, cmd.Start())
	leaf := filepath.Join(parent.host.v2, "init")
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		sandbox.Eventually(t, "rmdir "+leaf, func() bool { return unix.Rmdir(leaf) != unix.EBUSY })
	})
	must(t, writeFile(filepath.Join(parent.host.v2, "cgroup.procs"), strconv.Itoa(cmd.Process.Pid)))

	_, warnings, err := create(parent, "one", &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: p[int64](7)}})
	must(t, err)
	if len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
	if pids, err := procs(leaf); err != nil || !slices.Contains(pids, cmd.Process.Pid) {
		t.Errorf("%s holds %v (%v), want %d", leaf, pids, err, cmd.Process.Pid)
	}
	must(t, parent.Remove(t.Context(), "one"))
}

// TestParentOfAKilledDaemon: the directory is there and gives nothing down yet.
func TestParentOfAKilledDaemon(t *testing.T) {
	parent := v2Only(t, "stack-141414")
	must(t, os.Mkdir(filepath.Join(parent.host.v2, parent.name), 0o755))
	limit := &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: p[int64](7)}}
	_, warnings, err := create(parent, "one", limit)
	must(t, err)
	if len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}

	// And where it cannot be done, the limit is told of: a cgroup that holds a process gives no memory down (cgroup-v2.rst, "Threads": pids it may).
	dir := filepath.Join(parent.host.v2, parent.name)
	control := filepath.Join(dir, "cgroup.subtree_control")
	on, err := os.ReadFile(control)
	must(t, err)
	for c := range strings.FieldsSeq(string(on)) {
		must(t, writeFile(control, "-"+c))
	}
	cmd := exec.Command("sleep", "1000")
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	must(t, writeFile(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(cmd.Process.Pid)))
	_, warnings, err = create(parent, "two", &specs.LinuxResources{Memory: &specs.LinuxMemory{Reservation: p[int64](32 << 20)}})
	must(t, err)
	if len(warnings) != 1 || !strings.Contains(warnings[0], "the cgroups above do not hand the memory controller down") {
		t.Errorf("warnings %q", warnings)
	}
	must(t, cmd.Process.Kill())
	_ = cmd.Wait()
	must(t, parent.Remove(t.Context(), "one"))
	must(t, parent.Remove(t.Context(), "two"))
}

// A cgroup may go between the open and the read of one of its files, which fails with ENODEV then.
func TestLookingAtWhatIsRemoved(t *testing.T) {
	sandbox.LeavesNothing(t)
	parent := open(t, "stack-looking", Options{})
	const id = "comes-and-goes"
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			if _, _, err := create(parent, id, nil); err != nil {
				t.Error(err)
				return
			}
			if err := parent.Remove(t.Context(), id); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for {
		if _, err := parent.Frozen(id); err != nil {
			t.Errorf("frozen: %v", err)
		}
		if _, err := parent.Populated(id); err != nil {
			t.Errorf("populated: %v", err)
		}
		if err := parent.Kill(t.Context(), id); err != nil {
			t.Errorf("kill: %v", err)
		}
		select {
		case <-done:
			return
		default:
		}
		if t.Failed() {
			<-done
			return
		}
	}
}

// TestExiting: cgroup v1 shows who ends at the root of its hierarchies, which is no stray.
func TestExiting(t *testing.T) {
	if exiting(os.Getpid()) {
		t.Error("this process is said to end")
	}
	cmd := exec.Command("true")
	must(t, cmd.Start())
	defer cmd.Wait() // until then it is a zombie
	sandbox.Eventually(t, "a program that has ended is said to", func() bool { return exiting(cmd.Process.Pid) })
}
