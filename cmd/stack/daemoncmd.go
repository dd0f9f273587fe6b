package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/daemon/options"
	"github.com/stackrun/stack/cmd/stack/daemonprog"
	"github.com/stackrun/stack/cmd/stack/inquiry"
	"github.com/stackrun/stack/cmd/stack/settings"
)

// linked is the daemon's program in this one: of a binary for tests.
type linked struct {
	daemon func(context.Context, options.Options) error
	answer func(context.Context, inquiry.Question) inquiry.Answer
}

func newDaemonCommand(a *app) *cobra.Command {
	o := options.Options{Idle: a.idleTime()}
	cmd := &cobra.Command{
		Use:   "daemon [OPTIONS]",
		Short: "Hold projects up: the process behind every other command",
		Long: `Holds projects up: keeps containers as their Compose files want them, answers the other commands
and serves the containers' DNS. Other commands start it when it is needed, and then it leaves by itself once
nothing runs; started by hand or by systemd it stays.

It may be ended or killed at any time: containers run on, and the next daemon takes them over.

Its socket speaks the Docker Engine API too: export DOCKER_HOST=unix:///run/stack/stack.sock. With --host that is served by TCP and TLS as well, to
clients who have a certificate.

It is a program of its own, which stack carries and puts below the state root.`,
		Args:        cobra.NoArgs,
		Annotations: map[string]string{noProject: "true"},
		RunE:        func(cmd *cobra.Command, _ []string) error { return a.becomeDaemon(cmd.Context(), o) },
	}
	o.Flags(cmd.Flags())
	return cmd
}

// becomeDaemon runs the daemon's program in this process: who has started it, and signals it, has the daemon.
func (a *app) becomeDaemon(ctx context.Context, o options.Options) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("cannot run the stack daemon as uid %d: containers, networks and mounts need root; run it with sudo", os.Geteuid())
	}
	if err := o.Remote.Check(); err != nil {
		return fmt.Errorf("%w", err)
	}
	o.Roots, o.Config = a.roots, a.configPath()
	if a.linked != nil {
		a.interrupts.listen()
		return a.linked.daemon(ctx, o)
	}
	return a.runProgram(ctx, func(text string) { a.warn("%s", text) }, func(path string) error {
		return syscall.Exec(path, append([]string{"stack"}, o.Line()...), os.Environ())
	})
}

// runProgram has run start the daemon's program at a path that holds for this process and what it forks: put in place below the state root, or where that cannot
// be, or what is there cannot be run, from memory; warn is told of that. Preconditions: the caller is root, and has opened what a child of run begins with, so that
// the program's descriptor is none of those.
func (a *app) runProgram(ctx context.Context, warn func(string), run func(path string) error) error {
	if a.linked != nil {
		return run("/proc/self/exe")
	}
	p, err := a.carried()
	if err != nil {
		return err
	}
	start := func(f *os.File) error {
		defer f.Close()
		return run(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	}
	f, placed := p.Place(ctx, a.roots.State)
	if placed == nil {
		if placed = start(f); placed == nil {
			return nil
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f, err = p.InMemory(); err != nil {
		return errors.Join(placed, err)
	}
	warn(fmt.Sprintf("the daemon runs from memory, %d MiB of it: %v", p.Size()>>20, placed))
	return start(f)
}

// carried is the daemon's program, which must be of the version of this one: what travels between them is their own types.
func (a *app) carried() (*daemonprog.Program, error) {
	p, err := daemonprog.Carried()
	if err != nil {
		return nil, err
	}
	if p.Version != version {
		return nil, fmt.Errorf("cannot use the daemon's program in this binary: it is version %s, the command is version %s\nbuild both with `make build`", p.Version, version)
	}
	return p, nil
}

// idleTime is for how long a daemon that a command started stays with nothing to do.
func (a *app) idleTime() time.Duration {
	if d, err := time.ParseDuration(a.env["STACK_IDLE"]); err == nil && d >= 0 {
		return d
	}
	return 30 * time.Second
}

// configPath is the daemon's configuration file.
func (a *app) configPath() string {
	for _, path := range []string{a.global.config, a.env["STACK_CONFIG"]} {
		if path != "" {
			if abs, err := filepath.Abs(path); err == nil { // a daemon is in another directory
				return abs
			}
			return path
		}
	}
	return settings.DefaultPath
}
