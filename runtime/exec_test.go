package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

func TestExec(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	c.Spec.Process.Env = append(c.Spec.Process.Env, "A=1", "B=2")
	h.up(c)
	for _, tc := range []struct {
		name           string
		p              runtime.Process
		stdin          io.Reader
		code           int
		stdout, stderr string
	}{
		{name: "true", p: runtime.Process{Args: []string{"true"}}},
		{name: "code", p: runtime.Process{Args: []string{"sh", "-c", "exit 42"}}, code: 42},
		{name: "signal", p: runtime.Process{Args: []string{"sh", "-c", "kill -TERM $$"}}, code: 143},
		{name: "both streams", p: runtime.Process{Args: []string{"sh", "-c", "echo out; echo err >&2"}}, stdout: "out\n", stderr: "err\n"},
		{name: "stdin", p: runtime.Process{Args: []string{"cat"}}, stdin: strings.NewReader("hello\n"), stdout: "hello\n"},
		{name: "no stdin", p: runtime.Process{Args: []string{"cat"}}},
		{name: "env", p: runtime.Process{Args: []string{"sh", "-c", "echo $A$B$C"}, Env: []string{"B=20", "C=3"}}, stdout: "1203\n"},
		{name: "cwd", p: runtime.Process{Args: []string{"sh", "-c", "pwd"}, Cwd: "/etc"}, stdout: "/etc\n"},
		{name: "user", p: runtime.Process{Args: []string{"id", "-u"}, User: "web"}, stdout: "1000\n"},
		{name: "pid namespace", p: runtime.Process{Args: []string{"sh", "-c", "cat /proc/1/comm"}}, stdout: "sleep\n"},
		{name: "left behind", p: runtime.Process{Args: []string{"sh", "-c", "sleep 1000 & echo done"}}, stdout: "done\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errs buffer
			x, err := h.Exec(t.Context(), c.ID, tc.p, process.IO{Stdin: tc.stdin, Stdout: &out, Stderr: &errs})
			must(t, err)
			if x.Code != tc.code || out.String() != tc.stdout || errs.String() != tc.stderr {
				t.Errorf("exit %+v stdout %q stderr %q", x, out.String(), errs.String())
			}
		})
	}
	for cmd, code := range map[string]int{"nothing-here": 127, "/bin/notexec": 126} {
		_, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{cmd}}, process.IO{})
		var se *runtime.StartError
		if !errors.As(err, &se) || se.Failure.ExitCode != code {
			t.Errorf("exec %s: %v, want a StartError with code %d", cmd, err, code)
		}
	}
}

// Only the container's own working directory is made: an exec in a mistyped one says so and leaves nothing.
func TestExecMissingWorkingDir(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	h.up(c)
	_, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"true"}, Cwd: "/missing"}, process.IO{})
	var se *runtime.StartError
	if !errors.As(err, &se) || se.Failure.ExitCode != 126 || !strings.Contains(err.Error(), "/missing") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("got %v, want a StartError with code 126", err)
	}
	if x, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"sh", "-c", "test -e /missing"}}, process.IO{}); err != nil || x.Code != 1 {
		t.Errorf("the directory was made: %+v, %v", x, err)
	}
}

func TestExecManyBytes(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	h.up(c)
	in := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB, more than any pipe
	var out buffer
	x, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"cat"}}, process.IO{Stdin: strings.NewReader(in), Stdout: &out})
	must(t, err)
	if x.Code != 0 || out.String() != in {
		t.Errorf("exit %+v, %d bytes of %d", x, len(out.String()), len(in))
	}
}

func TestExecTerminal(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	h.up(c)
	sizes := make(chan process.WinSize, 1)
	in, feed := io.Pipe()
	var out buffer
	done := make(chan error, 1)
	go func() {
		x, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"sh"}, Terminal: true, Rows: 33, Cols: 111},
			process.IO{Stdin: in, Stdout: &out, Resize: sizes})
		if err == nil && x.Code != 5 {
			err = fmt.Errorf("exit %+v, want 5", x)
		}
		done <- err
	}()
	say := func(s string) {
		if _, err := io.WriteString(feed, s); err != nil {
			t.Error(err)
		}
	}
	until := func(text string) {
		t.Helper()
		sandbox.Eventually(t, fmt.Sprintf("%q from the terminal", text), func() bool { return strings.Contains(out.String(), text) })
	}
	say("stty size; echo t=$(tty) TERM=$TERM\n")
	until("33 111")
	until("t=/dev/")
	until("TERM=xterm")
	sizes <- process.WinSize{Rows: 40, Cols: 120}
	sandbox.Eventually(t, "the new size", func() bool {
		say("stty size\n")
		return strings.Contains(out.String(), "40 120")
	})
	say("exit 5\n")
	must(t, <-done)
}

func TestExecTimeoutAndCancel(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	h.up(c)
	x, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"sh", "-c", "sleep 500; true"}, Timeout: 100 * time.Millisecond}, process.IO{Stdout: io.Discard})
	must(t, err)
	if x.Code != 137 {
		t.Errorf("after the timeout: %+v", x)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out buffer
	done := make(chan error, 1)
	go func() {
		_, err := h.Exec(ctx, c.ID, runtime.Process{Args: []string{"sh", "-c", "echo up; exec sleep 600"}}, process.IO{Stdout: &out})
		done <- err
	}()
	sandbox.Eventually(t, "the exec runs", func() bool { return out.String() == "up\n" })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled exec: %v", err)
	}
	var ps buffer
	_, err = h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"ps"}}, process.IO{Stdout: &ps})
	must(t, err)
	for _, left := range []string{"sleep 500", "sleep 600"} {
		if strings.Contains(ps.String(), left) {
			t.Errorf("%s is left:\n%s", left, ps.String())
		}
	}
}

func TestExecDetach(t *testing.T) {
	h := newHost(t)
	c := h.config("sleep", "1000")
	h.up(c)
	_, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"sh", "-c", "echo x >/tmp/mark; sleep 500"}, Detach: true}, process.IO{})
	must(t, err)
	sandbox.Eventually(t, "the detached process works", func() bool {
		x, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"stat", "/tmp/mark"}}, process.IO{})
		return err == nil && x.Code == 0
	})
	if _, err := h.Stop(t.Context(), c.ID, 0); err != nil { // ends it too
		t.Error(err)
	}
}

func TestExecInStopped(t *testing.T) {
	h := newHost(t)
	c := h.config("true")
	h.up(c)
	h.wait(c.ID)
	if _, err := h.Exec(t.Context(), c.ID, runtime.Process{Args: []string{"true"}}, process.IO{}); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("exec in a stopped container: %v", err)
	}
	if err := h.Attach(t.Context(), c.ID, process.IO{}); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("attach to a stopped container: %v", err)
	}
}

func TestRun(t *testing.T) {
	h := newHost(t)
	c := h.sh("echo first; cat; echo last >&2; exit 6")
	_, err := h.Create(t.Context(), c)
	must(t, err)
	var out, errs buffer
	called := 0
	x, err := h.Run(t.Context(), c.ID, process.IO{Stdin: strings.NewReader("from stdin\n"), Stdout: &out, Stderr: &errs},
		func(s runtime.State) {
			called++
			if s.Status != runtime.Running || s.Pid == 0 {
				t.Errorf("started with %+v", s)
			}
		})
	must(t, err)
	if x.Code != 6 || out.String() != "first\nfrom stdin\n" || errs.String() != "last\n" || called != 1 {
		t.Errorf("exit %+v stdout %q stderr %q called %d", x, out.String(), errs.String(), called)
	}
	if got := h.log(c); !strings.Contains(got, "first\n") {
		t.Errorf("log %q", got)
	}
}

func TestRunStartError(t *testing.T) {
	h := newHost(t)
	c := h.config("nothing-here")
	_, err := h.Create(t.Context(), c)
	must(t, err)
	_, err = h.Run(t.Context(), c.ID, process.IO{Stdin: strings.NewReader(""), Stdout: io.Discard}, nil)
	var se *runtime.StartError
	if !errors.As(err, &se) || se.Failure.ExitCode != 127 {
		t.Errorf("run of a command that is not there: %v", err)
	}
}

func TestRunTerminal(t *testing.T) {
	h := newHost(t)
	c := h.sh("stty size; read x; echo got $x; exit 3")
	c.Spec.Process.Terminal = true
	_, err := h.Create(t.Context(), c)
	must(t, err)
	sizes := make(chan process.WinSize, 1)
	sizes <- process.WinSize{Rows: 21, Cols: 77}
	in, feed := io.Pipe()
	var out buffer
	go func() {
		sandbox.Eventually(t, "the size is printed", func() bool { return strings.Contains(out.String(), "\n") })
		io.WriteString(feed, "line\n")
	}()
	x, err := h.Run(t.Context(), c.ID, process.IO{Stdin: in, Stdout: &out, Resize: sizes}, nil)
	must(t, err)
	if x.Code != 3 || !strings.Contains(out.String(), "got line") {
		t.Errorf("exit %+v output %q", x, out.String())
	}
}

func TestAttach(t *testing.T) {
	h := newHost(t)
	c := h.sh("while read x; do echo got $x; done; exit 4")
	c.StdinOpen = true
	h.up(c)
	in, feed := io.Pipe()
	var out, other buffer
	done := make(chan error, 2)
	go func() { done <- h.Attach(t.Context(), c.ID, process.IO{Stdin: in, Stdout: &out}) }()
	go func() { done <- h.Attach(t.Context(), c.ID, process.IO{Stdout: &other}) }()
	io.WriteString(feed, "one\n")
	sandbox.Eventually(t, "an answer", func() bool { return strings.Contains(out.String(), "got one\n") })
	// The second client sees what comes after it attached.
	sandbox.Eventually(t, "the second client has it too", func() bool {
		io.WriteString(feed, "two\n")
		return strings.Contains(other.String(), "got two\n")
	})
	feed.Close()
	for range 2 {
		must(t, <-done)
	}
	if x := h.wait(c.ID); x.Code != 4 {
		t.Errorf("exit %+v", x)
	}
}

func BenchmarkExec(b *testing.B) {
	h := newHost(b)
	c := h.config("sleep", "1000")
	h.up(c)
	for b.Loop() {
		if x, err := h.Exec(b.Context(), c.ID, runtime.Process{Args: []string{"/bin/true"}}, process.IO{Stdout: io.Discard, Stderr: io.Discard}); err != nil || x.Code != 0 {
			b.Fatal(x, err)
		}
	}
}
