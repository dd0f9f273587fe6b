package identity

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

const headless = "STACK_TEST_HEADLESS"

// A process whose first thread ends at once, and that ends with its standard input.
func init() {
	if os.Getenv(headless) == "" {
		return
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	_, _, _ = syscall.Syscall(unix.SYS_EXIT, 0, 0, 0) // of this thread, which is the first: Go runs init on it
}

// TestOpenReapsWhatIsEnding: a monitor that is killed is a zombie as soon as its first thread has ended, and can be reaped when all have.
func TestOpenReapsWhatIsEnding(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{headless + "=1"}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := Of(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	sandbox.Eventually(t, "its first thread has ended", func() bool { return !p.Alive() })
	go stdin.Close()
	if f, err := p.Open(); !errors.Is(err, ErrGone) {
		f.Close()
		t.Errorf("it can be opened: %v", err)
	}
	if err := cmd.Wait(); !errors.Is(err, unix.ECHILD) {
		t.Errorf("it was left for others to reap: %v", err)
	}
}
