// Package cli is one run of the command: its streams, environment and global flags, the project that it is about, and
// the daemon that it asks. The verbs are built on it.
package cli

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/console"
	"github.com/stackrun/stack/cmd/stack/launch"
	"github.com/stackrun/stack/cmd/stack/settings"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile/ask"
)

// Run is one run of the command.
type Run struct {
	*console.Console
	*Files
	Env        Environment
	Flags      *Flags
	Launcher   *launch.Launcher
	Interrupts Interrupts
	Version    string   // of the command
	Words      []string // the command line, for the history

	daemon *client.Client // once somebody wants it
}

// Options are what a run begins with.
type Options struct {
	In       *os.File
	Out, Err io.Writer
	Env      Environment // Run adds to it
	Version  string
	Linked   *launch.Linked // nil: the daemon is the program that this one carries
}

// New is a run of the command, without its words and flags.
func New(o Options) *Run {
	run := &Run{
		Console: &console.Console{In: o.In, Out: o.Out, Err: o.Err, Env: o.Env},
		Env:     o.Env, Flags: &Flags{}, Version: o.Version,
	}
	run.Launcher = &launch.Launcher{Version: o.Version, Config: run.ConfigPath, Listen: run.Interrupts.Listen, Linked: o.Linked}
	run.Files = &Files{console: run.Console, flags: run.Flags, env: run.Env, launcher: run.Launcher}
	return run
}

// SetRoots decides the two directories: flag, then environment, then default.
func (r *Run) SetRoots() error {
	pick := func(flag, variable, fallback string) (string, error) {
		for _, v := range []string{flag, r.Env[variable]} {
			if v != "" {
				return filepath.Abs(v)
			}
		}
		return fallback, nil
	}
	state, err := pick(r.Flags.StateRoot, "STACK_STATE_ROOT", roots.DefaultState)
	if err != nil {
		return err
	}
	run, err := pick(r.Flags.RunRoot, "STACK_RUN_ROOT", roots.DefaultRun)
	if err != nil {
		return err
	}
	r.Launcher.Roots = roots.Roots{State: state, Run: run}
	return nil
}

// ConfigPath is the daemon's configuration file.
func (r *Run) ConfigPath() string {
	for _, path := range []string{r.Flags.Config, r.Env["STACK_CONFIG"]} {
		if path != "" {
			if abs, err := filepath.Abs(path); err == nil { // a daemon is in another directory
				return abs
			}
			return path
		}
	}
	return settings.DefaultPath
}

// Command is the command line as a user would type it again.
func (r *Run) Command() string {
	quoted := make([]string, len(r.Words))
	for i, w := range r.Words {
		if quoted[i] = w; w == "" || strings.ContainsAny(w, " \t\n'\"\\$`*?&|;<>()") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// Connect gives a client of the daemon. Whether one answers is seen at its first request, which starts one when none does.
func (r *Run) Connect() *client.Client {
	if r.daemon == nil {
		r.daemon = client.New(r.Launcher.Roots.Socket(), r.Version)
		r.daemon.StateRoot, r.daemon.Asked = r.Launcher.Roots.State, r.Interrupts.Listen
		r.daemon.Launch = func(ctx context.Context, why error) error { return r.Launcher.Start(ctx, why, r.Env.Idle()) }
		r.daemon.Replace = os.Geteuid() == 0 // who can start the next
	}
	return r.daemon
}

// Reach finds out which project is meant and gives its daemon. services are those named on the command line.
func (r *Run) Reach(ctx context.Context, services []string) (project string, daemon *client.Client, err error) {
	if project, _, err = r.Project(ctx, services); err != nil {
		return "", nil, err
	}
	return project, r.Connect(), nil
}

// Containers are those of the project that is meant.
func (r *Run) Containers(ctx context.Context, services []string) ([]ask.Container, error) {
	project, daemon, err := r.Reach(ctx, services)
	if err != nil {
		return nil, err
	}
	return daemon.Containers(ctx, project)
}
