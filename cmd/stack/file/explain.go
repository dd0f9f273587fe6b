package file

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/console"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// explainValues tells where values come from.
func explainValues(ctx context.Context, run *cli.Run, c configFlags, services []string) error {
	in, err := run.Input(ctx)
	if err != nil {
		return err
	}
	in.Services, in.Purpose = services, spec.ToShow
	origins, list := spec.Explain(ctx, in, spec.Path(c.explain))
	list = run.WithLocation(list)
	if list.HasErrors() {
		return console.Faults(list)
	}
	run.PrintWarnings(list)
	if !c.showSecrets {
		for i := range origins {
			origins[i] = origins[i].Redacted()
		}
	}
	var b bytes.Buffer
	if c.format == "json" {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(origins); err != nil {
			return err
		}
	} else {
		for _, o := range origins {
			writeOrigin(&b, o)
		}
	}
	if c.output == "" {
		_, err := run.Out.Write(b.Bytes())
		return err
	}
	if err := os.WriteFile(c.output, b.Bytes(), 0o666); err != nil {
		return fmt.Errorf("cannot write the explanation: %w", err)
	}
	return nil
}

// writeOrigin writes
//
//	services.web.image = "nginx:2"
//	  at         compose.yaml:3:12
//	  written    nginx:${TAG}
//	  variable   TAG = "2", from .env:1
//	  through    extends at compose.yaml:5:7
//	  overrides  "nginx:1" at base.yaml:4:12
func writeOrigin(b *bytes.Buffer, o spec.Origin) {
	line := func(what, format string, args ...any) {
		fmt.Fprintf(b, "  %-10s %s\n", what, fmt.Sprintf(format, args...))
	}
	if o.Reset {
		fmt.Fprintf(b, "%s is taken out\n", o.Path)
	} else {
		fmt.Fprintf(b, "%s = %s\n", o.Path, quoted(o.Value))
	}
	line("at", "%s", shortPlace(o.At))
	writeMaking(line, o)
	for _, was := range o.Overrides {
		line("overrides", "%s at %s", quoted(was.Value), shortPlace(was.At))
		writeMaking(func(what, format string, args ...any) { line("", what+" "+format, args...) }, was)
	}
}

// writeMaking writes how a value was made and what brought it.
func writeMaking(line func(what, format string, args ...any), o spec.Origin) {
	if o.Written != "" {
		line("written", "%s", strings.Trim(quoted(o.Written), `"`))
	}
	for _, v := range o.Variables {
		switch {
		case !v.Set:
			line("variable", "%s, not set", v.Name)
		case v.From == nil:
			line("variable", "%s = %s, from the environment", v.Name, quoted(v.Value))
		default:
			line("variable", "%s = %s, from %s", v.Name, quoted(v.Value), shortPlace(*v.From))
		}
	}
	for _, s := range o.Through {
		line("through", "%s at %s", s.What, shortPlace(s.At))
	}
}

// quoted is s so that no control character of a file reaches the terminal.
func quoted(s string) string { return strconv.Quote(s) }

// shortPlace is p relative to the working directory when it is below it.
func shortPlace(p diag.Pos) string {
	if dir, err := os.Getwd(); err == nil && filepath.IsAbs(p.File) {
		if rel, err := filepath.Rel(dir, p.File); err == nil && !strings.HasPrefix(rel, "..") {
			p.File = rel
		}
	}
	return p.String()
}
