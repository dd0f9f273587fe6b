package monitor_test

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/proto"
)

// A daemon that is killed between the spawn of a monitor and the start of its container leaves nobody who knows of them.
func TestHangUpBeforeTheStartUndoesIt(t *testing.T) {
	for name, before := range map[string]func(*container){
		"while boot works":    func(c *container) {},
		"while boot is ready": func(c *container) { c.AwaitAttach = true },
	} {
		t.Run(name, func(t *testing.T) {
			shared := t.TempDir()
			c := newContainer(t, image(t), "echo ran >/shared/ran; exec sleep 1000")
			c.cgroups()
			c.Mounts = []mount.Mount{bind(shared, "/shared")}
			for range 200 { // so that the start takes its time
				c.Mounts = append(c.Mounts, mount.Mount{Type: "tmpfs", Target: "/tmp"})
			}
			before(c)
			c.start()
			if c.AwaitAttach {
				c.await(proto.ReportListening)
			}
			unix.Close(c.reports)
			c.ended()
			if _, err := os.Stat(filepath.Join(shared, "ran")); err == nil {
				t.Error("the program ran")
			}
			if _, err := os.Stat(filepath.Join(c.RunDir, proto.StatusName)); err == nil {
				t.Error("there is a status")
			}
			for _, dir := range append([]string{c.Cgroup.V2}, c.Cgroup.V1...) {
				if b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs")); err == nil && len(b) > 0 {
					t.Errorf("processes are left in %s: %s", dir, b)
				}
			}
		})
	}
}

func TestHangUpBeforeTheWork(t *testing.T) {
	pid, reports := startIdle(t)
	unix.Close(reports)
	var ws unix.WaitStatus
	_, err := unix.Wait4(pid, &ws, 0, nil)
	must(t, err)
	if ws != 0 {
		t.Errorf("wait status %#x", ws)
	}
}
