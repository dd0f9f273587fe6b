package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Limits of what a program says: bytes of its messages, and of what of its stderr is quoted.
const (
	maxSaid   = 16 << 20
	maxQuoted = 2 << 10
)

// grace is how long a program has to end after a signal, or after it has told of an error.
const grace = 10 * time.Second

// Call is what a program is asked to do.
type Call struct {
	Project  string
	Service  string
	Verb     string // up, down, stop
	Options  map[string][]string
	Metadata Metadata
}

// Variables are what a program sets for the services that depend on its own. Those of Prefixed are to get the service's name in front.
type Variables struct{ Prefixed, Raw map[string]string }

// message is a line of the protocol, as "Using lifecycle hooks / provider services" of docker compose v5.5 has it.
type message struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// Run runs the program to its end. info is told how far it is. Its error says in a clause what is wrong; ctx ends the program with SIGTERM, and
// with SIGKILL after a grace period.
func (p *Program) Run(ctx context.Context, c Call, info func(string)) (Variables, error) {
	vars := Variables{Prefixed: map[string]string{}, Raw: map[string]string{}}
	args := append([]string{"compose", "--project-name=" + c.Project, c.Verb}, c.Metadata.flags(c.Verb, c.Options)...)
	cmd := p.command(ctx, append(args, c.Service)...)
	stderr := &tail{max: maxQuoted}
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return vars, err
	}
	if err := cmd.Start(); err != nil {
		return vars, plain(err)
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() { // what it has started may hold its output open
		select {
		case <-ended:
			return
		case <-ctx.Done():
		}
		select {
		case <-ended:
		case <-time.After(grace):
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	}()
	said := read(out, &vars, info)
	if said != nil { // it has had its say; what it may still want to do is bounded
		kill := time.AfterFunc(grace, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // it may have ended
		defer kill.Stop()
		_, _ = io.Copy(io.Discard, out) // until it has closed it
	}
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return vars, context.Cause(ctx)
	case said != nil:
		return vars, said
	}
	return vars, ending(err, stderr)
}

// ending is err, of a program's end, with what the program wrote to stderr last.
func ending(err error, stderr *tail) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		err = fmt.Errorf("it exited with code %d", exit.ExitCode())
	}
	if text := strings.TrimSpace(stderr.String()); err != nil && text != "" {
		err = fmt.Errorf("%w\n%s", err, text)
	}
	return err
}

// read takes messages until the program closes its output, or says something that is an error.
func read(out io.Reader, vars *Variables, info func(string)) error {
	bound := &io.LimitedReader{R: out, N: maxSaid}
	dec := json.NewDecoder(bound)
	for {
		var m message
		switch err := dec.Decode(&m); {
		case errors.Is(err, io.EOF):
			return nil
		case bound.N <= 0:
			return fmt.Errorf("it has said more than %d bytes", maxSaid)
		case err != nil:
			return fmt.Errorf(`it does not speak the protocol of providers, lines such as {"type":"info","message":"..."}: %v`, err)
		}
		switch m.Type {
		case "info":
			line, _, _ := strings.Cut(strings.TrimRight(m.Message, "\n"), "\n")
			info(line)
		case "error":
			return errors.New(strings.TrimSpace(m.Message))
		case "debug":
		case "setenv", "rawsetenv":
			name, value, ok := strings.Cut(m.Message, "=")
			if !ok || name == "" || strings.ContainsRune(m.Message, 0) {
				return fmt.Errorf("it sets no variable with %s: expected NAME=VALUE", m.Type)
			}
			if m.Type == "setenv" {
				vars.Prefixed[name] = value
			} else {
				vars.Raw[name] = value
			}
		default:
			return fmt.Errorf("it says %q, expected info, error, setenv, rawsetenv or debug", m.Type)
		}
	}
}

// command is one that ends, with all that it has started, when ctx does.
func (p *Program) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.Path, args...)
	cmd.Env, cmd.Dir = p.Env, p.Dir
	if cmd.Env == nil {
		cmd.Env = []string{} // nil would be ours
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	return cmd
}

// plain drops what the user knows from an error of a start.
func plain(err error) error {
	if e, ok := errors.AsType[*exec.Error](err); ok {
		return e.Err
	}
	return err
}

// tail keeps the end of what is written to it.
type tail struct {
	max int
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if cut := len(t.buf) - t.max; cut > 0 {
		t.buf = append(t.buf[:0], t.buf[cut:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }
