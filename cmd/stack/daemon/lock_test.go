package daemon

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stackrun/stack/cmd/stack/daemon/options"
	"github.com/stackrun/stack/internal/roots"
)

// A daemon whose socket somebody has removed, or that is stopped, keeps its lock: who wants it is told whom to end.
func TestLockOfADaemonThatDoesNotAnswerNamesIt(t *testing.T) {
	dir := t.TempDir()
	r := roots.Roots{State: filepath.Join(dir, "state"), Run: filepath.Join(dir, "run")}
	p := &Process{Options: options.Options{Roots: r}}
	held, err := p.lockRoots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	patience, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = p.lockRoots(patience)
	want := fmt.Sprintf("cannot lock %s: the daemon that has it (pid %[2]d) neither answers nor leaves\nend it with `kill -9 %[2]d` and run the command again; containers run on meanwhile", r.InRun("daemon.lock"), os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}
