package main

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

// printError shows why the command failed: diagnostics with --diagnostics json, one object with --progress json, else each fault with its place and hint.
func (a *app) printError(err error) {
	if a.faultsAs == diagnosticsJSON {
		a.writeDiagnostics(asDiagnostics(err))
		return
	}
	if a.global.progress == string(progress.JSON) {
		json.NewEncoder(a.err).Encode(map[string]any{"error": true, "message": err.Error()}) //nolint:errcheck // stderr
		return
	}
	list := faults(err)
	if len(list) == 0 {
		fmt.Fprintf(a.err, "%s %s\n", a.paint(a.err, "31", "error:"), err)
		return
	}
	fmt.Fprint(a.err, a.render(list))
}

// faults are the diagnostics that err is made of; none when it says more than they do.
func faults(err error) diag.List {
	var load *loadError
	if errors.As(err, &load) {
		return load.list
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
func (a *app) render(list diag.List) string {
	var b strings.Builder
	style := diag.Style{Color: a.color(a.err), Sources: a.source}
	if dir, err := os.Getwd(); err == nil {
		style.Dir = dir
	}
	diag.Render(&b, list.First(maxShown), style) //nolint:errcheck // into memory
	return b.String()
}

// source is the text of a file that a fault names.
func (a *app) source(file string) ([]byte, bool) {
	if file == "<stdin>" {
		return a.stdin, a.stdin != nil
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
