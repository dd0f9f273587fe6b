// Package execs has the commands that clients of the Docker Engine API run in containers: made first, run once, and asked about afterwards. It knows them by ids
// of its own, in memory only: who asks the next daemon learns that it knows none.
package execs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// Want is a command to be run in a container.
type Want struct {
	Args       []string
	Env        []string
	User, Cwd  string
	TTY        bool
	Privileged bool

	// Whether the caller means to connect the stream. What it does not is empty, and goes nowhere.
	Stdin, Stdout, Stderr bool
	DetachKeys            string

	Rows, Cols uint16
}

// Detail is a command that was, is or will be run.
type Detail struct {
	Want
	ID        string
	Container string // id
	Running   bool
	Pid       int           // in the daemon's pid namespace, 0 = it has not run
	Exit      *process.Exit // nil = it has not ended
}

// Commands are those that clients have made and may ask about. Safe for concurrent use.
type Commands struct {
	drivers driver.Set
	enter   func() (leave func())
	run     func(func())
	life    context.Context

	mu  sync.Mutex          // guards all, and what is in it
	all map[string]*command // by id
}

type command struct {
	detail Detail
	begun  bool
	ended  time.Time
	sizes  chan process.WinSize
}

// Options of New.
type Options struct {
	Drivers driver.Set
	Enter   func() (leave func()) // counts a request in flight, from the start of a command to its end
	Go      func(func())          // runs what goes on without a caller
	Life    context.Context       // such a command ends with it
}

// New knows of no command.
func New(o Options) *Commands {
	return &Commands{drivers: o.Drivers, enter: o.Enter, run: o.Go, life: o.Life, all: map[string]*command{}}
}

const (
	execKept = 5 * time.Minute // after its end, or its making if it never began
	maxExecs = 4096
)

// clear drops those that nobody asks about any more. Precondition: mu is held.
func (x *Commands) clear(now time.Time) {
	for id, one := range x.all {
		if !one.detail.Running && !one.ended.IsZero() && now.Sub(one.ended) > execKept {
			delete(x.all, id)
		}
	}
}

// drop forgets the command that has ended, or never begun, the longest time ago; false when all run. Precondition: mu is held.
func (x *Commands) drop() bool {
	oldest := ""
	for id, one := range x.all {
		if !one.detail.Running && (oldest == "" || one.ended.Before(x.all[oldest].ended)) {
			oldest = id
		}
	}
	delete(x.all, oldest)
	return oldest != ""
}

// get is the command id.
func (x *Commands) get(id string) (*command, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	one := x.all[id]
	if one == nil {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("No such exec instance: %s", id)) //nolint:staticcheck // docker's sentence, which clients look for
	}
	return one, nil
}

// Execs are the ids of the commands that run in a container, sorted.
func (x *Commands) Execs(container string) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var ids []string
	for id, one := range x.all {
		if one.detail.Container == container && one.detail.Running {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// canExec says why nothing can be executed in c now.
func canExec(c *inventory.Container) error {
	switch {
	case c.Status == runtime.Paused:
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("Container %s is paused, unpause the container before exec", c.Name)) //nolint:staticcheck // docker's sentence
	case !c.Alive():
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("container %s is not running", c.ID))
	}
	return nil
}

// CreateExec notes a command, which BeginExec and RunExec run. ErrNotFound: the container is not there; ErrConflict: it does not run.
func (x *Commands) CreateExec(ctx context.Context, ref string, w Want) (id string, err error) {
	c, err := inventory.ByRef(ctx, x.drivers, ref)
	if err != nil {
		return "", err
	}
	if err := canExec(c); err != nil {
		return "", err
	}
	if len(w.Args) == 0 {
		return "", errdefs.With(errdefs.ErrInvalidArgument, errors.New("No exec command specified")) //nolint:staticcheck // docker's sentence
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	x.clear(now)
	if len(x.all) >= maxExecs && !x.drop() {
		return "", errdefs.With(errdefs.ErrUnavailable, fmt.Errorf("cannot exec in container %s: %d commands run already that clients have started", c.Name, len(x.all)))
	}
	id = objectid.New()
	x.all[id] = &command{detail: Detail{Want: w, ID: id, Container: c.ID}, ended: now, sizes: make(chan process.WinSize, 1)}
	return id, nil
}

// InspectExec is what became of a command.
func (x *Commands) InspectExec(id string) (Detail, error) {
	one, err := x.get(id)
	if err != nil {
		return Detail{}, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return one.detail, nil
}

// ResizeExec sets the size of a command's terminal.
func (x *Commands) ResizeExec(ctx context.Context, id string, size process.WinSize) error {
	one, err := x.get(id)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if one.begun && !one.detail.Running {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("exec %s is not running", id))
	}
	select { // the last one counts
	case <-one.sizes:
	default:
	}
	one.sizes <- size
	return nil
}

// Start is how a command is run.
type Start struct {
	Detach     bool
	Rows, Cols uint16 // of its terminal; 0 = as it was made
}

// BeginExec says that a command is about to be run, and how it was made. It can be run once.
func (x *Commands) BeginExec(ctx context.Context, id string, o Start) (Detail, error) {
	one, err := x.get(id)
	if err != nil {
		return Detail{}, err
	}
	c, err := inventory.ByID(ctx, x.drivers, one.detail.Container)
	if err != nil {
		return Detail{}, err
	}
	if err := canExec(c); err != nil {
		return Detail{}, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if one.begun {
		return Detail{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf("exec %s has been run already", id))
	}
	one.begun, one.detail.Running = true, true
	if o.Rows != 0 && o.Cols != 0 {
		one.detail.Rows, one.detail.Cols = o.Rows, o.Cols
	}
	return one.detail, nil
}

// RunExec runs the command that BeginExec has announced: to its end with the caller's streams, or at once with detach. When ctx ends first the process runs on without them. An error: it
// could not be run.
func (x *Commands) RunExec(ctx context.Context, id string, detach bool, streams process.IO) error {
	one, err := x.get(id)
	if err != nil {
		return err
	}
	leave := x.enter()
	w := one.detail
	p := runtime.Process{
		Args: w.Args, Env: w.Env, Cwd: w.Cwd, User: w.User, Terminal: w.TTY, Privileged: w.Privileged, Rows: w.Rows, Cols: w.Cols, Detach: detach,
		Started: func(pid int) { x.noteExec(one, func(d *Detail) { d.Pid = pid }) },
	}
	end := func(exit process.Exit) {
		x.noteExec(one, func(d *Detail) { d.Running, d.Exit = false, &exit })
		leave()
	}
	failed := func(err error) error {
		end(process.Exit{Code: execCode(err), Error: err.Error(), FinishedAt: time.Now()})
		return fmt.Errorf("cannot exec in container %s: %w", objectid.Short(w.Container), wording.Cause(err, w.Container, objectid.Short(w.Container)))
	}
	if detach {
		p.Ended = end
		if _, err := x.drivers.Containers.Exec(ctx, w.Container, p, process.IO{}); err != nil {
			return failed(err)
		}
		return nil
	}
	if w.TTY {
		streams.Resize = one.sizes
	}
	// It is the daemon's: a caller that goes takes its streams along, not the process.
	done := make(chan error, 1)
	x.run(func() {
		exit, err := x.drivers.Containers.Exec(x.life, w.Container, p, streams)
		var start *runtime.StartError
		if errors.As(err, &start) || err != nil && exit == (process.Exit{}) {
			done <- failed(err)
			return
		}
		end(exit)
		done <- nil
	})
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return nil
	}
}

// execCode is the exit code of a command that could not be run.
func execCode(err error) int {
	var start *runtime.StartError
	if errors.As(err, &start) && start.Failure.ExitCode != 0 {
		return start.Failure.ExitCode
	}
	return 126
}

func (x *Commands) noteExec(one *command, note func(*Detail)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	note(&one.detail)
	if !one.detail.Running {
		one.ended = time.Now()
	}
}
