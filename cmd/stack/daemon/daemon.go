// Package daemon is the process that keeps projects up. It locks the roots, opens the engine with its drivers, and
// answers requests until it is told to end or has nothing to look after. Only the program cmd/stack-daemon, which
// stack contains, links it. No command does.
package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/api/server"
	"github.com/stackrun/stack/cmd/stack/daemon/options"
	"github.com/stackrun/stack/cmd/stack/settings"
)

// Process is one daemon's.
type Process struct {
	Options options.Options
	Version string    // of the program
	Log     io.Writer // what it does of itself
	Open    Opener    // of what it stands in front of; nil = this host's engine

	remote *tls.Config // of Options.Remote; nil = there is none
	log    *slog.Logger
	server atomic.Pointer[server.Server] // nil until there is one
}

// Run is its life: lock, open, listen, answer until ctx ends or nothing is left to do.
func (p *Process) Run(ctx context.Context) (err error) {
	o := &p.Options
	if os.Geteuid() != 0 {
		return fmt.Errorf("cannot run the stack daemon as uid %d: containers, networks and mounts need root; run it with sudo", os.Geteuid())
	}
	if p.remote, err = remoteConfig(o.Remote); err != nil {
		return err
	}
	ready := readyFile(o.ReadyFD)
	defer func() {
		if ready != nil {
			ready.Close()
		}
	}()
	// Started by way of a descriptor its name would be that number in ps and top.
	os.WriteFile("/proc/self/comm", []byte("stack"), 0) //nolint:errcheck // a name
	// The terminal that it was started from may go.
	signal.Ignore(syscall.SIGHUP)
	config, err := settings.Read(o.Config)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Roots.State, 0o700); err != nil {
		return fmt.Errorf("cannot run the stack daemon: %w", err)
	}
	patience, cancel := context.WithTimeout(ctx, 15*time.Second)
	lock, err := p.lockRoots(patience)
	cancel()
	if errors.Is(err, errAnswered) && ready != nil {
		_, err := ready.WriteString(options.Ready)
		return err
	}
	if errors.Is(err, errAnswered) {
		return fmt.Errorf("cannot run the stack daemon on %s: %w; commands use it as it is", o.Roots.Run, err)
	}
	if err != nil {
		return fmt.Errorf("cannot run the stack daemon on %s: %w", o.Roots.Run, err)
	}
	p.log = slog.New(slog.NewTextHandler(p.Log, nil))
	started := func() {
		daemon.SdNotify(false, daemon.SdNotifyReady) //nolint:errcheck // nobody listens
		if ready != nil {
			ready.WriteString(options.Ready) //nolint:errcheck // it was not waited for
			ready.Close()
			ready = nil
		}
	}
	err = p.run(ctx, config, started, lock.Name())
	if errors.Is(err, errShutOut) {
		return errors.Join(err, lock.Close()) // what is there now is somebody else's
	}
	leaveRun(o.Roots, lock)
	return err
}

// How long requests have to end when the daemon does.
const shutdownTime = 5 * time.Second

func (p *Process) run(ctx context.Context, config settings.Settings, started func(), lock string) error {
	useMemory()
	open := p.Open
	if open == nil {
		open = openEngine
	}
	engine, err := open(ctx, Setting{Roots: p.Options.Roots, Settings: config, Version: p.Version, Log: p.log, Worked: func() {
		if s := p.server.Load(); s != nil {
			s.Worked()
		}
	}})
	if err != nil {
		return err
	}
	return p.serve(ctx, engine, started, lock)
}

// serve answers in front of engine until ctx ends, it is idle, or nobody can reach it, and closes it. lock is the path of the lock that it has.
func (p *Process) serve(ctx context.Context, engine Opened, started func(), lock string) error {
	group := stackGroup()
	replaced := make(chan struct{})
	options := server.Options{
		Version: api.Version{
			Version: p.Version, Pid: os.Getpid(), AutoStarted: p.Options.AutoStarted,
			StateRoot: p.Options.Roots.State, RunRoot: p.Options.Roots.Run,
		},
		Group: group, Log: p.log, Docker: engine.Docker,
		RestAfter: restAfter, Rested: restMemory, Connected: engine.Expect,
	}
	if p.Options.AutoStarted {
		options.Replaced = func() { close(replaced) }
	}
	s := server.New(engine.Engine, options)
	p.server.Store(s)
	listener, err := server.Listen(p.Options.Roots.Socket(), group)
	if err != nil {
		return errors.Join(err, engine.Close(ctx))
	}
	remote, err := listenRemote(p.Options.Remote)
	if err != nil {
		return errors.Join(err, listener.Close(), engine.Close(ctx))
	}
	served := make(chan error, 1+len(remote))
	go func() { served <- s.Serve(listener) }()
	for _, l := range remote {
		go func() { served <- s.ServeRemote(l, p.remote) }()
		p.log.Info("the Docker Engine API is served to who has a certificate", "address", l.Addr())
	}
	p.log.Info("ready", "version", p.Version, "socket", p.Options.Roots.Socket())
	started()
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	select {
	case <-doorOf(p.Options.Roots.Socket(), lock).removed(watching):
		err = errShutOut
	case <-ctx.Done():
		p.log.Info("ending: containers run on")
	case <-p.idle(ctx, s, engine.Engine):
		p.log.Info("leaving: nothing runs and nobody asks")
	case <-replaced:
		p.log.Info("leaving to a daemon of another version: containers run on")
	case err = <-served:
	}
	daemon.SdNotify(false, daemon.SdNotifyStopping) //nolint:errcheck // nobody listens
	ending, cancelEnding := context.WithTimeout(context.Background(), shutdownTime)
	defer cancelEnding()
	return errors.Join(err, s.Shutdown(ending), engine.Close(ending))
}

// idle closes its channel once nobody has been connected and nothing ran for as long as the options say; never for
// a daemon that was not started by a command. It looks four times in that span and not at events: a daemon that
// stays a few seconds longer harms nobody.
func (p *Process) idle(ctx context.Context, s *server.Server, engine server.Engine) <-chan struct{} {
	done := make(chan struct{})
	if !p.Options.AutoStarted || p.Options.Idle <= 0 {
		return done
	}
	go func() {
		tick := time.NewTicker(max(p.Options.Idle/4, 10*time.Millisecond))
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
			if time.Since(since) >= p.Options.Idle && s.Leave(p.Options.Idle) {
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

// readyFile is the file that fd names, for --ready-fd; nil when none was given.
func readyFile(fd int) *os.File {
	if fd <= 2 {
		return nil
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "ready-fd "+strconv.Itoa(fd))
}
