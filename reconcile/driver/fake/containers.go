package fake

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/archive"
	"github.com/stackrun/stack/runtime/process"
)

type containers Host

func (c *containers) host() *Host { return (*Host)(c) }

// copyConfig keeps the fake honest: what comes back is what a file would hold.
func copyConfig(cfg runtime.Config) *runtime.Config {
	raw, err := json.Marshal(cfg)
	if err != nil {
		panic(err)
	}
	out := new(runtime.Config)
	if err := json.Unmarshal(raw, out); err != nil {
		panic(err)
	}
	return out
}

func (x *container) state() runtime.State {
	cfg := x.cfg // shared, read only, as the real driver's
	s := runtime.State{ID: cfg.ID, Status: x.status, Labels: cfg.Labels, CreatedAt: cfg.CreatedAt, StartedAt: x.started, Config: cfg}
	if x.status == runtime.Running {
		s.Pid, s.Problem, s.LogError, s.Stopping = x.pid, x.problem, x.logging, x.stopping
		if x.paused {
			s.Status = runtime.Paused
		}
	}
	s.Warnings = x.program.Warnings
	if x.exit != nil && x.status == runtime.Stopped {
		exit := *x.exit
		s.Exit = &exit
	}
	return s
}

func (c *containers) find(id string) (*container, error) {
	x := c.containers[id]
	if x == nil {
		return nil, notFound("container %.12s does not exist", id)
	}
	return x, nil
}

func (c *containers) Create(ctx context.Context, cfg runtime.Config) (s runtime.State, err error) {
	err = c.host().do(ctx, "Containers.Create", func() error {
		if x := c.containers[cfg.ID]; x != nil && reflect.DeepEqual(x.cfg, copyConfig(cfg)) {
			s = x.state()
			return nil
		} else if x != nil {
			return errdefs.With(errdefs.ErrAlreadyExists, fmt.Errorf("container %.12s exists", cfg.ID))
		}
		for _, other := range c.containers {
			if name := cfg.Facts["name"]; name != "" && other.cfg.Facts["name"] == name && cfg.Facts["succeeds"] != other.cfg.ID {
				panic("two containers called " + name) // the loop's duty
			}
		}
		x := &container{cfg: copyConfig(cfg), status: runtime.Created}
		c.containers[cfg.ID] = x
		s = x.state()
		return nil
	})
	return s, err
}

func (c *containers) Replace(ctx context.Context, cfg runtime.Config) error {
	return c.host().do(ctx, "Containers.Replace", func() error {
		x, err := c.find(cfg.ID)
		if err != nil {
			return err
		}
		if x.status == runtime.Running {
			return conflict("container %.12s runs", cfg.ID)
		}
		x.cfg = copyConfig(cfg)
		return nil
	})
}

// Reserve keeps nothing: it fails when a test says so.
func (c *containers) Reserve(ctx context.Context, id string) error {
	return c.host().do(ctx, "Containers.Reserve", func() error {
		_, err := c.find(id)
		return err
	})
}

func (c *containers) Revise(ctx context.Context, cfg runtime.Config) (s runtime.State, err error) {
	err = c.host().do(ctx, "Containers.Revise", func() error {
		x, err := c.find(cfg.ID)
		if err != nil {
			return err
		}
		x.cfg = copyConfig(cfg)
		s = x.state()
		return nil
	})
	return s, err
}

// Resize takes any size.
func (c *containers) Resize(ctx context.Context, id string, size process.WinSize) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := c.find(id)
	if err == nil && x.status != runtime.Running {
		err = conflict("container %.12s is not running", id)
	}
	return err
}

func (c *containers) Start(ctx context.Context, id string) (s runtime.State, err error) {
	time.Sleep(c.begin(id))
	err = c.host().do(ctx, "Containers.Start", func() error {
		x, err := c.find(id)
		if err != nil {
			return err
		}
		if x.status == runtime.Running {
			s = x.state()
			return nil
		}
		if c.Program != nil {
			x.program = c.Program(*x.cfg)
		}
		if x.program.StartError != nil {
			x.status, x.exit = runtime.Stopped, &process.Exit{Code: 127, FinishedAt: time.Now(), Error: x.program.StartError.Error()}
			return x.program.StartError
		}
		c.nextPid++
		x.status, x.started, x.pid, x.exit, x.ended = runtime.Running, time.Now(), 1000+c.nextPid, nil, make(chan struct{})
		x.problem, x.lasting = "", false
		if x.program.For > 0 {
			x.timer = time.AfterFunc(x.program.For, func() {
				c.mu.Lock()
				defer c.mu.Unlock()
				exit := process.Exit{Code: x.program.Code, OOM: x.program.OOM}
				if x.program.Killed {
					exit.Code, exit.Signal = 137, 9
				}
				c.end(x, exit)
			})
		}
		c.tell(runtime.Event{ID: id, Kind: runtime.EventStarted, At: time.Now()})
		s = x.state()
		return nil
	})
	return s, err
}

// begin is the beginning of a start that takes the time it returns.
func (c *containers) begin(id string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.containers[id]
	if x == nil || x.status == runtime.Running || c.StartTakes == nil {
		return 0
	}
	takes := c.StartTakes(*x.cfg)
	if takes > 0 {
		x.status, x.exit = runtime.Created, nil
	}
	return takes
}

// end finishes the current run. Precondition: mu is held.
func (c *containers) end(x *container, exit process.Exit) {
	if x.status != runtime.Running {
		return
	}
	if x.timer != nil {
		x.timer.Stop()
	}
	exit.FinishedAt = time.Now()
	x.status, x.exit, x.paused, x.stopping = runtime.Stopped, &exit, false, false
	close(x.ended)
	for _, other := range c.containers {
		if other.status == runtime.Running && other.joins(x.pid) {
			c.end(other, process.Exit{Code: 137, Signal: 9})
		}
	}
	c.tell(runtime.Event{ID: x.cfg.ID, Kind: runtime.EventExited, At: exit.FinishedAt, Exit: &exit})
}

// joins says whether x lives in the pid namespace whose init is pid, and so ends with it (pid_namespaces(7)).
func (x *container) joins(pid int) bool {
	if x.cfg.Spec == nil || x.cfg.Spec.Linux == nil {
		return false
	}
	for _, ns := range x.cfg.Spec.Linux.Namespaces {
		if ns.Type == specs.PIDNamespace && ns.Path == fmt.Sprintf("/proc/%d/ns/pid", pid) {
			return true
		}
	}
	return false
}

func (c *containers) tell(e runtime.Event) {
	for sub := range c.subs {
		select {
		case sub <- e:
		default:
		}
	}
}

func (c *containers) Kill(ctx context.Context, id string, sig unix.Signal) error {
	return c.host().do(ctx, "Containers.Kill", func() error {
		x, err := c.find(id)
		if err != nil {
			return err
		}
		if sig == unix.SIGKILL || !x.program.IgnoreTerm {
			c.end(x, process.Exit{Code: 128 + int(sig), Signal: int(sig)})
		}
		return nil
	})
}

func (c *containers) Pause(ctx context.Context, id string) error {
	return c.freeze(ctx, "Containers.Pause", id, true)
}
func (c *containers) Resume(ctx context.Context, id string) error {
	return c.freeze(ctx, "Containers.Resume", id, false)
}

func (c *containers) freeze(ctx context.Context, op, id string, paused bool) error {
	return c.host().do(ctx, op, func() error {
		x, err := c.find(id)
		if err != nil {
			return err
		}
		if x.status != runtime.Running {
			return conflict("container %.12s is not running", id)
		}
		x.paused = paused
		return nil
	})
}

func (c *containers) Stop(ctx context.Context, id string, grace time.Duration) (process.Exit, error) {
	return c.StopBy(ctx, id, 0, grace)
}

func (c *containers) StopBy(ctx context.Context, id string, sig unix.Signal, grace time.Duration) (exit process.Exit, err error) {
	var ended chan struct{}
	var x *container
	err = c.host().do(ctx, "Containers.Stop", func() error {
		var err error
		if x, err = c.find(id); err != nil {
			return err
		}
		if x.status != runtime.Running {
			return nil
		}
		x.stopping = x.stopping || grace != 0 || sig != 0
		if sig == 0 {
			sig = unix.SIGTERM
		}
		if ended = x.ended; sig == unix.SIGKILL || !x.program.IgnoreTerm {
			c.end(x, process.Exit{Code: 128 + int(sig), Signal: int(sig)})
		}
		return nil
	})
	if err != nil {
		return exit, err
	}
	if ended != nil {
		if grace < 0 {
			if grace = x.cfg.StopGrace; grace == 0 {
				grace = 10 * time.Second
			}
		}
		select {
		case <-ended:
		case <-time.After(grace):
			c.mu.Lock()
			c.end(x, process.Exit{Code: 137, Signal: 9})
			c.mu.Unlock()
		case <-ctx.Done():
			return exit, context.Cause(ctx)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.exit != nil {
		exit = *x.exit
	}
	return exit, nil
}

func (c *containers) Delete(ctx context.Context, id string) error {
	return c.host().do(ctx, "Containers.Delete", func() error {
		x := c.containers[id]
		if x == nil {
			return nil
		}
		if x.status == runtime.Running {
			return conflict("container %.12s runs", id)
		}
		delete(c.containers, id)
		return nil
	})
}

func (c *containers) List(ctx context.Context) ([]runtime.State, error) {
	return c.Select(ctx, func(map[string]string) bool { return true })
}

func (c *containers) Select(ctx context.Context, which func(labels map[string]string) bool) ([]runtime.State, error) {
	list := c.selected(which)
	if c.Listed != nil {
		if err := c.Listed(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (c *containers) selected(which func(labels map[string]string) bool) []runtime.State {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reads++
	var out []runtime.State
	for _, x := range c.containers {
		if s := x.state(); which(s.Labels) {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b runtime.State) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func (c *containers) State(ctx context.Context, id string) (runtime.State, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := c.find(id)
	if err != nil {
		return runtime.State{}, err
	}
	return x.state(), nil
}

func (c *containers) Wait(ctx context.Context, id string) (process.Exit, error) {
	c.mu.Lock()
	x, err := c.find(id)
	if err != nil {
		c.mu.Unlock()
		return process.Exit{}, err
	}
	ended := x.ended
	c.mu.Unlock()
	if ended != nil {
		select {
		case <-ended:
		case <-ctx.Done():
			return process.Exit{}, context.Cause(ctx)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if x.exit == nil {
		return process.Exit{}, conflict("container %.12s has not run", id)
	}
	return *x.exit, nil
}

func (c *containers) Exec(ctx context.Context, id string, p runtime.Process, streams process.IO) (process.Exit, error) {
	c.mu.Lock()
	x, err := c.find(id)
	if err == nil && x.status != runtime.Running {
		err = conflict("container %.12s is not running", id)
	}
	if err != nil {
		c.mu.Unlock()
		return process.Exit{}, err
	}
	if x.paused {
		c.mu.Unlock()
		return process.Exit{}, conflict("container %.12s is paused", id)
	}
	cfg, ended := *x.cfg, x.ended
	c.mu.Unlock()
	code, after, output := 0, time.Duration(0), ""
	if c.ExecResult != nil {
		code, after, output = c.ExecResult(cfg, p)
	}
	if p.Timeout > 0 && after > p.Timeout {
		code, after = 137, p.Timeout
	}
	select {
	case <-ctx.Done():
		return process.Exit{}, context.Cause(ctx)
	case <-ended:
		return process.Exit{Code: 137}, nil
	case <-time.After(after):
	}
	if streams.Stdout != nil {
		if _, err := io.WriteString(streams.Stdout, output); err != nil {
			return process.Exit{}, err
		}
	}
	return process.Exit{Code: code, FinishedAt: time.Now()}, nil
}

// CopyIn keeps the stream under its path; CopyOut gives it back.
func (c *containers) CopyIn(ctx context.Context, id string, o runtime.CopyIn, r io.Reader) error {
	stream, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := c.find(id)
	if err != nil {
		return err
	}
	if x.files == nil {
		x.files = map[string][]byte{}
	}
	x.files[o.Path] = stream
	return nil
}

func (c *containers) CopyOut(ctx context.Context, id string, o runtime.CopyOut, w io.Writer) error {
	c.mu.Lock()
	x, err := c.find(id)
	var stream []byte
	if err == nil {
		var ok bool
		if stream, ok = x.files[o.Path]; !ok {
			err = notFound("there is no %s in container %.12s", o.Path, id)
		}
	}
	c.mu.Unlock()
	if err == nil {
		_, err = w.Write(stream)
	}
	return err
}

func (c *containers) Export(ctx context.Context, id string, w io.Writer, warn func(string)) error {
	return c.CopyOut(ctx, id, runtime.CopyOut{Path: "/"}, w)
}

// CompareFiles and RemoveFiles take the streams of CopyIn for files.
func (c *containers) CompareFiles(ctx context.Context, id string, all []archive.Facts) ([]archive.Difference, error) {
	return c.eachFile(id, all, func(x *container, path string) bool { return x.files[path] == nil })
}

func (c *containers) RemoveFiles(ctx context.Context, id string, all []archive.Facts) ([]archive.Difference, error) {
	return c.eachFile(id, all, func(x *container, path string) bool {
		there := x.files[path] != nil
		delete(x.files, path)
		return there
	})
}

func (c *containers) eachFile(id string, all []archive.Facts, differs func(x *container, path string) bool) ([]archive.Difference, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, err := c.find(id)
	if err != nil {
		return nil, err
	}
	out := make([]archive.Difference, len(all))
	for i, f := range all {
		out[i].Differs = differs(x, f.Path)
	}
	return out, nil
}

func (c *containers) Run(ctx context.Context, id string, streams process.IO, started func(runtime.State)) (process.Exit, error) {
	s, err := c.Start(ctx, id)
	if err != nil {
		return process.Exit{}, err
	}
	if started != nil {
		started(s)
	}
	return c.Wait(ctx, id)
}

func (c *containers) Attach(ctx context.Context, id string, streams process.IO) error {
	_, err := c.Wait(ctx, id)
	return err
}

func (c *containers) Events(ctx context.Context) <-chan runtime.Event {
	in, out := make(chan runtime.Event, 256), make(chan runtime.Event)
	c.mu.Lock()
	c.subs[in] = true
	c.mu.Unlock()
	go func() {
		defer close(out)
		defer func() {
			c.mu.Lock()
			delete(c.subs, in)
			c.mu.Unlock()
		}()
		for {
			select {
			case e := <-in:
				select {
				case out <- e:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}
