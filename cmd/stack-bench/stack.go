package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/basespec"
	"github.com/stackrun/stack/runtime/mount"
)

// stack is ours.
type stack struct {
	m      *machine
	dir    string
	env    []string
	daemon *daemon
	driver *runtime.Driver // for life
	lives  int
	cancel context.CancelFunc
}

func newStack(m *machine) *stack { return &stack{m: m, dir: filepath.Join(m.dir, "stack")} }

func (s *stack) name() string { return "stack" }

func (s *stack) version() string {
	out, _ := output(exec.Command(s.m.bin, "version", "--short"))
	return out
}

func (s *stack) start(ctx context.Context) error {
	for _, d := range []string{"state", "run", "solo", "rootfs", "run-bridge", "run-none"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o755); err != nil {
			return err
		}
	}
	s.env = append(os.Environ(), "STACK_STATE_ROOT="+s.dir+"/state", "STACK_RUN_ROOT=/run/stack-bench")
	var err error
	if s.daemon, err = startDaemon(ctx, s.dir+"/log", s.env, s.m.bin, "daemon"); err != nil {
		return err
	}
	if err := s.daemon.ready(ctx, func() error { _, err := os.Stat("/run/stack-bench/stack.sock"); return err }); err != nil {
		return err
	}
	if _, err := output(s.command(ctx, s.dir, "load", "--input", s.m.archive)); err != nil {
		return err
	}
	for name, mode := range map[string]string{"run-bridge": "", "run-none": "    network_mode: none\n"} {
		yaml := "services:\n  one:\n    image: " + small + "\n" + mode
		if err := os.WriteFile(filepath.Join(s.dir, name, "compose.yaml"), []byte(yaml), 0o644); err != nil {
			return err
		}
	}
	if err := unpackBusybox(filepath.Join(s.dir, "rootfs")); err != nil {
		return err
	}
	alive, cancel := context.WithCancel(ctx)
	s.cancel = cancel
	s.driver, err = runtime.New(alive, runtime.Options{Roots: roots.Roots{State: s.dir + "/solo", Run: "/run/stack-solo"}})
	return err
}

func (s *stack) stop() {
	if s.driver != nil {
		_ = s.driver.Close()
		s.cancel()
	}
	s.daemon.stop()
}

func (s *stack) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.m.bin, args...)
	cmd.Dir, cmd.Env = dir, s.env
	return cmd
}

func (s *stack) compose(ctx context.Context, dir string, args ...string) (*exec.Cmd, error) {
	return s.command(ctx, dir, args...), nil
}

func (s *stack) run(ctx context.Context, bridge bool) (*exec.Cmd, error) {
	dir := "run-none"
	if bridge {
		dir = "run-bridge"
	}
	return s.command(ctx, filepath.Join(s.dir, dir), "run", "--rm", "-T", "one", "true"), nil
}

func (s *stack) exec(ctx context.Context, dir, _, service string) (*exec.Cmd, error) {
	return s.command(ctx, dir, "exec", "-T", service, "true"), nil
}

func (s *stack) build(ctx context.Context, dir, _ string) (*exec.Cmd, error) {
	return s.command(ctx, dir, "build"), nil
}

// life goes through the driver, as the daemon does.
func (s *stack) life(ctx context.Context) (time.Duration, error) {
	s.lives++
	id := fmt.Sprintf("%064x", s.lives)
	upper, work := filepath.Join(s.dir, "solo", id+"-upper"), filepath.Join(s.dir, "solo", id+"-work")
	for _, d := range []string{upper, work} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return 0, err
		}
	}
	spec := basespec.New()
	spec.Process.Args = []string{"/bin/true"}
	c := runtime.Config{ID: id, Spec: spec, CreatedAt: time.Now(), Root: []mount.Mount{{
		Type: "overlay", Target: "/", Lower: []string{filepath.Join(s.dir, "rootfs")}, Upper: upper, Work: work,
	}}}
	start := time.Now()
	if _, err := s.driver.Create(ctx, c); err != nil {
		return 0, err
	}
	if _, err := s.driver.Start(ctx, id); err != nil {
		return 0, err
	}
	x, err := s.driver.Wait(ctx, id)
	if err == nil && x.Code != 0 {
		err = fmt.Errorf("true ended with %d", x.Code)
	}
	if err != nil {
		return 0, err
	}
	err = s.driver.Delete(ctx, id)
	return time.Since(start), err
}

// pull goes to a daemon of its own: what it brings is gone with its state.
func (s *stack) pull(ctx context.Context) (took time.Duration, err error) {
	dir, err := os.MkdirTemp(s.dir, "pull-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("services:\n  one:\n    image: "+s.m.registry+"/"+large+"\n"), 0o644); err != nil {
		return 0, err
	}
	env := append(s.env, "STACK_STATE_ROOT="+dir+"/state", "STACK_RUN_ROOT=/run/"+filepath.Base(dir))
	d, err := startDaemon(ctx, dir+"/log", env, s.m.bin, "daemon")
	if err != nil {
		return 0, err
	}
	defer d.stop()
	if err := d.ready(ctx, func() error { _, err := os.Stat("/run/" + filepath.Base(dir) + "/stack.sock"); return err }); err != nil {
		return 0, err
	}
	cmd := s.command(ctx, dir, "pull", "--quiet")
	cmd.Env = env
	return timed(cmd, nil)
}

func (s *stack) owns(program string) bool {
	return anyOf(program, "stack", "stack-daemon", "stack-init")
}
