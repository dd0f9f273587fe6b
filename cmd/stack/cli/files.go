package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/console"
	"github.com/stackrun/stack/cmd/stack/launch"
	"github.com/stackrun/stack/cmd/stack/remote"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// HostFS is what spec reads: the whole host, rooted at "/".
var HostFS = os.DirFS("/")

// Files is the project that a command is about: where it is, and how it is read.
type Files struct {
	console  *console.Console
	flags    *Flags
	env      Environment
	launcher *launch.Launcher

	location *spec.Location // once located
	faults   diag.List      // of the location
	remote   *remote.Fetcher
}

// Locate finds out which project is meant, once. COMPOSE_* variables of .env, STACK_AUTO_PORTS and STACK_OFFLINE become the command's own, unless
// the process has them.
func (f *Files) Locate(ctx context.Context) (*spec.Location, diag.List) {
	if f.location != nil {
		return f.location, f.faults
	}
	cwd, err := os.Getwd()
	if err != nil {
		cwd = "/"
	}
	// The shell's idea of the directory, if it is one: a project is named after the link that leads to it.
	if pwd := f.env["PWD"]; pwd != "" && sameDir(pwd, cwd) {
		cwd = pwd
	}
	f.location, f.faults = spec.Locate(ctx, HostFS, spec.Request{
		Cwd: cwd, Process: maps.Clone(f.env), Files: f.flags.Files, ProjectDir: f.flags.ProjectDir,
		EnvFiles: f.flags.EnvFiles, Name: f.flags.Name, Profiles: f.flags.Profiles,
		Isolated: f.flags.Isolated, RealPath: filepath.EvalSymlinks,
		Remote: f.Fetcher(),
	})
	// Without a file, a project that cannot be is the fault: no file would help.
	if slices.ContainsFunc(f.faults, otherThanNoFile) {
		f.faults = slices.DeleteFunc(f.faults, func(d *diag.Diagnostic) bool { return d.Code == spec.CodeNoFile })
	}
	for k, v := range f.location.Env {
		if _, set := f.env[k]; !set && (strings.HasPrefix(k, "COMPOSE_") || k == autoPorts || k == offline) {
			f.env[k] = v
		}
	}
	return f.location, f.faults
}

// Offline says whether nothing may be fetched. That the variable is one is checked before the verb runs.
func (f *Files) Offline() bool {
	yes, _ := f.env.Offline(f.flags.Offline)
	return yes
}

// Fetcher brings remote files, each once in a command.
func (f *Files) Fetcher() *remote.Fetcher {
	if f.remote == nil {
		f.remote = remote.New(f.env)
		f.remote.Begin, f.remote.Artifact, f.remote.Offline = f.launcher.Listen, f.launcher.Artifact, f.Offline
	}
	return f.remote
}

// otherThanNoFile is an error that concerns also those who need no file.
func otherThanNoFile(d *diag.Diagnostic) bool {
	return d.Severity == diag.Error && d.Code != spec.CodeNoFile
}

func sameDir(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && filepath.IsAbs(a) && os.SameFile(x, y)
}

// WithLocation is list with what was wrong with where the project is. What both found, as in an .env that a service names as its env_file too, is told once.
func (f *Files) WithLocation(list diag.List) diag.List {
	var all diag.Collector
	all.Join(f.faults)
	all.Join(list)
	return all.List()
}

// Variables are those that the file is read with. Preconditions: the project is located, as it is when something was loaded.
func (f *Files) Variables() map[string]string { return f.location.Env }

// Load reads the project. services are those named on the command line: each must be in the file, and its profiles
// become active. That no service is active is an error. Warnings are printed.
func (f *Files) Load(ctx context.Context, services []string) (*spec.Project, error) {
	p, err := f.LoadFor(ctx, spec.ToRun, services)
	if err == nil && !f.flags.AllResources {
		err = selection.CheckActive(p)
	}
	return p, err
}

// LoadFor is Load for verbs that make no containers.
func (f *Files) LoadFor(ctx context.Context, purpose spec.Purpose, services []string) (*spec.Project, error) {
	return f.LoadRaw(ctx, purpose, spec.Raw{}, services)
}

// LoadRaw is LoadFor for showing some of the file as it is written.
func (f *Files) LoadRaw(ctx context.Context, purpose spec.Purpose, raw spec.Raw, services []string) (*spec.Project, error) {
	in, err := f.Input(ctx)
	if err != nil {
		return nil, err
	}
	in.Services, in.Purpose, in.Raw = services, purpose, raw
	p, list := spec.Load(ctx, in)
	list = f.WithLocation(list)
	if list.HasErrors() {
		return nil, console.Faults(list)
	}
	f.console.PrintWarnings(list)
	return p, selection.Check(p, services)
}

// Input is what spec.Load is to look at.
func (f *Files) Input(ctx context.Context) (spec.Input, error) {
	// A command lives for milliseconds and what it reads stays reachable: collecting
	// at 4 MiB, Go's first step, is a third of the time of loading 100 services.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(maxHeap)
	loc, list := f.Locate(ctx)
	if list.HasErrors() {
		return spec.Input{}, console.Faults(list)
	}
	in := loc.Input(HostFS)
	in.Remote, in.AllResources = f.Fetcher(), f.flags.AllResources
	if slices.Contains(in.Files, spec.Stdin) {
		if f.console.Stdin == nil {
			text, err := io.ReadAll(io.LimitReader(f.console.In, maxStdin))
			if err != nil {
				return in, fmt.Errorf("cannot read the Compose file from stdin: %w", err)
			}
			f.console.Stdin = append([]byte{}, text...)
		}
		in.Stdin = f.console.Stdin
	}
	return in, nil
}

// maxHeap is from where on the collector works harder, bytes: a file made to be expensive takes no more than 200 MB.
const maxHeap = 180 << 20

// maxStdin bounds a Compose file on stdin, bytes.
const maxStdin = 16 << 20

// Project is for verbs that work on what there is, not on the file: they need its name. When there is a file it is
// read, for that and to check services against; without one, -p or COMPOSE_PROJECT_NAME says it, and p is nil.
func (f *Files) Project(ctx context.Context, services []string) (name string, p *spec.Project, err error) {
	loc, list := f.Locate(ctx)
	if len(loc.Files) == 0 && loc.Name != "" && !slices.ContainsFunc(list, otherThanNoFile) {
		return loc.Name, nil, nil
	}
	in, err := f.Input(ctx)
	if err != nil {
		return "", nil, err
	}
	in.Services, in.Purpose = services, spec.ToManage
	p, list = spec.Load(ctx, in)
	if list.HasErrors() {
		return "", nil, console.Faults(list)
	}
	f.console.TellEditors(list)
	return p.Name, p, selection.Check(p, services)
}

// Services are those of the file without those that stand on the command line already. A file that cannot be read has none:
// nobody wants a message while he types.
func (f *Files) Services(cmd *cobra.Command, without []string) []string {
	in, err := f.Input(cmd.Context())
	if err != nil || slices.Contains(in.Files, spec.Stdin) {
		return nil
	}
	in.Purpose = spec.ToManage
	p, faults := spec.Load(cmd.Context(), in)
	if faults.HasErrors() {
		return nil
	}
	return slices.DeleteFunc(selection.Names(p), func(s string) bool { return slices.Contains(without, s) })
}
