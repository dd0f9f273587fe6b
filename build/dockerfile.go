package build

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/stackrun/stack/internal/errdefs"
)

// maxDockerfile bounds what is read: the largest ones that people write by hand or generate are some 100 KiB.
const maxDockerfile = 4 << 20

// dockerfile is one that has been read.
type dockerfile struct {
	name     string // path; "" = the text was given
	escape   rune
	meta     []instructions.ArgCommand // before the first FROM
	stages   []instructions.Stage
	warnings []string
}

// readDockerfile reads the one that r names.
func readDockerfile(r *Request) ([]byte, error) {
	if r.Dockerfile == "" {
		return []byte(r.Inline), nil
	}
	f, err := os.Open(r.Dockerfile)
	if err != nil {
		return nil, &Error{File: r.Dockerfile, Err: errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot read it: %w", err))}
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, &Error{File: r.Dockerfile, Err: errdefs.With(errdefs.ErrInvalidArgument, errors.New("cannot read it: expected a file"))}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxDockerfile+1))
	if err != nil {
		return nil, &Error{File: r.Dockerfile, Err: err}
	}
	return text, nil
}

// parseDockerfile reads text. Every error is an *Error of kind errdefs.ErrInvalidArgument.
func parseDockerfile(name string, text []byte) (d *dockerfile, err error) {
	d = &dockerfile{name: name}
	if len(text) > maxDockerfile {
		return nil, d.refuse(0, "", "it is larger than %d MiB", maxDockerfile>>20)
	}
	defer func() {
		// The parser is another project's, and what it reads may come from anybody.
		if p := recover(); p != nil {
			d, err = nil, (&dockerfile{name: name}).refuse(0, "", "cannot read it: %v", p)
		}
	}()
	tree, err := parser.Parse(bytes.NewReader(text))
	if err != nil {
		return nil, d.parseError(err)
	}
	d.escape = tree.EscapeToken
	for _, w := range tree.Warnings {
		d.warnings = append(d.warnings, strings.TrimSpace(w.Short))
	}
	if d.stages, d.meta, err = instructions.Parse(tree.AST, nil); err != nil {
		return nil, d.parseError(err)
	}
	if len(d.stages) == 0 {
		return nil, d.refuse(0, "", "it has no FROM: the first instruction but ARG says what the image is built on; FROM scratch is nothing")
	}
	d.directives(text)
	return d, nil
}

// directives tells of those that have no effect here.
func (d *dockerfile) directives(text []byte) {
	if syntax, _, _, ok := parser.DetectSyntax(text); ok && !strings.HasPrefix(syntax, "docker/dockerfile") {
		d.warnings = append(d.warnings, fmt.Sprintf("# syntax=%s has no effect: Dockerfiles are read by this program itself", syntax))
	}
}

// parseError gives an error of the parser its place.
func (d *dockerfile) parseError(err error) error {
	line := 0
	var located *parser.LocationError
	if errors.As(err, &located) && len(located.Locations) > 0 && len(located.Locations[0]) > 0 {
		line = located.Locations[0][0].Start.Line
	}
	text := err.Error()
	if _, rest, ok := strings.Cut(text, "dockerfile parse error on line "); ok {
		if _, rest, ok := strings.Cut(rest, ": "); ok {
			text = rest
		}
	}
	return d.refuse(line, "", "%s", text)
}

// refuse is an error before anything has run.
func (d *dockerfile) refuse(line int, instruction, format string, args ...any) error {
	return &Error{File: d.name, Line: line, Instruction: instruction, Err: errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf(format, args...))}
}

// unsupported refuses what is not done here.
func (d *dockerfile) unsupported(line int, instruction, format string, args ...any) error {
	return &Error{File: d.name, Line: line, Instruction: instruction, Err: errdefs.With(errdefs.ErrNotSupported, fmt.Errorf(format, args...))}
}

// at gives err the place of c, unless it has one.
func (d *dockerfile) at(c instructions.Command, err error) error {
	var placed *Error
	if err == nil || errors.As(err, &placed) {
		return err
	}
	return &Error{File: d.name, Line: lineOf(c.Location()), Instruction: source(c), Err: err}
}

func lineOf(ranges []parser.Range) int {
	if len(ranges) == 0 {
		return 0
	}
	return ranges[0].Start.Line
}

// maxSource bounds what messages show of an instruction.
const maxSource = 120

// source is c as it is written, on one line.
func source(c instructions.Command) string {
	s := c.Name()
	if named, ok := c.(fmt.Stringer); ok {
		s = named.String()
	}
	return oneLine(s)
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxSource {
		s = strings.ToValidUTF8(s[:maxSource], "") + "…"
	}
	return s
}
