package runtime_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

// cgroupDirs are the cgroups of id, of every tree.
func (h *host) cgroupDirs(id string) (dirs []string) {
	h.t.Helper()
	own := filepath.Join("stack-"+h.roots.Instance(), id)
	for _, pattern := range []string{"/sys/fs/cgroup/" + own, "/sys/fs/cgroup/*/" + own} {
		found, err := filepath.Glob(pattern)
		must(h.t, err)
		dirs = append(dirs, found...)
	}
	if len(dirs) == 0 {
		h.t.Fatal("no cgroup")
	}
	return dirs
}

// set writes a cgroup file of id, by the first of names that there is.
func (h *host) set(id, value string, names ...string) {
	h.t.Helper()
	for _, n := range names {
		if path := h.file(id, n); path != "" {
			must(h.t, os.WriteFile(path, []byte(value), 0))
			return
		}
	}
	h.t.Skipf("SKIP: this host has none of %q", names)
}

// file is the path of a file of the cgroups of id; "" where this host has none.
func (h *host) file(id, name string) string {
	for _, dir := range h.cgroupDirs(id) {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// inMounts runs a command in the mount namespace of pid, with the root of the container.
func inMounts(t *testing.T, pid int, args ...string) {
	t.Helper()
	out, err := exec.Command(sandbox.Tool(t, "nsenter"), append([]string{fmt.Sprintf("--target=%d", pid), "--mount", "--"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%q: %v: %s", args, err, out)
	}
}

func (h *host) state(id string) runtime.State {
	h.t.Helper()
	st, err := h.State(h.t.Context(), id)
	must(h.t, err)
	return st
}

// problem is that of id in List, as a receiver of a hint sees it.
func (h *host) problem(id string) string {
	h.t.Helper()
	all, err := h.List(h.t.Context())
	must(h.t, err)
	for _, s := range all {
		if s.ID == id {
			return s.Problem
		}
	}
	h.t.Fatalf("container %.12s is not listed", id)
	return ""
}

// limited is a container with limits of every kind and a mount of every kind.
func (h *host) limited() runtime.Config {
	h.t.Helper()
	c := h.sh("sleep 1000 & echo up; wait")
	r := c.Spec.Linux.Resources
	r.Memory = &specs.LinuxMemory{Limit: ptr[int64](32 << 20), Swap: ptr[int64](64 << 20), Reservation: ptr[int64](16 << 20)}
	r.CPU = &specs.LinuxCPU{Quota: ptr[int64](50000), Period: ptr[uint64](100000), Shares: ptr[uint64](512), Cpus: "0"}
	r.Pids = &specs.LinuxPids{Limit: ptr[int64](64)}
	for _, d := range []string{"data", "bound"} {
		must(h.t, os.MkdirAll(h.roots.InState("volumes", d, "_data"), 0o755))
	}
	must(h.t, os.Mkdir(filepath.Join(h.roots.InState("snapshots", c.ID), "upper/etc"), 0o755))
	must(h.t, os.MkdirAll(filepath.Join(h.roots.InState("snapshots", c.ID), "upper/real"), 0o755))
	must(h.t, os.Symlink("real", filepath.Join(h.roots.InState("snapshots", c.ID), "upper/linked")))
	c.Mounts = []mount.Mount{
		{Type: "bind", Source: h.roots.InState("volumes", "data", "_data"), Target: "/data", Options: []string{"rbind"}},
		{Type: "tmpfs", Source: "tmpfs", Target: "/scratch"},
		{Type: "file", Target: "/etc/secret", File: &mount.File{Content: []byte("x"), Mode: 0o400}},
		{Type: "bind", Source: h.roots.InState("volumes", "bound", "_data"), Target: "/linked/here", Options: []string{"rbind"}},
	}
	return c
}

func (h *host) hinted(hints <-chan struct{}) {
	h.t.Helper()
	select {
	case <-hints:
	case <-time.After(sandbox.Patience):
		h.t.Error("no hint")
	}
}

// TestMendLimits: each limit that other hands change is named, hinted and put back, and the container runs on.
func TestMendLimits(t *testing.T) {
	h := newHost(t)
	c := h.limited()
	st := h.up(c)
	h.eventuallyLog(c, "up") // with both of its processes
	if st.Problem != "" {
		t.Fatalf("a new container has the problem %q", st.Problem)
	}
	for _, x := range []struct {
		name   string
		damage func(h *host)
		want   string
	}{
		{"memory", func(h *host) { h.set(c.ID, fmt.Sprint(48<<20), "memory.limit_in_bytes", "memory.max") }, "memory limit is 48 MiB, recorded is 32 MiB"},
		{"no memory limit", func(h *host) {
			h.set(c.ID, "-1", "memory.memsw.limit_in_bytes")
			h.set(c.ID, "-1", "memory.limit_in_bytes")
		}, "memory limit is unlimited, recorded is 32 MiB"},
		{"less memory", func(h *host) {
			h.set(c.ID, fmt.Sprint(16<<20), "memory.limit_in_bytes", "memory.max")
			if h.file(c.ID, "memory.memsw.limit_in_bytes") != "" {
				h.set(c.ID, fmt.Sprint(16<<20), "memory.memsw.limit_in_bytes")
			}
		}, "memory limit is 16 MiB, recorded is 32 MiB"},
		{"swap", func(h *host) { h.set(c.ID, fmt.Sprint(128<<20), "memory.memsw.limit_in_bytes", "memory.swap.max") }, "memory+swap limit is 128 MiB, recorded is "},
		{"reservation", func(h *host) { h.set(c.ID, fmt.Sprint(8<<20), "memory.soft_limit_in_bytes", "memory.low") }, "memory reservation is 8 MiB, recorded is 16 MiB"},
		{"pids", func(h *host) { h.set(c.ID, "max", "pids.max") }, "pids limit is max, recorded is 64"},
		{"cpu shares", func(h *host) { h.set(c.ID, "100", "cpu.shares", "cpu.weight") }, "cpu shares is 100, recorded is "},
		{"cpu quota", func(h *host) { h.set(c.ID, "-1", "cpu.cfs_quota_us") }, "cpu quota is -1, recorded is 50000"},
		{"cpuset", func(h *host) { h.set(c.ID, "0-1", "cpuset.cpus") }, "cpuset cpus is 0-1, recorded is 0"},
		{"devices", func(h *host) { h.set(c.ID, "c 10:229 rwm", "devices.allow") }, "devices allowed are c 10:229 rwm too"},
		{"device taken", func(h *host) { h.set(c.ID, "c 1:3 rwm", "devices.deny") }, "device rule c 1:3 rwm is gone"},
		{"cgroup removed", func(h *host) {
			for _, dir := range h.cgroupDirs(c.ID) {
				pids, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
				must(t, err)
				for pid := range strings.FieldsSeq(string(pids)) {
					aside := filepath.Join(filepath.Dir(filepath.Dir(dir)), "cgroup.procs")
					if leaf := filepath.Join(filepath.Dir(filepath.Dir(dir)), "tests"); exists(leaf) {
						aside = filepath.Join(leaf, "cgroup.procs")
					}
					must(t, os.WriteFile(aside, []byte(pid), 0))
				}
				must(t, os.Remove(dir))
			}
		}, " is gone"},
	} {
		t.Run(x.name, func(t *testing.T) {
			h := &host{t: t, roots: h.roots, Driver: h.Driver, image: h.image}
			if p := h.problem(c.ID); p != "" {
				t.Fatalf("before: %q", p)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			hints, err := h.Watch(ctx)
			must(t, err)
			x.damage(h)
			if p := h.problem(c.ID); !strings.Contains(p, x.want) || p == "" {
				t.Errorf("the problem is %q, expected %q", p, x.want)
			}
			h.hinted(hints)
			for range 2 {
				got, err := h.Mend(t.Context(), c.ID)
				must(t, err)
				if got.Problem != "" || got.Status != runtime.Running || got.Pid != st.Pid {
					t.Errorf("after Mend: %q, %s, pid %d and was %d", got.Problem, got.Status, got.Pid, st.Pid)
				}
			}
			if p := h.problem(c.ID); p != "" {
				t.Errorf("after: %q", p)
			}
		})
	}
	for _, dir := range h.cgroupDirs(c.ID) {
		pids, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		must(t, err)
		if len(strings.Fields(string(pids))) != 2 {
			t.Errorf("in %s are the processes %q, expected two", dir, pids)
		}
	}
}

// TestLostMounts: what is mounted no more is named, and a restart puts it back.
func TestLostMounts(t *testing.T) {
	for _, x := range []struct {
		name, target, want string
	}{
		{"volume", "/data", "nothing is mounted at /data"},
		{"tmpfs", "/scratch", "nothing is mounted at /scratch"},
		{"file", "/etc/secret", "nothing is mounted at /etc/secret"},
		{"below a symlink", "/real/here", "nothing is mounted at /linked/here"},
	} {
		t.Run(x.name, func(t *testing.T) {
			h := newHost(t)
			c := h.limited()
			st := h.up(c)
			hints, err := h.Watch(t.Context())
			must(t, err)
			if p := h.problem(c.ID); p != "" {
				t.Fatalf("before: %q", p)
			}
			inMounts(t, st.Pid, "/bin/busybox", "umount", x.target)
			if p := h.problem(c.ID); p != x.want {
				t.Errorf("the problem is %q, expected %q", p, x.want)
			}
			h.hinted(hints)
			got, err := h.Mend(t.Context(), c.ID)
			must(t, err)
			if got.Problem != x.want {
				t.Errorf("after Mend: %q", got.Problem)
			}
			_, err = h.Stop(t.Context(), c.ID, 0)
			must(t, err)
			if st := h.state(c.ID); st.Problem != "" {
				t.Errorf("one that does not run: %q", st.Problem)
			}
			h.up(c)
			if p := h.problem(c.ID); p != "" {
				t.Errorf("after a restart: %q", p)
			}
		})
	}
}

// TestVolumeMadeAnew: a volume whose directory was removed and made again is not the one that the container sees. The kernel tells of the removal of a directory, but
// not that the one around it has gone too as long as a mount holds it, nor of what comes in its place.
func TestVolumeMadeAnew(t *testing.T) {
	for name, told := range map[string]bool{"volumes/data/_data": true, "volumes/data": false} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			c := h.limited()
			h.up(c)
			hints, err := h.Watch(t.Context())
			must(t, err)
			data := h.roots.InState("volumes", "data", "_data")
			must(t, os.RemoveAll(h.roots.InState(name)))
			h.hinted(hints)
			if p := h.problem(c.ID); p != "" {
				t.Errorf("there is nothing to mount in its place, and the problem is %q", p)
			}
			must(t, os.MkdirAll(data, 0o755))
			if told {
				h.hinted(hints)
			}
			if p := h.problem(c.ID); !strings.Contains(p, "what is mounted at /data is not "+data+" any more") {
				t.Errorf("the problem is %q", p)
			}
		})
	}
}

// TestOwnMounts: what a container mounts itself, over ours too, is no damage.
func TestOwnMounts(t *testing.T) {
	h := newHost(t)
	c := h.limited()
	st := h.up(c)
	inMounts(t, st.Pid, "/bin/busybox", "mount", "-t", "tmpfs", "over", "/data")
	inMounts(t, st.Pid, "/bin/busybox", "mount", "-t", "tmpfs", "over", "/etc")
	if p := h.problem(c.ID); p != "" {
		t.Errorf("the problem is %q", p)
	}
}

// TestChrootIsNoDamage: a first process that changes its root does not see our mounts, and has them all the same.
func TestChrootIsNoDamage(t *testing.T) {
	h := newHost(t)
	c := h.limited()
	c.Spec.Process.Args = []string{"/bin/sh", "-c", "mkdir -p /jail/bin; cp /bin/busybox /jail/bin; exec /bin/busybox chroot /jail /bin/busybox sleep 1000"}
	h.up(c)
	sandbox.Eventually(t, "the process has another root", func() bool {
		root, err := os.Readlink(fmt.Sprintf("/proc/%d/root", h.state(c.ID).Pid))
		return err == nil && root != "/"
	})
	h.nextDaemon(func() {}) // which sees that root only
	if p := h.problem(c.ID); p != "" {
		t.Errorf("the problem is %q", p)
	}
}

// TestDamageWithoutDaemon is found by the next.
func TestDamageWithoutDaemon(t *testing.T) {
	sandbox.Tool(t, "nsenter") // skipped later, there would be no daemon to end what there is
	h := newHost(t)
	c := h.limited()
	st := h.up(c)
	h.nextDaemon(func() { h.set(c.ID, "max", "pids.max") })
	if p := h.problem(c.ID); !strings.Contains(p, "pids limit is max, recorded is 64") {
		t.Errorf("the problem is %q", p)
	}
	got, err := h.Mend(t.Context(), c.ID)
	must(t, err)
	if got.Problem != "" || got.Pid != st.Pid {
		t.Errorf("after Mend: %+v", got)
	}
	h.nextDaemon(func() { inMounts(t, st.Pid, "/bin/busybox", "umount", "/scratch") })
	if p := h.problem(c.ID); p != "nothing is mounted at /scratch" {
		t.Errorf("the problem is %q", p)
	}
}

// TestRunRecordRemoved: a container that runs and can be found and attached to no more is damaged, and a restart puts that right. The next daemon, which cannot find it, ends it.
func TestRunRecordRemoved(t *testing.T) {
	for _, name := range []string{proto.StatusName, proto.SocketName, ""} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			c := h.sh("sleep 1000 & echo up; wait")
			before := h.up(c)
			hints, err := h.Watch(t.Context())
			must(t, err)
			if p := h.problem(c.ID); p != "" {
				t.Fatalf("before: %q", p)
			}
			dir := h.roots.InRun("containers", c.ID)
			must(t, os.RemoveAll(filepath.Join(dir, name)))
			h.hinted(hints)
			st := h.state(c.ID)
			if st.Status != runtime.Running || st.Pid != before.Pid || !strings.Contains(st.Problem, dir) || !st.Lasting {
				t.Errorf("without it: %+v", st)
			}
			_, err = h.Stop(t.Context(), c.ID, 0)
			must(t, err)
			h.up(c)
			if p := h.problem(c.ID); p != "" {
				t.Errorf("after a restart: %q", p)
			}
		})
	}
	for _, name := range []string{proto.StatusName, ""} {
		t.Run(name+" by the next daemon", func(t *testing.T) {
			h := newHost(t)
			c := h.sh("sleep 1000 & echo up; wait")
			before := h.up(c)
			dir := h.roots.InRun("containers", c.ID)
			h.nextDaemon(func() { must(t, os.RemoveAll(filepath.Join(dir, name))) })
			st := h.state(c.ID)
			if st.Status != runtime.Stopped || st.Exit == nil || !st.Exit.Unseen {
				t.Errorf("after it: %+v, %+v", st, st.Exit)
			} else if want := filepath.Join(dir, proto.StatusName) + " was removed"; !strings.Contains(st.Exit.Error, want) {
				t.Errorf("it ended because %q, expected %q", st.Exit.Error, want)
			}
			sandbox.Eventually(t, "somebody has reaped it", func() bool { return unix.Kill(before.Pid, 0) == unix.ESRCH })
		})
	}
}

// TestRecordRemoved: a container whose record is gone is ended, for what comes in its place would meet it.
func TestRecordRemoved(t *testing.T) {
	h := newHost(t)
	c := h.sh("sleep 1000 & echo up; wait")
	st := h.up(c)
	hints, err := h.Watch(t.Context())
	must(t, err)
	must(t, os.RemoveAll(h.roots.InState("containers", c.ID)))
	h.hinted(hints)
	sandbox.Eventually(t, "its processes are gone, and what it left", func() bool {
		list, err := h.List(t.Context())
		must(t, err)
		return len(list) == 0 && unix.Kill(st.Pid, 0) == unix.ESRCH && !exists(h.roots.InRun("containers", c.ID)) && !exists(h.roots.InState("containers", c.ID))
	})
}

// TestQuietContainers: what containers and the host do for themselves is no hint.
func TestQuietContainers(t *testing.T) {
	h := newHost(t)
	c := h.limited()
	h.up(c)
	h.eventuallyLog(c, "up")
	hints, err := h.Watch(t.Context())
	must(t, err)
	x, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"/bin/sh", "-c", "echo x > /data/file; mkdir /data/dir; rm -r /data/dir; echo x > /scratch/file; cat /proc/self/mountinfo"}}, process.IO{})
	if err != nil || x.Code != 0 {
		t.Errorf("%+v, %v", x, err)
	}
	dir := t.TempDir()
	must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, ""))
	must(t, unix.Unmount(dir, 0))
	h.problem(c.ID)
	select {
	case <-hints:
		t.Error("a hint")
	default:
	}
}

// TestWhatWasSeenIsSeenAgain: a List gives out what the last one has seen only as long as nothing of it has changed, whoever changes it.
func TestWhatWasSeenIsSeenAgain(t *testing.T) {
	h := newHost(t)
	c := h.sh("echo up; exec sleep 1000")
	st := h.up(c)
	h.eventuallyLog(c, "up")
	listed := func() runtime.State {
		t.Helper()
		list, err := h.List(t.Context())
		must(t, err)
		if len(list) != 1 {
			t.Fatalf("%d containers are listed", len(list))
		}
		return list[0]
	}
	// before waits until nothing of the container has to be looked at, so that what comes then is news.
	before := func() {
		t.Helper()
		sandbox.Eventually(t, "its state is remembered", func() bool { listed(); return h.Remembers(c.ID) })
		if got := listed(); got.Status != runtime.Running || got.Pid != st.Pid || got.LogError != "" {
			t.Fatalf("it is %+v", got)
		}
	}
	edit := func(path, old, new string) {
		t.Helper()
		b, err := os.ReadFile(path)
		must(t, err)
		edited := strings.Replace(string(b), old, new, 1)
		if edited == string(b) {
			t.Fatalf("%s has no %q: %s", path, old, b)
		}
		must(t, os.WriteFile(path, []byte(edited), 0o600))
	}
	freezer := func(dir string) (path, freeze, thaw string) {
		if path = filepath.Join(dir, "cgroup.freeze"); exists(path) {
			return path, "1", "0"
		}
		return filepath.Join(dir, "freezer.state"), "FROZEN", "THAWED"
	}
	for _, dir := range h.cgroupDirs(c.ID) {
		for _, dir := range []string{dir, filepath.Dir(dir)} { // its own, and that of all
			path, freeze, thaw := freezer(dir)
			if !exists(path) {
				continue
			}
			before()
			must(t, os.WriteFile(path, []byte(freeze), 0))
			if h.Remembers(c.ID) {
				t.Errorf("%s is written, and what was seen before stands", path)
			}
			sandbox.Eventually(t, "it is frozen", func() bool { return listed().Status == runtime.Paused })
			must(t, os.WriteFile(path, []byte(thaw), 0))
			sandbox.Eventually(t, "it goes on", func() bool { return listed().Status == runtime.Running })
		}
	}

	before()
	must(t, h.Pause(t.Context(), c.ID))
	if got := listed(); got.Status != runtime.Paused {
		t.Errorf("it was paused, and is %s", got.Status)
	}
	must(t, h.Resume(t.Context(), c.ID))

	before()
	status := h.roots.InRun("containers", c.ID, "status.json")
	edit(status, `"pid"`, `"logError":"no room","pid"`)
	if got := listed(); got.LogError != "no room" {
		t.Errorf("its monitor cannot write, and the state says %q", got.LogError)
	}
	edit(status, `"logError":"no room",`, "")

	before()
	run := h.roots.InState("containers", c.ID, "run.json")
	edit(run, `"boot"`, `"warnings":["cold"],"boot"`)
	if got := listed(); len(got.Warnings) != 1 || got.Warnings[0] != "cold" {
		t.Errorf("its run has another record, and the state warns of %q", got.Warnings)
	}

	before()
	edit(h.roots.InState("containers", c.ID, "config.json"), `"labels":{"`, `"labels":{"x":"y","`)
	if got := listed(); got.Labels["x"] != "y" {
		t.Errorf("it has another record, and the labels %v", got.Labels)
	}

	before()
	monitor, err := os.ReadFile(status)
	must(t, err)
	var who struct{ MonitorPid int }
	must(t, json.Unmarshal(monitor, &who))
	pidfd, err := unix.PidfdOpen(who.MonitorPid, 0)
	must(t, err)
	defer unix.Close(pidfd)
	must(t, unix.Kill(who.MonitorPid, unix.SIGKILL))
	sandbox.Eventually(t, "its monitor is dead, all of its threads", func() bool {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, 0)
		return err == nil && n == 1
	})
	if got := listed(); got.Status != runtime.Stopped {
		t.Errorf("its monitor is dead, and it is %s", got.Status)
	}
}

func BenchmarkList(b *testing.B) {
	h := newHost(b)
	for range 100 {
		c := h.config("sleep", "1000")
		c.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr[int64](32 << 20)}
		h.up(c)
	}
	for b.Loop() {
		if _, err := h.List(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
