package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/api/server"
	"github.com/stackrun/stack/cmd/stack/settings"
	"github.com/stackrun/stack/internal/roots"
)

// daemonOptions are the flags of `stack daemon`.
type daemonOptions struct {
	autoStarted bool
	readyFD     int
	idle        time.Duration
	remote      remoteOptions
}

func newDaemonCommand(a *app) *cobra.Command {
	var o daemonOptions
	cmd := &cobra.Command{
		Use:   "daemon [OPTIONS]",
		Short: "Hold projects up: the process behind every other command",
		Long: `Holds projects up: keeps containers as their Compose files want them, answers the other commands
and serves the containers' DNS. Other commands start it when it is needed, and then it leaves by itself once
nothing runs; started by hand or by systemd it stays.

It may be ended or killed at any time: containers run on, and the next daemon takes them over.

Its socket speaks the Docker Engine API too: export DOCKER_HOST=unix:///run/stack/stack.sock. With --host that is served by TCP and TLS as well, to
clients who have a certificate.`,
		Args:        cobra.NoArgs,
		Annotations: map[string]string{noProject: "true"},
		RunE:        func(cmd *cobra.Command, _ []string) error { return a.runDaemon(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.DurationVar(&o.idle, "idle", a.idleTime(), "When started by another command, leave after nothing was to do for this long; 0 = stay. STACK_IDLE sets the default")
	f.BoolVar(&o.autoStarted, "auto-started", false, "Leave when idle")
	f.IntVar(&o.readyFD, "ready-fd", 0, "Say on this file descriptor when commands can connect")
	o.remote.flags(f)
	f.MarkHidden("ready-fd") //nolint:errcheck // it exists
	return cmd
}

// runDaemon is the life of a daemon: lock, open, listen, answer until told to end or nothing is left to do.
func (a *app) runDaemon(ctx context.Context, o daemonOptions) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("cannot run the stack daemon as uid %d: containers, networks and mounts need root; run it with sudo", os.Geteuid())
	}
	remote, err := o.remote.config()
	if err != nil {
		return err
	}
	a.interrupts.listen()
	ready := readyFile(o.readyFD)
	defer func() {
		if ready != nil {
			ready.Close()
		}
	}()
	// Started by way of /proc/self/exe its name would be "exe" in ps and top.
	os.WriteFile("/proc/self/comm", []byte("stack"), 0) //nolint:errcheck // a name
	// The terminal that it was started from may go.
	signal.Ignore(syscall.SIGHUP)
	config, err := settings.Read(a.configPath())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(a.roots.State, 0o700); err != nil {
		return fmt.Errorf("cannot run the stack daemon: %w", err)
	}
	patience, cancel := context.WithTimeout(ctx, 15*time.Second)
	lock, err := lockDaemon(patience, a.roots)
	cancel()
	if errors.Is(err, errAnswered) && ready != nil {
		_, err := ready.WriteString(readyLine)
		return err
	}
	if errors.Is(err, errAnswered) {
		return fmt.Errorf("cannot run the stack daemon on %s: %w; commands use it as it is", a.roots.Run, err)
	}
	if err != nil {
		return fmt.Errorf("cannot run the stack daemon on %s: %w", a.roots.Run, err)
	}
	log := slog.New(slog.NewTextHandler(a.err, nil))
	slog.SetDefault(log) // for what the engine does of itself
	d := &daemonProcess{roots: a.roots, options: o, remote: remote, log: log, open: a.openEngine}
	started := func() {
		daemon.SdNotify(false, daemon.SdNotifyReady) //nolint:errcheck // nobody listens
		if ready != nil {
			ready.WriteString(readyLine) //nolint:errcheck // it was not waited for
			ready.Close()
			ready = nil
		}
	}
	err = d.run(ctx, config, started)
	leaveRun(a.roots, lock)
	return err
}

// idleTime is for how long a daemon that a command started stays with nothing to do.
func (a *app) idleTime() time.Duration {
	if d, err := time.ParseDuration(a.env["STACK_IDLE"]); err == nil && d >= 0 {
		return d
	}
	return 30 * time.Second
}

func (a *app) configPath() string {
	for _, path := range []string{a.global.config, a.env["STACK_CONFIG"]} {
		if path != "" {
			return path
		}
	}
	return settings.DefaultPath
}

// daemonProcess is a daemon that holds the lock.
type daemonProcess struct {
	roots   roots.Roots
	options daemonOptions
	remote  *tls.Config // of options.remote; nil = there is none
	log     *slog.Logger
	open    engineOpener
	server  atomic.Pointer[server.Server] // nil until there is one
}

// How long requests have to end when the daemon does.
const shutdownTime = 5 * time.Second

func (d *daemonProcess) run(ctx context.Context, config settings.Settings, started func()) error {
	useMemory()
	engine, err := d.open(ctx, d.roots, config, func() {
		if s := d.server.Load(); s != nil {
			s.Worked()
		}
	})
	if err != nil {
		return err
	}
	return d.serve(ctx, engine, started)
}

// serve answers in front of engine until ctx ends or it is idle, and closes it.
func (d *daemonProcess) serve(ctx context.Context, engine opened, started func()) error {
	group := stackGroup()
	replaced := make(chan struct{})
	options := server.Options{
		Version: api.Version{
			Version: version, Pid: os.Getpid(), AutoStarted: d.options.autoStarted,
			StateRoot: d.roots.State, RunRoot: d.roots.Run,
		},
		Group: group, Log: d.log, Docker: engine.docker,
		RestAfter: restAfter, Rested: restMemory,
	}
	if d.options.autoStarted {
		options.Replaced = func() { close(replaced) }
	}
	s := server.New(engine.engine, options)
	d.server.Store(s)
	listener, err := server.Listen(d.roots.Socket(), group)
	if err != nil {
		return errors.Join(err, engine.close(ctx))
	}
	remote, err := d.options.remote.listen()
	if err != nil {
		return errors.Join(err, listener.Close(), engine.close(ctx))
	}
	served := make(chan error, 1+len(remote))
	go func() { served <- s.Serve(listener) }()
	for _, l := range remote {
		go func() { served <- s.ServeRemote(l, d.remote) }()
		d.log.Info("the Docker Engine API is served to who has a certificate", "address", l.Addr())
	}
	d.log.Info("ready", "version", version, "socket", d.roots.Socket())
	started()
	select {
	case <-ctx.Done():
		d.log.Info("ending: containers run on")
	case <-d.idle(ctx, s, engine.engine):
		d.log.Info("leaving: nothing runs and nobody asks")
	case <-replaced:
		d.log.Info("leaving to a daemon of another version: containers run on")
	case err = <-served:
	}
	daemon.SdNotify(false, daemon.SdNotifyStopping) //nolint:errcheck // nobody listens
	ending, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	return errors.Join(err, s.Shutdown(ending), engine.close(ending))
}

// idle closes its channel once nobody has been connected and nothing ran for as long as the options say; never for
// a daemon that was not started by a command. It looks four times in that span and not at events: a daemon that
// stays a few seconds longer harms nobody.
func (d *daemonProcess) idle(ctx context.Context, s *server.Server, engine server.Engine) <-chan struct{} {
	done := make(chan struct{})
	if !d.options.autoStarted || d.options.idle <= 0 {
		return done
	}
	go func() {
		tick := time.NewTicker(max(d.options.idle/4, 10*time.Millisecond))
		defer tick.Stop()
		var since time.Time // when the engine was first seen idle
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if !engine.Idle() {
				since = time.Time{}
				continue
			}
			if since.IsZero() {
				since = time.Now()
			}
			if time.Since(since) >= d.options.idle && s.Leave(d.options.idle) {
				close(done)
				return
			}
		}
	}()
	return done
}

// stackGroup is the id of the group `stack`, -1 when there is none.
func stackGroup() int {
	g, err := user.LookupGroup("stack")
	if err != nil {
		return -1
	}
	id, err := strconv.Atoi(g.Gid)
	if err != nil {
		return -1
	}
	return id
}
