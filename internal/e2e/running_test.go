package e2e

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stackrun/stack/internal/sandbox"
)

// running is a command that runs beside the test.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	mu     sync.Mutex
	output bytes.Buffer // stdout and stderr
}

// begin starts a command. It is killed when it has not ended with the test.
func (p *project) begin(args ...string) *running {
	p.t.Helper()
	return p.beginWith(nil, args...)
}

// beginWith is begin with a stdin.
func (p *project) beginWith(stdin io.Reader, args ...string) *running {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	p.t.Cleanup(cancel)
	r := &running{t: p.t, cmd: p.host.command(ctx, p.dir, args...)}
	p.t.Cleanup(func() {
		if p.t.Failed() {
			p.t.Logf("stack %s has written:\n%s", strings.Join(args, " "), r.text())
		}
	})
	r.cmd.Env = append(slices.Clone(r.cmd.Env), p.env...)
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = stdin, r, r
	if err := r.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	return r
}

func (r *running) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.output.Write(b)
}

func (r *running) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.output.String()
}

// says waits until the command has written each of want.
func (r *running) says(want ...string) *running {
	r.t.Helper()
	for _, w := range want {
		sandbox.Eventually(r.t, "the command writes "+w, func() bool { return strings.Contains(r.text(), w) })
	}
	return r
}

func (r *running) signal(s syscall.Signal) *running {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
	return r
}

// ends waits for the end, which must be with code.
func (r *running) ends(code int) string {
	r.t.Helper()
	r.cmd.Wait() //nolint:errcheck // the code says it
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		r.t.Errorf("exit code %d, want %d:\n%s", got, code, r.text())
	}
	return r.text()
}
