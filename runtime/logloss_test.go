package runtime_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
)

// A disk without room loses lines: the container runs on, its state says so meanwhile, an event says it once and takes it back,
// and the log says how much is missing.
func TestFullDiskIsTold(t *testing.T) {
	h := newHost(t)
	disk := h.roots.InState("logs")
	must(t, os.MkdirAll(disk, 0o755))
	must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { must(t, unix.Unmount(disk, unix.MNT_DETACH)) })
	events := h.Events(t.Context())
	told := func() string {
		t.Helper()
		for {
			select {
			case e := <-events:
				if e.Kind == runtime.EventLog {
					return e.Detail
				}
			case <-time.After(10 * time.Second):
				t.Fatal("no event")
			}
		}
	}

	c := h.sh("i=0; while [ $i -lt 2000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; mkfifo /tmp/go; cat /tmp/go; echo room again; sleep 1000")
	h.up(c)
	if text := told(); !strings.Contains(text, "no space left") {
		t.Errorf("the event says %q", text)
	}
	st, err := h.State(t.Context(), c.ID)
	must(t, err)
	if st.Status != runtime.Running || !strings.Contains(st.LogError, "no space left") {
		t.Errorf("the state says %q", st.LogError)
	}
	// The next daemon knows too.
	must(t, h.Close())
	h.Driver = h.driver()
	events = h.Events(t.Context())
	if st, err = h.State(t.Context(), c.ID); err != nil || st.LogError == "" {
		t.Errorf("after the daemon's end: %q %v", st.LogError, err)
	}

	must(t, unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "size=1m"))
	fifo := filepath.Join(h.roots.InState("snapshots", c.ID), "upper/tmp/go")
	sandbox.Eventually(t, 10*time.Second, "the fifo", func() bool { _, err := os.Stat(fifo); return err == nil })
	x, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"sh", "-c", "echo >/tmp/go"}}, runtime.IO{})
	if err != nil || x.Code != 0 {
		t.Fatalf("exec: %+v %v", x, err)
	}
	h.eventuallyLog(c, "room again")
	if text := told(); text != "" {
		t.Errorf("the second event says %q", text)
	}
	if st, err = h.State(t.Context(), c.ID); err != nil || st.LogError != "" {
		t.Errorf("the state still says %q %v", st.LogError, err)
	}
	if !strings.Contains(h.log(c), "bytes of log were lost: ") {
		t.Error("the log does not say what is missing")
	}
}
