package main

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

	"github.com/stackrun/stack/cmd/stack/progress"
	"github.com/stackrun/stack/cmd/stack/remote"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// hostFS is what spec reads: the whole host, rooted at "/".
var hostFS = os.DirFS("/")

// locate finds out which project is meant, once. COMPOSE_* variables of .env, and STACK_AUTO_PORTS, become the command's own, unless
// the process has them.
func (a *app) locate(ctx context.Context) (*spec.Location, diag.List) {
	if a.location != nil {
		return a.location, a.locationFaults
	}
	cwd, err := os.Getwd()
	if err != nil {
		cwd = "/"
	}
	// The shell's idea of the directory, if it is one: a project is named after the link that leads to it.
	if pwd := a.env["PWD"]; pwd != "" && sameDir(pwd, cwd) {
		cwd = pwd
	}
	a.location, a.locationFaults = spec.Locate(ctx, hostFS, spec.Request{
		Cwd: cwd, Process: maps.Clone(a.env), Files: a.global.files, ProjectDir: a.global.projectDir,
		EnvFiles: a.global.envFiles, Name: a.global.name, Profiles: a.global.profiles,
		Isolated: a.global.isolated, RealPath: filepath.EvalSymlinks,
		Remote: a.fetcher(),
	})
	// Without a file, a project that cannot be is the fault: no file would help.
	if slices.ContainsFunc(a.locationFaults, otherThanNoFile) {
		a.locationFaults = slices.DeleteFunc(a.locationFaults, func(d *diag.Diagnostic) bool { return d.Code == spec.CodeNoFile })
	}
	for k, v := range a.location.Env {
		if _, set := a.env[k]; !set && (strings.HasPrefix(k, "COMPOSE_") || k == autoPortsEnv) {
			a.env[k] = v
		}
	}
	return a.location, a.locationFaults
}

// fetcher brings remote files, each once in a command.
func (a *app) fetcher() *remote.Fetcher {
	if a.remote == nil {
		a.remote = remote.New(a.env)
		a.remote.Begin, a.remote.Artifact = a.interrupts.listen, a.artifact
	}
	return a.remote
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

// load reads the project. services are those named on the command line: each must be in the file, and its profiles
// become active. Warnings are printed.
func (a *app) load(ctx context.Context, services []string) (*spec.Project, error) {
	return a.loadFor(ctx, spec.ToRun, services)
}

// loadFor is load for verbs that make no containers.
func (a *app) loadFor(ctx context.Context, purpose spec.Purpose, services []string) (*spec.Project, error) {
	return a.loadRaw(ctx, purpose, spec.Raw{}, services)
}

// loadRaw is loadFor for showing some of the file as it is written.
func (a *app) loadRaw(ctx context.Context, purpose spec.Purpose, raw spec.Raw, services []string) (*spec.Project, error) {
	in, err := a.input(ctx)
	if err != nil {
		return nil, err
	}
	in.Services, in.Purpose, in.Raw = services, purpose, raw
	p, list := spec.Load(ctx, in)
	list = append(slices.Clone(a.locationFaults), list...)
	if list.HasErrors() {
		return nil, &loadError{list}
	}
	a.printWarnings(list)
	return p, selection.Check(p, services)
}

// input is what spec.Load is to look at.
func (a *app) input(ctx context.Context) (spec.Input, error) {
	// A command lives for milliseconds and what it reads stays reachable: collecting
	// at 4 MiB, Go's first step, is a third of the time of loading 100 services.
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(maxHeap)
	loc, list := a.locate(ctx)
	if list.HasErrors() {
		return spec.Input{}, &loadError{list}
	}
	in := loc.Input(hostFS)
	in.Remote, in.AllResources = a.fetcher(), a.global.allResources
	if slices.Contains(in.Files, spec.Stdin) {
		if a.stdin == nil {
			text, err := io.ReadAll(io.LimitReader(a.in, maxStdin))
			if err != nil {
				return in, fmt.Errorf("cannot read the Compose file from stdin: %w", err)
			}
			a.stdin = append([]byte{}, text...)
		}
		in.Stdin = a.stdin
	}
	return in, nil
}

// maxHeap is from where on the collector works harder, bytes: a file made to be expensive takes no more than 200 MB.
const maxHeap = 180 << 20

// maxStdin bounds a Compose file on stdin, bytes.
const maxStdin = 16 << 20

// loadError is a file that could not be loaded; its faults are printed with their places.
type loadError struct{ list diag.List }

func (e *loadError) Error() string   { return e.list.Err().Error() }
func (e *loadError) Unwrap() []error { return []error{e.list.Err()} }

// project is for verbs that work on what there is, not on the file: they need its name. When there is a file it is
// read, for that and to check services against; without one, -p or COMPOSE_PROJECT_NAME says it, and p is nil.
func (a *app) project(ctx context.Context, services []string) (name string, p *spec.Project, err error) {
	loc, list := a.locate(ctx)
	if len(loc.Files) == 0 && loc.Name != "" && !slices.ContainsFunc(list, otherThanNoFile) {
		return loc.Name, nil, nil
	}
	in, err := a.input(ctx)
	if err != nil {
		return "", nil, err
	}
	in.Services, in.Purpose = services, spec.ToManage
	p, list = spec.Load(ctx, in)
	if list.HasErrors() {
		return "", nil, &loadError{list}
	}
	if a.faultsAs == diagnosticsJSON { // these verbs do not bother people with warnings
		a.writeDiagnostics(list)
	}
	return p.Name, p, selection.Check(p, services)
}

// printWarnings prints what a load that succeeded has to say.
func (a *app) printWarnings(list diag.List) {
	switch {
	case a.faultsAs == diagnosticsJSON:
		a.writeDiagnostics(list)
	case len(list) == 0 || a.global.progress == string(progress.Quiet):
	case a.global.progress == string(progress.JSON):
		for _, d := range list {
			a.warn("%s", d.Error())
		}
	default:
		io.WriteString(a.err, a.render(list)) //nolint:errcheck // stderr
	}
}
