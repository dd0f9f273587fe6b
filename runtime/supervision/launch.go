package supervision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/runtime/child"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/event"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
	"github.com/stackrun/stack/runtime/record"
)

// LaunchOptions say who attaches from the first byte on. The zero value: nobody.
type LaunchOptions struct {
	// listening, when not nil, is called when the monitor's socket takes clients; the execve is held back
	// until one has attached. Its error ends the start.
	Listening func() error
	Stdin     bool // a client will feed stdin
}

// Launch makes the cgroups of c and starts its monitor, and returns when execve has succeeded, with the run that is followed from then on; or with a *child.StartError,
// which is on record as the exit then, and nothing is left running. When ctx ends first the start is undone, and its error returned, unless the program may have begun.
//
// Preconditions: the container's lock is held, it does not run.
func (sv *Supervisor) Launch(ctx context.Context, c *container.Config, opt LaunchOptions) (container.State, *Run, error) {
	if err := sv.unmounts.Await(ctx, c.ID); err != nil {
		return container.State{}, nil, err
	}
	b, err := sv.bootstrap(c)
	if err != nil {
		return container.State{}, nil, err
	}
	b.AwaitAttach = opt.Listening != nil
	b.StdinOpen = b.StdinOpen || opt.Stdin
	if err := sv.guests.Await(ctx, c.ID); err != nil { // they have seen the end of its last run
		return container.State{}, nil, err
	}

	// The monitor first: its program starts, if it has not yet, while the rest is made. It does nothing before it is on record and has its work.
	p, err := sv.children.Take(c.OwnPids())
	if err != nil {
		return container.State{}, nil, fmt.Errorf("cannot start container %.12s: %w", c.ID, err)
	}
	failpoint.Hit("runtime.start.spawned")
	// Then the record: whoever finds it without an exit knows that there may be a cgroup and processes.
	r := &record.Run{Boot: sv.records.Boot, Asked: time.Now(), Monitor: p.Monitor}
	if err := sv.records.Begin(c.ID, r); err != nil {
		p.Abort()
		return container.State{}, nil, fmt.Errorf("cannot start container %.12s: %w", c.ID, err)
	}
	failpoint.Hit("runtime.start.recorded")
	sv.losses.Listen(c.ID) // before it writes its first line
	fail := func(f *proto.Failure) (container.State, *Run, error) {
		p.Abort()
		x := &process.Exit{Code: f.ExitCode, FinishedAt: time.Now(), Error: f.Error()}
		err := error(&child.StartError{ID: c.ID, Failure: f})
		if cerr := sv.undoStart(c.ID, x); cerr != nil {
			err = errors.Join(err, cerr)
		}
		return container.State{}, nil, err
	}
	// The cgroups are made while the monitor reads its work, and does what it can without them, which takes longer.
	cgroups, err := sv.cgroups.Plan(c.ID, c.Resources())
	if err != nil {
		return fail(&proto.Failure{Stage: "cgroup", Detail: err.Error(), ExitCode: 125})
	}
	b.Cgroup = cgroups.Group()
	handed := sv.children.HandContainer(p, b.Encode())
	failpoint.Hit("runtime.start.handed")
	if r.Warnings, err = cgroups.Make(); err != nil {
		return fail(&proto.Failure{Stage: "cgroup", Detail: err.Error(), ExitCode: 125})
	}
	failpoint.Hit("runtime.start.cgroup")
	if handed == nil {
		handed = p.Say(proto.WorkGo)
	}
	if handed != nil {
		p.Shutdown()
	}
	now, failure, notes, err := p.AwaitStart(ctx, handed, opt.Listening)
	var l *Run
	if err != nil { // ctx ended
		var unseen error
		if l, unseen = sv.giveUp(c.ID, p); unseen != nil {
			return container.State{}, nil, errors.Join(err, unseen) // it may run: whoever looks next adopts it
		}
		if l == nil {
			if x, xerr := sv.records.Exit(c.ID); xerr == nil && x.Error == "" { // it has begun, and ended meanwhile
				sv.losses.Forget(c.ID)
				sv.events.Publish(event.Event{ID: c.ID, Kind: event.Exited, At: x.FinishedAt, Exit: sv.settle(c.ID, nil, nil)})
			} else {
				sv.undoStart(c.ID, nil)
			}
			return container.State{}, nil, err
		}
		now = &child.Started{Status: l.status, File: -1}
	}
	if failure != nil {
		return fail(failure)
	}
	status := &now.Status
	failpoint.Hit("runtime.start.running")
	// A start without warnings has nothing to add to the record: a file that replaces another is written to the disk at once (ext4(5), auto_da_alloc).
	if r.Warnings = append(r.Warnings, notes...); len(r.Warnings) > 0 {
		r.StartedAt = status.StartedAt
		if err := sv.records.WriteRun(c.ID, r); err != nil {
			r.Warnings = append(r.Warnings, err.Error())
		}
	}
	failpoint.Hit("runtime.start.rerecorded")
	if l == nil {
		l = &Run{ID: c.ID, status: *status, monitor: p.Pidfd, reports: p.Reports, root: sv.unmounts.Hold(now.File, c), devices: slices.ContainsFunc(c.Mounts, func(m mount.Mount) bool { return m.Filesystem() }), done: make(chan struct{}), gone: make(chan struct{})}
		if err := sv.watch(l, c, true); err != nil {
			l.release() // it runs on; the next daemon adopts it
			return container.State{}, nil, err
		}
	}
	sv.children.ReplenishSoon()
	sv.events.Publish(event.Event{ID: c.ID, Kind: event.Started, At: status.StartedAt})
	st := container.State{ID: c.ID, Status: container.Running, Pid: status.Pid, PidStart: status.PidStart, Labels: c.Labels, CreatedAt: c.CreatedAt,
		StartedAt: status.StartedAt, Config: c, Warnings: r.Warnings}
	return st, l, nil
}

// bootstrap is what the monitor is told, but for the cgroups.
func (sv *Supervisor) bootstrap(c *container.Config) (*proto.Bootstrap, error) {
	spec := *c.Spec
	var filter []byte
	if spec.Linux != nil {
		linux := *spec.Linux
		var err error
		if filter, err = sv.filters.Compile(linux.Seccomp); err != nil {
			return nil, fmt.Errorf("cannot start container %.12s: %w", c.ID, err)
		}
		linux.Seccomp, linux.Resources = nil, nil // done here
		spec.Linux = &linux
	}
	var filesystems []mount.Mount
	for _, m := range c.Mounts {
		if m.Filesystem() {
			filesystems = append(filesystems, m)
		}
	}
	return &proto.Bootstrap{
		ID: c.ID, Spec: &spec, Root: c.Root, Mounts: c.Mounts, Filesystems: filesystems, Groups: c.Groups,
		Init: c.Init, StdinOpen: c.StdinOpen, Log: proto.Log(c.Log),
		RunDir: sv.records.RunDir(c.ID), ExitPath: sv.records.ExitPath(c.ID),
		Cramped: cramped(c.Resources()), Seccomp: filter,
	}, nil
}

// cramped says whether a container with limits r may run out of memory before its program begins. Until then it needs what the arguments and the
// environment take, at most 6 MiB (execve(2)), and some pages.
func cramped(r *specs.LinuxResources) bool {
	const enough = 16 << 20
	return r != nil && r.Memory != nil && r.Memory.Limit != nil && *r.Memory.Limit > 0 && *r.Memory.Limit < enough
}

// giveUp hangs up on the monitor p of container id, which decides as for a daemon that died, see decided. nil: there is nothing left of it. An error
// is that it cannot be watched, as when the Supervisor is being closed; what has begun runs on then too.
// Preconditions: id's lock is held, nobody has p.
func (sv *Supervisor) giveUp(id string, p *child.Child) (*Run, error) {
	defer p.Close()
	p.Shutdown()
	l, err := sv.decided(id, p.Monitor)
	if l == nil && err == nil {
		p.Wait()
	}
	return l, err
}

// undoStart takes down what launch made. With x the run is on record as ended; without, as never started.
// Preconditions: the monitor has ended.
func (sv *Supervisor) undoStart(id string, x *process.Exit) error {
	ctx, cancel := context.WithTimeout(context.Background(), cleanUpTime)
	defer cancel()
	sv.losses.Forget(id)
	return errors.Join(sv.endCgroup(ctx, id), sv.records.Undo(id, x))
}
