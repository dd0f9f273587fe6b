package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// engine is a program, or a row of them, that runs containers. What it cannot do is errNot.
type engine interface {
	name() string
	version() string
	// start starts its daemons and gives them the small image. It fails when the engine is not installed.
	start(ctx context.Context) error
	stop()
	// compose is a docker compose command on the project in dir.
	compose(ctx context.Context, dir string, args ...string) (*exec.Cmd, error)
	// run is `run --rm` of `true` in a new container of the small image.
	run(ctx context.Context, bridge bool) (*exec.Cmd, error)
	// exec runs `true` in a container.
	exec(ctx context.Context, dir, container, service string) (*exec.Cmd, error)
	// build builds the image tag from the project in dir, whose one service is built there.
	build(ctx context.Context, dir, tag string) (*exec.Cmd, error)
	// life is the time of a container that runs `true`, from its making to its removal, without a command line of its own.
	life(ctx context.Context) (time.Duration, error)
	// pull fetches the large image and removes it again, which is not timed.
	pull(ctx context.Context) (time.Duration, error)
	// owns says whether a process of a program of this name is one of the engine's own.
	owns(program string) bool
}

var errNot = errors.New("not a thing that it does")

// none is an engine that does nothing, for others to stand on.
type none struct{}

func (none) compose(context.Context, string, ...string) (*exec.Cmd, error)   { return nil, errNot }
func (none) run(context.Context, bool) (*exec.Cmd, error)                    { return nil, errNot }
func (none) exec(context.Context, string, string, string) (*exec.Cmd, error) { return nil, errNot }
func (none) build(context.Context, string, string) (*exec.Cmd, error)        { return nil, errNot }
func (none) life(context.Context) (time.Duration, error)                     { return 0, errNot }
func (none) pull(context.Context) (time.Duration, error)                     { return 0, errNot }
func (none) owns(string) bool                                                { return false }

// output runs cmd to its end and returns what it wrote to stdout.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		said := strings.TrimSpace(stderr.String())
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, said[max(0, len(said)-400):])
	}
	return stdout.String(), nil
}

// timed runs cmd to its end.
func timed(cmd *exec.Cmd, err error) (time.Duration, error) {
	if err != nil {
		return 0, err
	}
	start := time.Now()
	_, err = output(cmd)
	return time.Since(start), err
}

// daemon is a process that an engine has started.
type daemon struct {
	cmd *exec.Cmd
	log string
}

func startDaemon(ctx context.Context, log string, env []string, args ...string) (*daemon, error) {
	f, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = f, f
	return &daemon{cmd, log}, cmd.Start()
}

// ready waits until ask succeeds.
func (d *daemon) ready(ctx context.Context, ask func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-limit:
			said, _ := os.ReadFile(d.log)
			return fmt.Errorf("%s does not answer: %w: %s", d.cmd.Args[0], err, said[max(0, len(said)-600):])
		}
	}
}

func (d *daemon) stop() {
	if d == nil || d.cmd.Process == nil {
		return
	}
	_ = d.cmd.Process.Signal(os.Interrupt)
	done := make(chan struct{})
	go func() { _ = d.cmd.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(15 * time.Second):
		_ = d.cmd.Process.Kill()
		<-done
	}
}

// rest is how long an engine has had nothing to do when its memory is measured: what a command has just used is no cost of what runs.
const rest = 3 * time.Second

// memory is the proportional set size, in MiB, of e's own processes: those that are not in a container's pid namespace.
func memory(ctx context.Context, e engine) (float64, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(rest):
	}
	mine, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return 0, err
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	var kb int
	for _, dir := range dirs {
		exe, err := os.Readlink(dir + "/exe")
		program := strings.TrimPrefix(strings.TrimSuffix(filepath.Base(exe), " (deleted)"), "memfd:")
		if err != nil || !e.owns(program) {
			continue
		}
		if ns, err := os.Readlink(dir + "/ns/pid"); err != nil || ns != mine {
			continue
		}
		smaps, err := os.ReadFile(dir + "/smaps_rollup")
		if err != nil {
			continue // it has ended
		}
		for line := range strings.Lines(string(smaps)) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == "Pss:" {
				n, err := strconv.Atoi(f[1])
				if err != nil {
					return 0, err
				}
				kb += n
			}
		}
	}
	return float64(kb) / 1024, nil
}

func anyOf(program string, names ...string) bool { return slices.Contains(names, program) }

// look finds programs, all of them.
func look(names ...string) error {
	for _, n := range names {
		if _, err := exec.LookPath(n); err != nil {
			return fmt.Errorf("%s is not installed", n)
		}
	}
	return nil
}

// composeOf is how docker compose is called here: as a program of its own or as docker's plugin.
func composeOf() ([]string, error) {
	for _, c := range [][]string{{"docker-compose"}, {"docker", "compose"}} {
		out, err := exec.Command(c[0], append(c[1:], "version", "--short")...).Output()
		if v := strings.TrimPrefix(strings.TrimSpace(string(out)), "v"); err == nil && !strings.HasPrefix(v, "1.") {
			return c, nil
		}
	}
	return nil, errors.New("docker compose is not installed")
}
