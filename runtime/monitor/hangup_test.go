package monitor_test

import (
	"crypto/rand"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
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
			root := image(t)
			var shared string
			var c *container
			sandbox.Eventually(t, "a hang-up comes before the start", func() bool {
				shared = t.TempDir()
				c = newContainer(t, root, "echo ran >/shared/ran; exec sleep 1000")
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
				c.hangUp()
				if !c.runsOn() {
					return true
				}
				if c.AwaitAttach {
					t.Fatal("nobody has attached, and it runs")
				}
				return false // we had to wait for a processor, and it did not
			})
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

// runsOn says what the monitor has made of a hang-up: the container runs and is on record, or both are gone.
func (c *container) runsOn() (status bool) {
	c.t.Helper()
	sandbox.Eventually(c.t, "the monitor has decided", func() bool {
		var ws unix.WaitStatus
		if pid, _ := unix.Wait4(c.pid, &ws, unix.WNOHANG, nil); pid == c.pid {
			return true
		}
		_, err := os.Stat(filepath.Join(c.RunDir, proto.StatusName))
		status = err == nil
		return status
	})
	return status
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

// A daemon that is killed, or fails, while it makes the cgroups has said nothing of them yet.
func TestHangUpBeforeTheCgroups(t *testing.T) {
	c := newContainer(t, image(t), "exec sleep 1000")
	c.AwaitAttach = true
	c.pid, c.reports = startIdle(t)
	give(t, c.reports, proto.Work, &c.Bootstrap)
	c.await(proto.ReportListening)
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", c.pid, c.pid)); err != nil || len(b) > 0 {
		t.Errorf("there is an init already: %s, %v", b, err)
	}
	c.hangUp()
	if c.runsOn() {
		t.Error("it runs without its cgroups")
	}
	if b, err := os.ReadFile(c.ExitPath); err != nil || !strings.Contains(string(b), "before the program had started") {
		t.Errorf("exit %s, %v", b, err)
	}
}

// A daemon that is killed at any moment of a start leaves a container that has not run and is gone, or one that runs and is on record: never a program
// that has begun and was ended for it, since the next daemon would start that once more.
func TestHangUpAtAnyMoment(t *testing.T) {
	root, shared := image(t), t.TempDir()
	begin := func() (c *container, mark string) {
		mark = rand.Text()
		c = newContainer(t, root, "echo ran >/shared/"+mark+"; exec sleep 1000")
		c.Mounts = []mount.Mount{bind(shared, "/shared")}
		c.start()
		return c, filepath.Join(shared, mark)
	}
	whole := time.Hour // of a start
	for range 3 {
		began := time.Now()
		c, _ := begin()
		c.await(proto.ReportStarted)
		whole = min(whole, time.Since(began))
	}
	undone, ran := 0, 0
	for range 60 {
		began := time.Now()
		c, mark := begin()
		time.Sleep(time.Until(began.Add(whole/2 + time.Duration(mrand.Int64N(int64(whole)))))) // chance is what is tested
		c.hangUp()
		if c.runsOn() {
			ran++
			continue
		}
		undone++
		if _, err := os.Stat(mark); err == nil {
			t.Fatalf("the program has begun and was ended, after %d that run and %d that have not begun", ran, undone-1)
		}
	}
	t.Logf("%d run, %d were undone", ran, undone)
}

// A daemon that is gone is noticed also while the init says nothing at all: in a cgroup that is frozen it does not begin.
func TestHangUpWhileTheInitIsFrozen(t *testing.T) {
	c := newContainer(t, image(t), "exec sleep 1000")
	c.cgroups()
	if c.Cgroup.V2 == "" {
		t.Skip("SKIP: no cgroup v2 here")
	}
	freezer := filepath.Join(c.Cgroup.V2, "cgroup.freeze")
	must(t, os.WriteFile(freezer, []byte("1"), 0))
	c.start()
	sandbox.Eventually(t, "there is an init", func() bool {
		b, err := os.ReadFile(filepath.Join(c.Cgroup.V2, "cgroup.procs"))
		must(t, err)
		return len(b) > 0
	})
	c.hangUp()
	c.ended()
	if b, err := os.ReadFile(filepath.Join(c.Cgroup.V2, "cgroup.procs")); err != nil || len(b) > 0 {
		t.Errorf("there are still processes: %q, %v", b, err)
	}
}
