package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/stackrun/stack/build/rootfs"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/process"
)

// command is a RUN, in the words that decide what comes of it.
type command struct {
	args   []string
	script string // of a here-document that names its own interpreter; it is at args[0]
	env    []string
	mode   string // of the network: default, none, host
	mounts []*instructions.Mount
}

// runCommand carries out RUN.
func (w *worker) runCommand(ctx context.Context, c *instructions.RunCommand, p Progress) (bool, error) {
	cmd, err := w.newCommand(c)
	if err != nil {
		return false, errdefs.With(errdefs.ErrInvalidArgument, err)
	}
	k := newKey("RUN")
	k.layers(w.state.layers())
	k.list(cmd.args)
	k.list(cmd.env)
	conf := &w.state.conf.Config
	k.add(cmd.script, cmd.mode, conf.User, conf.WorkingDir, fmt.Sprint(w.epoch.Unix(), w.r.Privileged, w.r.ShmSize))
	for _, h := range w.r.ExtraHosts {
		k.add(h.Addr.String())
		k.list(h.Names)
	}
	for _, u := range w.r.Ulimits {
		k.add(u.Type, fmt.Sprint(u.Soft, u.Hard))
	}
	extra, err := w.mountPlans(ctx, cmd.mounts, k)
	if err != nil {
		return false, err
	}
	by := "RUN "
	if args := w.state.arguments(); len(args) > 0 {
		by += fmt.Sprintf("|%d %s ", len(args), strings.Join(args, " "))
	}
	by += strings.Join(cmd.args, " ")
	r, cached, err := w.layerStep(ctx, k.String(), p, func(ctx context.Context, key string) (bool, error) {
		return true, w.execute(ctx, key, cmd, extra, p)
	})
	if err == nil {
		w.state.made(by, r)
	}
	return cached, err
}

// newCommand works out what c runs. Its words are the shell's to expand.
func (w *worker) newCommand(c *instructions.RunCommand) (command, error) {
	cmd := command{args: c.CmdLine, mode: instructions.GetNetwork(c), mounts: instructions.GetMounts(c)}
	if len(cmd.args) == 0 {
		return cmd, errors.New("it has no command")
	}
	if w.r.Network != "" && cmd.mode == instructions.NetworkDefault {
		cmd.mode = w.r.Network
	}
	if len(c.Files) > 0 {
		if len(cmd.args) != 1 || !c.PrependShell {
			return cmd, errors.New("a here-document cannot be given to a command in the form of a JSON array")
		}
		text := c.Files[0].Data
		if c.Files[0].Chomp {
			text = parser.ChompHeredocContent(text)
		}
		switch alone := parser.MustParseHeredoc(cmd.args[0]) != nil; {
		case alone && strings.HasPrefix(text, "#!"):
			cmd.script = text
			cmd.args = []string{path.Join(scriptDir, c.Files[0].Name)}
		case alone:
			cmd.args = []string{text}
		default:
			for _, f := range c.Files {
				cmd.args[0] += "\n" + f.Data + f.Name
			}
		}
	}
	if c.PrependShell {
		cmd.args = w.state.shellForm(cmd.args)
	}
	cmd.env = append(slices.Clone(w.state.conf.Config.Env), w.state.arguments()...)
	return cmd, nil
}

// scriptDir is where a here-document with an interpreter of its own is.
const scriptDir = "/dev/pipes"

// execute runs cmd on a new snapshot, in a container like every other.
func (w *worker) execute(ctx context.Context, key string, cmd command, plans []mountPlan, p Progress) (err error) {
	extra, beside, release, err := w.openMounts(ctx, plans)
	if err != nil {
		return err
	}
	defer release()
	mounts, err := w.prepare(ctx, key, w.state.layers(), beside...)
	if err != nil {
		return err
	}
	root := mounts[0]
	for i := range extra {
		if v := extra[i].view; v >= 0 {
			extra[i].Lower, extra[i].Options = mounts[1+v].Lower, append(extra[i].Options, mounts[1+v].Options...)
		}
	}
	if cmd.script != "" {
		m, done, err := w.scriptMount(cmd)
		if err != nil {
			return err
		}
		defer done()
		extra = append(extra, m)
	}
	id := objectid.New()
	cfg := runtime.Config{ID: id, Root: []mount.Mount{rootfs.Writable(root)}}
	var box network.Sandbox
	if cmd.mode != "host" {
		if box, err = w.b.lanes.take(ctx, cmd.mode); err != nil {
			return err
		}
		defer func() {
			err = errors.Join(err, w.b.lanes.give(context.WithoutCancel(ctx), cmd.mode, box, w.r.Privileged))
		}()
	}
	if err := w.configure(&cfg, cmd, box, extra); err != nil {
		return err
	}
	stubs, err := findStubs(mounts[0], targets(&cfg))
	if err != nil {
		return err
	}
	if err := w.runContainer(ctx, cfg, p); err != nil {
		return err
	}
	return stubs.clear(root.Upper)
}

// scriptMount is a directory with cmd's script: a file of the host's, for what the runtime writes itself cannot be executed.
func (w *worker) scriptMount(cmd command) (m stepMount, done func(), err error) {
	dir, err := w.b.tempDir()
	if err != nil {
		return m, nil, err
	}
	done = func() { os.RemoveAll(dir) }
	name := filepath.Join(dir, path.Base(cmd.args[len(cmd.args)-1]))
	err = errors.Join(os.WriteFile(name, []byte(cmd.script), 0o755), os.Chmod(name, 0o755), os.Chmod(dir, 0o755))
	if err != nil {
		done()
		return m, nil, err
	}
	return stepMount{view: -1, Mount: mount.Mount{Type: "bind", Source: dir, Target: scriptDir, Options: []string{"ro"}}}, done, nil
}

// runContainer runs cfg to its end and removes it, whatever comes.
func (w *worker) runContainer(ctx context.Context, cfg runtime.Config, p Progress) (err error) {
	containers := w.b.opt.Containers
	aside := context.WithoutCancel(ctx)
	if _, err := containers.Create(ctx, cfg); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, containers.Delete(aside, cfg.ID)) }()
	out := &output{worker: w, p: p}
	// The run itself knows no end but the command's: it is stopped, and then is over.
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		_, _ = containers.Stop(aside, cfg.ID, 0) // Run below says what came of it
	})
	exit, err := containers.Run(aside, cfg.ID, process.IO{Stdout: out.stream(), Stderr: out.stream()}, func(s runtime.State) {
		for _, text := range s.Warnings {
			w.note(text)
		}
		if ctx.Err() != nil { // it was not there yet when it should have been stopped
			_, _ = containers.Stop(aside, cfg.ID, 0)
		}
	})
	if !stop() {
		<-stopped
	}
	out.flush()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	return out.failure(exit)
}

// output passes on what a command writes and keeps its last lines.
type output struct {
	*worker
	p       Progress
	streams []*stream
	tail
}

// exitError is a command that has failed.
type exitError struct {
	exit process.Exit
	tail string
}

func (e *exitError) Error() string {
	text := fmt.Sprintf("exit code %d", e.exit.Code)
	switch {
	case e.exit.OOM:
		text += ", killed because memory was used up"
	case e.exit.Signal != 0:
		text = fmt.Sprintf("killed by signal %d", e.exit.Signal)
	}
	if e.exit.Error != "" {
		text += ": " + e.exit.Error
	}
	if e.tail == "" {
		return text
	}
	return text + "\n" + e.tail
}

func (o *output) failure(exit process.Exit) error {
	if exit.Code == 0 && exit.Signal == 0 && exit.Error == "" {
		return nil
	}
	return &exitError{exit, o.text()}
}
