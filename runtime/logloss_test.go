package runtime_test

import (
	"os"
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
	must(t, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=16k"))
	t.Cleanup(func() { must(t, unix.Unmount(disk, unix.MNT_DETACH)) })
	events := h.Events(t.Context())
	// told waits for the event: near the end of a disk a short line may fit where a long one did not, so there may be others before.
	told := func(want string) {
		t.Helper()
		for last := "nothing"; ; {
			select {
			case e := <-events:
				if e.Kind == runtime.EventLog {
					last = e.Detail
				}
				if e.Kind == runtime.EventLog && (last == "") == (want == "") && strings.Contains(last, want) {
					return
				}
			case <-time.After(sandbox.Patience):
				t.Fatalf("no event that says %q, the last one says %q", want, last)
			}
		}
	}

	c := h.sh("while :; do echo 0123456789012345678901234567890123456789; sleep 0.001; done")
	h.up(c)
	told("no space left")
	sandbox.Eventually(t, "the state to say it", func() bool {
		st, err := h.State(t.Context(), c.ID)
		return err == nil && st.Status == runtime.Running && strings.Contains(st.LogError, "no space left")
	})
	// The next daemon knows too.
	must(t, h.Close())
	h.Driver = h.driver()
	events = h.Events(t.Context())
	if st, err := h.State(t.Context(), c.ID); err != nil || st.LogError == "" {
		t.Errorf("after the daemon's end: %q %v", st.LogError, err)
	}

	must(t, unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "size=8m"))
	told("")
	if st, err := h.State(t.Context(), c.ID); err != nil || st.LogError != "" {
		t.Errorf("the state still says %q %v", st.LogError, err)
	}
	if !strings.Contains(h.log(c), "bytes of log were lost: ") {
		t.Error("the log does not say what is missing")
	}
}
