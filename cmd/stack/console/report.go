package console

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/cmd/stack/progress"
	"github.com/stackrun/stack/spec/diag"
)

// Faults is the error of a file that cannot be used: its faults are printed with their places.
type Faults diag.List

func (f Faults) Error() string { return diag.List(f).Err().Error() }

// Unwrap gives the causes of the faults.
func (f Faults) Unwrap() []error { return []error{diag.List(f).Err()} }

// PrintError shows why the command failed: diagnostics with --diagnostics json, one object with --progress json, else each fault with its place and hint.
func (c *Console) PrintError(err error) {
	if c.Diagnostics == DiagnosticsJSON {
		c.writeDiagnostics(asDiagnostics(err))
		return
	}
	if c.ProgressMode == string(progress.JSON) {
		json.NewEncoder(c.Err).Encode(map[string]any{"error": true, "message": err.Error()}) //nolint:errcheck // stderr
		return
	}
	list := faults(err)
	if len(list) == 0 {
		fmt.Fprintf(c.Err, "%s %s\n", c.Paint(c.Err, "31", "error:"), err)
		return
	}
	fmt.Fprint(c.Err, c.render(list))
}

// PrintWarnings prints what a load that succeeded has to say.
func (c *Console) PrintWarnings(list diag.List) {
	switch {
	case c.Diagnostics == DiagnosticsJSON:
		c.writeDiagnostics(list)
	case len(list) == 0 || c.ProgressMode == string(progress.Quiet):
	case c.ProgressMode == string(progress.JSON):
		for _, d := range list {
			c.Warn("%s", d.Error())
		}
	default:
		io.WriteString(c.Err, c.render(list)) //nolint:errcheck // stderr
	}
}

// TellEditors is PrintWarnings for verbs that do not bother people with warnings.
func (c *Console) TellEditors(list diag.List) {
	if c.Diagnostics == DiagnosticsJSON {
		c.writeDiagnostics(list)
	}
}

// faults are the diagnostics that err is made of; none when it says more than they do.
func faults(err error) diag.List {
	var load Faults
	if errors.As(err, &load) {
		return diag.List(load)
	}
	var answered *api.Error
	if errors.As(err, &answered) && len(answered.Diagnostics) > 0 {
		list := diag.List(answered.Diagnostics)
		if whole := list.Err(); whole != nil && whole.Error() == err.Error() {
			return list
		}
	}
	return nil
}

// maxShown is how many errors, and how many warnings, people are shown at once. --diagnostics json tells ten times as many.
const maxShown = 100

// render shows faults with their places and the lines they are about.
func (c *Console) render(list diag.List) string {
	var b strings.Builder
	style := diag.Style{Color: c.Color(c.Err)}
	if !c.Past {
		style.Sources = c.source
	}
	if dir, err := os.Getwd(); err == nil {
		style.Dir = dir
	}
	diag.Render(&b, list.First(maxShown), style) //nolint:errcheck // into memory
	return b.String()
}

// source is the text of a file that a fault names.
func (c *Console) source(file string) ([]byte, bool) {
	if file == "<stdin>" {
		return c.Stdin, c.Stdin != nil
	}
	const most = 16 << 20 // bytes, as spec reads
	f, err := os.Open(file)
	if err != nil {
		return nil, false
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, most))
	return text, err == nil
}
