package runtime_test

import (
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// A signal of the caller's ends an exec as Ctrl-C would on a terminal: the shell and what it runs.
func TestExecSignals(t *testing.T) {
	h := newHost(t)
	c := h.sh("sleep 1000")
	h.up(c)
	for script, code := range map[string]int{
		"echo ready; sleep 1000; echo not reached":                                130,
		"trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 0.1; done": 7,
	} {
		var out buffer
		signals := make(chan syscall.Signal)
		go func() {
			sandbox.Eventually(t, "it runs", func() bool { return strings.Contains(out.String(), "ready") })
			signals <- syscall.SIGINT
		}()
		x, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"sh", "-c", script}}, process.IO{Stdout: &out, Signals: signals})
		must(t, err)
		if x.Code != code || strings.Contains(out.String(), "not reached") {
			t.Errorf("%s: exit %+v, output %q; want code %d", script, x, out.String(), code)
		}
	}
}

// The kernel would drop the signal: the process is the first of its pid namespace. Its caller need not know.
func TestRunSignals(t *testing.T) {
	for script, code := range map[string]int{
		"echo ready; exec sleep 1000": 143,
		"trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 0.1; done": 7,
	} {
		h := newHost(t)
		c := h.sh(script)
		_, err := h.Create(t.Context(), c)
		must(t, err)
		var out buffer
		signals := make(chan syscall.Signal)
		go func() {
			sandbox.Eventually(t, "it runs", func() bool { return strings.Contains(out.String(), "ready") })
			signals <- syscall.SIGTERM
		}()
		x, err := h.Run(t.Context(), c.ID, process.IO{Stdout: &out, Stderr: io.Discard, Signals: signals}, nil)
		must(t, err)
		if x.Code != code {
			t.Errorf("%s: exit %+v, output %q; want code %d", script, x, out.String(), code)
		}
	}
}
