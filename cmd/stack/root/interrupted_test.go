package root_test

import (
	"syscall"
	"testing"

	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/internal/sandbox"
)

// A command that has asked for nothing yet ends as any program does: at once, and by the signal.
func TestInterruptedBeforeItAsks(t *testing.T) {
	sandbox.Require(t)
	s := stacktest.NewPerson(t, nil).Sit("-f - config") // which nobody types
	s.Press("\x03")
	_, screen := s.Ends()
	if status := s.Cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended by itself, with %d:\n%s", status.ExitStatus(), screen)
	}
}
