package sandbox

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

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
	Eventually(t, 5*time.Second, "orphan "+pid+" is gone", func() bool {
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
