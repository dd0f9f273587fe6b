package sandbox

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { os.Exit(Main(m)) }

func TestOnlyLoAndNoRoute(t *testing.T) {
	Require(t)
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Attrs().Name != "lo" && l.Attrs().OperState == netlink.OperUp {
			t.Errorf("link %s is up in the sandbox", l.Attrs().Name)
		}
	}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil || len(routes) != 0 {
		t.Errorf("routes %v, error %v; want none", routes, err)
	}
}

func TestCgroupNamespaceIsOwn(t *testing.T) {
	Require(t)
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if !strings.HasSuffix(line, ":/") && line != "0::/tests" {
			t.Errorf("cgroup %q is not the root of a namespace of its own", line)
		}
	}
}

func TestOrphansAreReaped(t *testing.T) {
	LeavesNothing(t)
	// The shell exits at once; its child is handed to pid 1.
	out, err := exec.Command("sh", "-c", "sleep 0.05 >/dev/null 2>&1 & echo $!").Output()
	if err != nil {
		t.Fatal(err)
	}
	pid := strings.TrimSpace(string(out))
	Eventually(t, "orphan "+pid+" is gone", func() bool {
		_, err := os.Stat("/proc/" + pid)
		return os.IsNotExist(err)
	})
}

func TestLeftoverIsSeen(t *testing.T) {
	Require(t)
	before, err := Take("/run")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("/run/left", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkdir("/run/m", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", "/run/m", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	after, err := Take("/run")
	if err != nil {
		t.Fatal(err)
	}
	if len(after.Files) != len(before.Files)+2 || len(after.Mounts) != len(before.Mounts)+1 {
		t.Errorf("a file, a directory and a mount were left, and the snapshot shows %d files, %d mounts more",
			len(after.Files)-len(before.Files), len(after.Mounts)-len(before.Mounts))
	}
	unix.Unmount("/run/m", 0)
	os.RemoveAll("/run/m")
	os.Remove("/run/left")
	Same(t, before, "/run")
}

// What was ending, or beginning, when the first snapshot was taken is no difference; what came later is.
func TestProcessesThatEndAreNoDifference(t *testing.T) {
	Require(t)
	begin := func(script string) (*exec.Cmd, io.Closer) {
		t.Helper()
		cmd := exec.Command("sh", "-c", script)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		return cmd, in
	}
	take := func() Snapshot {
		t.Helper()
		s, err := Take()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	zombie, end := begin("read x")
	changing, change := begin("read x; exec sleep 1000")
	end.Close()
	Eventually(t, "a zombie", func() bool {
		return slices.Contains(take().Processes, strconv.Itoa(zombie.Process.Pid)+" ")
	})
	before := take()
	zombie.Wait() //nolint:errcheck // it has ended
	change.Close()
	Eventually(t, "another program", func() bool {
		return slices.Contains(take().Processes, strconv.Itoa(changing.Process.Pid)+" sleep 1000")
	})
	if diff := before.Diff(take()); diff != "" {
		t.Errorf("of what ended and what changed: %s", diff)
	}
	added, _ := begin("read x")
	if diff := before.Diff(take()); !strings.Contains(diff, strconv.Itoa(added.Process.Pid)+" sh") {
		t.Errorf("of a new process: %q", diff)
	}
}

// The cgroups in which a daemon that runs awaits containers are the daemon's: of any other instance, or with anything in them, they are what is looked for.
func TestSpareCgroups(t *testing.T) {
	for _, c := range []struct {
		name, procs, below string
		spare              bool
	}{
		{"stack-1", "", "", true},
		{"stack-2", "", "", false},
		{"stack-1", "7\n", "", false},
		{"stack-1", "", "id", false},
		{"other", "", "", false},
	} {
		dir := filepath.Join(t.TempDir(), c.name)
		if err := os.MkdirAll(filepath.Join(dir, c.below), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(c.procs), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := spare(dir, map[string]bool{"1": true}); got != c.spare {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if !spare(filepath.Join(t.TempDir(), "stack-1"), map[string]bool{"1": true}) {
		t.Error("one that was removed while it was looked at counts")
	}
}

// TestNamespacesOfOthers: what a daemon beside the tests holds by a file is not mounted in the sandbox, so that it is not missed when that daemon lets it go.
func TestNamespacesOfOthers(t *testing.T) {
	Require(t)
	LeavesNothing(t)
	held := t.TempDir() + "/net work"
	if err := os.WriteFile(held, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("/proc/self/ns/net", held, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := dropNamespaces(); err != nil {
		t.Error(err)
	}
	if err := unix.Unmount(held, unix.MNT_DETACH); err != unix.EINVAL {
		t.Errorf("it is mounted still: umount2 gives %v", err)
	}
}
