package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/progress"
	"github.com/stackrun/stack/cmd/stack/remote"
	"github.com/stackrun/stack/cmd/stack/terminal"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// app is one run of the command: its streams, its environment, its global flags.
type app struct {
	in       *os.File
	out, err io.Writer
	words    []string          // the command line, for the history
	env      map[string]string // the process's, with what .env adds of COMPOSE_*

	global     globalFlags
	faultsAs   diagnosticsFormat
	roots      roots.Roots
	interrupts interrupts
	daemon     *client.Client // once somebody wants it
	printer    progress.Printer
	linked     *linked // nil: the daemon is the program that this one carries

	location       *spec.Location // once located
	remote         *remote.Fetcher
	locationFaults diag.List
	stdin          []byte // a Compose file from stdin, once read
}

// close ends what the command opened, in the order in which it must go.
func (a *app) close() {
	if a.printer != nil {
		a.printer.Close()
		a.printer = nil
	}
}

// setRoots decides the two directories: flag, then environment, then default.
func (a *app) setRoots() error {
	pick := func(flag, variable, fallback string) (string, error) {
		for _, v := range []string{flag, a.env[variable]} {
			if v != "" {
				return filepath.Abs(v)
			}
		}
		return fallback, nil
	}
	state, err := pick(a.global.stateRoot, "STACK_STATE_ROOT", roots.DefaultState)
	if err != nil {
		return err
	}
	run, err := pick(a.global.runRoot, "STACK_RUN_ROOT", roots.DefaultRun)
	if err != nil {
		return err
	}
	a.roots = roots.Roots{State: state, Run: run}
	return nil
}

// command is the command line as a user would type it again.
func (a *app) command() string {
	quoted := make([]string, len(a.words))
	for i, w := range a.words {
		if quoted[i] = w; w == "" || strings.ContainsAny(w, " \t\n'\"\\$`*?&|;<>()") {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// parallel is --parallel for the engine: 0 leaves the bound to it.
func (a *app) parallel() int { return a.global.parallel }

// progress is where events go, made at the first call.
func (a *app) progress() progress.Printer {
	if a.printer == nil {
		mode := progress.Mode(a.global.progress)
		if mode == progress.Auto && a.env["TERM"] == "dumb" { // terminfo(5): it cannot move its cursor
			mode = progress.Plain
		}
		a.printer = progress.New(a.err, progress.Options{
			Mode: mode, Color: a.color(a.err), Terminal: terminal.Of(a.err),
		})
	}
	return a.printer
}

// quietly is progress, or nothing.
func (a *app) quietly(quiet bool) progress.Printer {
	if quiet {
		return progress.New(io.Discard, progress.Options{Mode: progress.Quiet})
	}
	return a.progress()
}

// endProgress draws the last state, so that what is printed next stays below it.
func (a *app) endProgress() {
	if a.printer != nil {
		a.printer.Close()
		a.printer = nil
	}
}

// color says whether w is to get colours: --ansi, NO_COLOR (https://no-color.org), and whether it is a terminal.
func (a *app) color(w io.Writer) bool {
	switch a.global.ansi {
	case "always":
		return true
	case "never":
		return false
	}
	return a.env["NO_COLOR"] == "" && a.env["TERM"] != "dumb" && terminal.Of(w) != nil
}

func (a *app) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if a.faultsAs == diagnosticsJSON {
		a.writeDiagnostics(diag.List{{Severity: diag.Warning, Code: "warning", Summary: text}})
		return
	}
	if a.global.progress == string(progress.JSON) {
		json.NewEncoder(a.err).Encode(map[string]any{"warning": true, "message": text}) //nolint:errcheck // stderr
		return
	}
	fmt.Fprintf(a.err, "%s %s\n", a.paint(a.err, "33", "warning:"), text)
}

// paint wraps s in the SGR code when w gets colours.
func (a *app) paint(w io.Writer, code, s string) string {
	if !a.color(w) {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (a *app) truthy(variable string) bool {
	switch strings.ToLower(a.env[variable]) {
	case "1", "t", "true", "y", "yes", "on":
		return true
	}
	return false
}
