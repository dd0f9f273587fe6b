package monitor_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/runtime/proto"
)

func TestOutOfMemoryIsTold(t *testing.T) {
	c := newContainer(t, image(t), "x=$(yes | head -c 200000000); echo survived")
	c.cgroups()
	if c.Cgroup.OOM == "" {
		t.Skip("SKIP: no memory controller here")
	}
	limit, swap, most := "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "30000000"
	if filepath.Base(c.Cgroup.OOM) == "memory.events" {
		limit, swap, most = "memory.max", "memory.swap.max", "0"
	}
	dir := filepath.Dir(c.Cgroup.OOM)
	must(t, os.WriteFile(filepath.Join(dir, limit), []byte("30000000"), 0))
	// Swap, where there is some, would take what the limit refuses: v1 counts it with the memory.
	os.WriteFile(filepath.Join(dir, swap), []byte(most), 0)
	exit, out := c.run()
	if !exit.OOM || exit.Code != 137 {
		t.Errorf("exit %+v, log %q", exit, out)
	}
}

// In a pid namespace of the host the kernel does not kill what an init leaves behind.
func TestNothingOutlivesTheInit(t *testing.T) {
	c := newContainer(t, image(t), "sleep 1000 & echo $!; exit 0")
	c.cgroups()
	var ns []specs.LinuxNamespace
	for _, n := range c.Spec.Linux.Namespaces {
		if n.Type != specs.PIDNamespace {
			ns = append(ns, n)
		}
	}
	c.Spec.Linux.Namespaces = ns
	out := c.output()
	var pid int
	fmt.Sscan(out, &pid)
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(b), ") Z ") {
		t.Errorf("process %d is still there: %s", pid, b)
	}
}

func TestJoinsNamespacesByPath(t *testing.T) {
	root := image(t)
	first := newContainer(t, root, "exec sleep 1000")
	first.start()
	status := first.await(proto.ReportStarted).Status
	second := newContainer(t, root, "for n in pid net ipc uts mnt; do readlink /proc/self/ns/$n; done; ps | grep -c 'sleep 1000'; hostname")
	second.Spec.Hostname = ""
	for i, n := range second.Spec.Linux.Namespaces {
		name := map[specs.LinuxNamespaceType]string{specs.PIDNamespace: "pid", specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts"}[n.Type]
		if name != "" {
			second.Spec.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/%s", status.Pid, name)
		}
	}
	got := strings.Split(second.output(), "\n")
	for i, name := range []string{"pid", "net", "ipc", "uts", "mnt"} {
		want, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", status.Pid, name))
		must(t, err)
		if (got[i] == want) != (name != "mnt") {
			t.Errorf("%s: %s, the other's is %s", name, got[i], want)
		}
	}
	if got[5] == "0" || got[6] != "box" {
		t.Errorf("got %q", got)
	}
}

// In the host's cgroup namespace a container sees the host's tree, and cannot write it.
func TestHostCgroupNamespace(t *testing.T) {
	c := newContainer(t, image(t), "ls /sys/fs/cgroup; for f in $(ls -d /sys/fs/cgroup/*/ | head -n 1) /sys/fs/cgroup; do mkdir $f/evil 2>/dev/null && echo made $f; done; true")
	c.cgroups()
	c.Spec.Linux.Namespaces = slices.DeleteFunc(c.Spec.Linux.Namespaces, func(n specs.LinuxNamespace) bool { return n.Type == specs.CgroupNamespace })
	out := c.output()
	entries, err := os.ReadDir("/sys/fs/cgroup")
	must(t, err)
	for _, e := range entries {
		if !strings.Contains(out, e.Name()+"\n") {
			t.Errorf("no %s in %q", e.Name(), out)
		}
	}
	if len(entries) == 0 || strings.Contains(out, "made") {
		t.Errorf("%q", out)
	}
}
