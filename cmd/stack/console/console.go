// Package console is where a command reads what is typed, and tells people and editors how it is getting on: its streams, colours, progress, warnings
// and errors. Results go to Out; all else goes to Err.
package console

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/stackrun/stack/cmd/stack/progress"
	"github.com/stackrun/stack/cmd/stack/terminal"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec/diag"
)

// Console is the streams of a command, and how the user wants to see what goes there.
type Console struct {
	In       *os.File
	Out, Err io.Writer
	Env      map[string]string // TERM and NO_COLOR count

	ProgressMode string      // --progress: one of progress.Modes
	ANSI         string      // --ansi: never, always or auto
	Diagnostics  Diagnostics // --diagnostics

	// Stdin is the Compose file that came from stdin: faults show its lines. nil = none did.
	Stdin []byte

	// Past says that faults and warnings are about files as they were at another time: their lines, as they are now, are not shown.
	Past bool

	printer progress.Printer
}

// Progress is where events go, made at the first call.
func (c *Console) Progress() progress.Printer {
	if c.printer == nil {
		mode := progress.Mode(c.ProgressMode)
		if mode == progress.Auto && c.Env["TERM"] == "dumb" { // terminfo(5): it cannot move its cursor
			mode = progress.Plain
		}
		c.printer = progress.New(c.Err, progress.Options{
			Mode: mode, Color: c.Color(c.Err), Terminal: terminal.Of(c.Err),
		})
	}
	return c.printer
}

// Quietly is Progress, or nothing.
func (c *Console) Quietly(quiet bool) progress.Printer {
	if quiet {
		return progress.New(io.Discard, progress.Options{Mode: progress.Quiet})
	}
	return c.Progress()
}

// ImageFilter shows progress, without that of pulls and of builds where it is not wanted.
func (c *Console) ImageFilter(quietPull, quietBuild bool) event.Sink {
	show := c.Progress().Event
	if !quietPull && !quietBuild {
		return show
	}
	return func(e event.Event) {
		quiet := quietPull
		if e.Text == "Building" {
			quiet = quietBuild
		}
		if quiet && e.Kind == "image" && e.Phase == event.Working {
			return
		}
		show(e)
	}
}

// EndProgress draws the last state, so that what is printed next stays below it. It may be called when there is none.
func (c *Console) EndProgress() {
	if c.printer != nil {
		c.printer.Close()
		c.printer = nil
	}
}

// Color says whether w is to get colours: --ansi, NO_COLOR (https://no-color.org), and whether it is a terminal.
func (c *Console) Color(w io.Writer) bool {
	switch c.ANSI {
	case "always":
		return true
	case "never":
		return false
	}
	return c.Env["NO_COLOR"] == "" && c.Env["TERM"] != "dumb" && terminal.Of(w) != nil
}

// Paint wraps s in the SGR code when w gets colours.
func (c *Console) Paint(w io.Writer, code, s string) string {
	if !c.Color(w) {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Warn tells what is not as it should be and stops nothing.
func (c *Console) Warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if c.Diagnostics == DiagnosticsJSON {
		c.writeDiagnostics(diag.List{{Severity: diag.Warning, Code: "warning", Summary: text}})
		return
	}
	if c.ProgressMode == string(progress.JSON) {
		json.NewEncoder(c.Err).Encode(map[string]any{"warning": true, "message": text}) //nolint:errcheck // stderr
		return
	}
	fmt.Fprintf(c.Err, "%s %s\n", c.Paint(c.Err, "33", "warning:"), text)
}

// Confirm asks on stderr; anything but y or yes is no, the end of input too.
func (c *Console) Confirm(question string) bool {
	fmt.Fprintf(c.Err, "%s [yN] ", question)
	answer, err := bufio.NewReader(c.In).ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(c.Err)
		return false
	}
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}
