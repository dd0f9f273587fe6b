// Package exec starts processes in containers that run, and follows them.
//
// Touches the processes that it has started. What happens inside is package boot's.
package exec

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/rawfd"
	"github.com/stackrun/stack/runtime/attachment"
	"github.com/stackrun/stack/runtime/caps"
	"github.com/stackrun/stack/runtime/child"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
	"github.com/stackrun/stack/runtime/seccomp"
	"github.com/stackrun/stack/runtime/signals"
)

// Executor starts processes in containers that run. All of its parts are needed.
type Executor struct {
	Children *child.Pool
	Filters  *seccomp.Cache
}

// In is the container that a process is started in. It runs.
type In struct {
	Config *container.Config
	Init   identity.Process
	Cgroup proto.Cgroup
	RunDir string
}

// Run runs p in a container and returns its exit when it has ended and its output is delivered, or at once when it has started with p.Detach. A process that cannot
// be started is a *child.StartError. When ctx ends, the process is killed, unless it was detached.
func (x *Executor) Run(ctx context.Context, in In, p Process, streams process.IO) (process.Exit, error) {
	id := in.Config.ID
	b, err := x.bootstrap(in, p)
	if err != nil {
		return process.Exit{}, err
	}
	if p.Detach {
		streams = process.IO{}
	}
	if p.Note != "" && in.Config.Log.Path != "" {
		notes := attachment.OpenNotes(ctx, id, in.RunDir, p.Note)
		defer notes.Close() // when the streams are at their end
		streams.Stdout, streams.Stderr = notes.Beside(streams.Stdout, proto.FrameStdout), notes.Beside(streams.Stderr, proto.FrameStderr)
	}
	s, err := openStreams(streams, p.Terminal)
	if err != nil {
		return process.Exit{}, fmt.Errorf("cannot exec in container %.12s: %w", id, err)
	}
	defer s.close()
	parent, err := x.execChild(b, s)
	if err != nil {
		return process.Exit{}, fmt.Errorf("cannot exec in container %.12s: %w", id, err)
	}
	if p.Detach {
		return x.execDetached(ctx, id, p, parent)
	}
	defer x.Children.ReplenishAfterExec()
	return x.execAttached(ctx, id, p, parent, s)
}

// execChild gives b to a child, with the far ends of s, which it closes here.
func (x *Executor) execChild(b *proto.ExecBootstrap, s *streams) (*child.Child, error) {
	defer s.closeTheirs()
	parent, err := x.Children.Take(false)
	if err != nil {
		return nil, err
	}
	if err := parent.Hand(proto.WorkExec, b.Encode(), s.theirs[:]...); err != nil {
		parent.Abort()
		return nil, err
	}
	return parent, nil
}

// bootstrap derives the exec's process from the container's.
func (x *Executor) bootstrap(in In, p Process) (*proto.ExecBootstrap, error) {
	c := in.Config
	of := c.Spec.Process
	sp := specs.Process{
		Terminal:        p.Terminal,
		User:            of.User,
		Args:            p.Args,
		Env:             mergeEnv(of.Env, p.Env),
		Cwd:             of.Cwd,
		Capabilities:    of.Capabilities,
		Rlimits:         of.Rlimits,
		NoNewPrivileges: of.NoNewPrivileges,
		ApparmorProfile: of.ApparmorProfile,
		OOMScoreAdj:     of.OOMScoreAdj,
		SelinuxLabel:    of.SelinuxLabel,
	}
	groups := c.Groups
	if p.Cwd != "" {
		sp.Cwd = p.Cwd
	}
	if p.User != "" {
		// The named user's groups, and not the container's extra ones with it: as docker exec -u does.
		sp.User, groups = specs.User{Username: p.User}, nil
	}
	if p.Terminal {
		if p.Rows > 0 && p.Cols > 0 {
			sp.ConsoleSize = &specs.Box{Height: uint(p.Rows), Width: uint(p.Cols)}
		}
		if !hasEnv(sp.Env, "TERM") {
			sp.Env = append(sp.Env, "TERM=xterm")
		}
	}
	b := &proto.ExecBootstrap{
		Pid: in.Init.Pid, PidStart: in.Init.Start,
		Process: sp, Groups: groups, Cgroup: in.Cgroup, Timeout: p.Timeout,
	}
	if p.Privileged {
		b.Process.Capabilities = caps.Full()
		b.Process.NoNewPrivileges = false
		return b, nil // and no filter
	}
	if c.Spec.Linux != nil {
		var err error
		if b.Seccomp, err = x.Filters.Compile(c.Spec.Linux.Seccomp); err != nil {
			return nil, fmt.Errorf("cannot exec in container %.12s: %w", c.ID, err)
		}
	}
	return b, nil
}

// execDetached waits for the start only; a goroutine reaps the parent of the exec when it ends.
func (x *Executor) execDetached(ctx context.Context, id string, p Process, parent *child.Child) (process.Exit, error) {
	now, failure, _, err := parent.AwaitStart(ctx, nil, nil)
	if now != nil && now.File >= 0 {
		unix.Close(now.File) // the master of a terminal that nobody looks at
	}
	if err != nil || failure != nil {
		parent.Abort()
		if failure != nil {
			err = &child.StartError{ID: id, Failure: failure}
		}
		return process.Exit{}, err
	}
	if p.Started != nil {
		p.Started(now.Status.Pid)
	}
	go func() {
		exit := process.Exit{Code: 137, Signal: int(unix.SIGKILL), Unseen: true, Error: "the parent of the process was killed"}
		for {
			rep, fds, err := parent.Reports.Next()
			rawfd.CloseAll(fds)
			if err == nil && rep.Type == proto.ReportExited && rep.Exit != nil {
				exit = process.Exit(*rep.Exit)
			} else if err == nil {
				continue
			}
			break
		}
		parent.Wait()
		parent.Close()
		if exit.FinishedAt.IsZero() {
			exit.FinishedAt = time.Now()
		}
		if p.Ended != nil {
			p.Ended(exit)
		}
	}()
	return process.Exit{}, nil
}

// execAttached follows the process to its end. The parent is its own, to close.
func (x *Executor) execAttached(ctx context.Context, id string, p Process, parent *child.Child, s *streams) (process.Exit, error) {
	// One goroutine reads reports; ctx ends the process, and then the reports end by themselves.
	var (
		mu      sync.Mutex
		started *proto.Status
	)
	kill := func() {
		mu.Lock()
		defer mu.Unlock()
		if started != nil {
			identity.InitOf(started).Send(unix.SIGKILL)
		}
		// Its parent reports the end; before the start there is none to report, and it undoes what it has done.
		if started == nil {
			parent.HangUp()
		}
	}
	stop := context.AfterFunc(ctx, kill)
	defer stop()

	var exit *proto.Exit
	var failure *proto.Failure
	var broken error
	for exit == nil && failure == nil && broken == nil {
		rep, fds, err := parent.Reports.Next()
		if err != nil {
			broken = err
			break
		}
		switch rep.Type {
		case proto.ReportStarted:
			if rep.Status != nil {
				mu.Lock()
				started = rep.Status
				mu.Unlock()
				if p.Started != nil {
					p.Started(rep.Status.Pid)
				}
				if ctx.Err() != nil {
					kill() // it ended while the process was being started
				}
			}
			if p.Terminal && len(fds) == 1 {
				broken = s.terminal(fds[0])
				fds = nil
			}
			s.start()
			if rep.Status != nil && s.caller.Signals != nil {
				go signals.Relay(s.caller.Signals, s.ended, func(sig unix.Signal) {
					_ = identity.InitOf(rep.Status).Interrupt(sig) // the next one will do
				})
			}
		case proto.ReportWarning:
		case proto.ReportFailed:
			failure = rep.Failure
		case proto.ReportExited:
			exit = rep.Exit
		default:
			broken = fmt.Errorf("unexpected report %q", rep.Type)
		}
		rawfd.CloseAll(fds)
	}
	if broken != nil {
		kill()
		parent.HangUp()
	}
	over := func() {
		parent.Wait()
		parent.Close()
	}
	if exit != nil {
		go over() // it has nothing more to say, and its end takes the kernel longer than the way of the answer
	} else {
		over()
	}
	switch {
	case ctx.Err() != nil && (exit == nil || exit.Signal == int(unix.SIGKILL)):
		s.abandon()
		return process.Exit{}, ctx.Err()
	case failure != nil:
		return process.Exit{}, &child.StartError{ID: id, Failure: failure}
	case broken == io.EOF:
		// The container was killed, and the exec's parent with it or before it could report.
		s.finish()
		return process.Exit{Code: 137, Signal: int(unix.SIGKILL), FinishedAt: time.Now(), Unseen: true, Error: "the parent of the process was killed"}, nil
	case broken != nil:
		return process.Exit{}, fmt.Errorf("cannot exec in container %.12s: %w", id, broken)
	case exit == nil:
		return process.Exit{}, fmt.Errorf("cannot exec in container %.12s: it ended without an exit", id)
	}
	if err := s.finish(); err != nil {
		return process.Exit(*exit), fmt.Errorf("the output of the process is not complete: %w", err)
	}
	return process.Exit(*exit), nil
}
