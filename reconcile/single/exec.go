package single

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
	"github.com/stackrun/stack/reconcile/lifecycle"
	"github.com/stackrun/stack/reconcile/wording"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// ExecWant is a command to be run in a container.
type ExecWant struct {
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

// ExecDetail is a command that was, is or will be run.
type ExecDetail struct {
	ExecWant
	ID        string
	Container string // id
	Running   bool
	Pid       int           // in the daemon's pid namespace, 0 = it has not run
	Exit      *process.Exit // nil = it has not ended
}

// Commands are those that clients have made and may ask about. They are in memory only: who asks the next daemon learns that it knows none.
type Commands struct {
	drivers driver.Set
	turns   Turns
	keep    *lifecycle.Keeper
	life    context.Context

	mu sync.Mutex
	m  map[string]*oneExec
}

type oneExec struct {
	detail ExecDetail
	begun  bool
	ended  time.Time
	sizes  chan process.WinSize
}

const (
	execKept = 5 * time.Minute // after its end, or its making if it never began
	maxExecs = 4096
)

// clear drops those that nobody asks about any more. Precondition: mu is held.
func (x *Commands) clear(now time.Time) {
	for id, one := range x.m {
		if !one.detail.Running && !one.ended.IsZero() && now.Sub(one.ended) > execKept {
			delete(x.m, id)
		}
	}
}

// drop forgets the command that has ended, or never begun, the longest time ago; false when all run. Precondition: mu is held.
func (x *Commands) drop() bool {
	oldest := ""
	for id, one := range x.m {
		if !one.detail.Running && (oldest == "" || one.ended.Before(x.m[oldest].ended)) {
			oldest = id
		}
	}
	delete(x.m, oldest)
	return oldest != ""
}

// get is the command id.
func (x *Commands) get(id string) (*oneExec, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	one := x.m[id]
	if one == nil {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("No such exec instance: %s", id)) //nolint:staticcheck // docker's sentence, which clients look for
	}
	return one, nil
}

// ids are the ids of the commands of a container that run, sorted.
func (x *Commands) ids(container string) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var ids []string
	for id, one := range x.m {
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

// CreateExec notes a command that StartExec runs.
func (x *Commands) CreateExec(ctx context.Context, ref string, w ExecWant) (id string, err error) {
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
	if len(x.m) >= maxExecs && !x.drop() {
		return "", errdefs.With(errdefs.ErrUnavailable, fmt.Errorf("cannot exec in container %s: %d commands run already that clients have started", c.Name, len(x.m)))
	}
	id = objectid.New()
	x.m[id] = &oneExec{detail: ExecDetail{ExecWant: w, ID: id, Container: c.ID}, ended: now, sizes: make(chan process.WinSize, 1)}
	return id, nil
}

// InspectExec is what became of a command.
func (x *Commands) InspectExec(id string) (ExecDetail, error) {
	one, err := x.get(id)
	if err != nil {
		return ExecDetail{}, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return one.detail, nil
}

// Execs are the ids of the commands that run in a container, sorted.
func (x *Commands) Execs(container string) []string { return x.ids(container) }

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

// ExecStart is how a command is run.
type ExecStart struct {
	Detach     bool
	Rows, Cols uint16 // of its terminal; 0 = as it was made
}

// BeginExec says that a command is about to be run, and how it was made. It can be run once.
func (x *Commands) BeginExec(ctx context.Context, id string, o ExecStart) (ExecDetail, error) {
	one, err := x.get(id)
	if err != nil {
		return ExecDetail{}, err
	}
	c, err := inventory.ByID(ctx, x.drivers, one.detail.Container)
	if err != nil {
		return ExecDetail{}, err
	}
	if err := canExec(c); err != nil {
		return ExecDetail{}, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if one.begun {
		return ExecDetail{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf("exec %s has been run already", id))
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
	leave := x.turns.Enter()
	w := one.detail
	p := runtime.Process{
		Args: w.Args, Env: w.Env, Cwd: w.Cwd, User: w.User, Terminal: w.TTY, Privileged: w.Privileged, Rows: w.Rows, Cols: w.Cols, Detach: detach,
		Started: func(pid int) { x.noteExec(one, func(d *ExecDetail) { d.Pid = pid }) },
	}
	end := func(exit process.Exit) {
		x.noteExec(one, func(d *ExecDetail) { d.Running, d.Exit = false, &exit })
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
	x.keep.Go(func() {
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

func (x *Commands) noteExec(one *oneExec, note func(*ExecDetail)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	note(&one.detail)
	if !one.detail.Running {
		one.ended = time.Now()
	}
}
