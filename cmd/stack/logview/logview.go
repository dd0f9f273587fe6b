// Package logview prints the containers' output as people read it: a padded, coloured prefix, the line.
package logview

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"github.com/stackrun/stack/reconcile"
)

// Options of a View.
type Options struct {
	Project    string // its name is left out of prefixes
	Color      bool
	NoPrefix   bool
	Timestamps bool

	// Which of the writers are terminals. They are not given the strings by which a program titles, writes
	// the clipboard of, or asks questions of a terminal that it was never lent. Anything else gets each byte.
	OutTerminal, ErrTerminal bool
}

// View prints entries: of stdout to one writer, of stderr to another. Not safe for concurrent use.
type View struct {
	out, err io.Writer
	opt      Options
	width    int               // of the longest prefix so far
	colors   map[string]string // by prefix: SGR code
	open     string            // container and stream whose line has not ended; "" = none
	openTo   io.Writer
	buf      bytes.Buffer
	controls controls // of the open line
}

func New(out, err io.Writer, o Options) *View {
	return &View{out: out, err: err, opt: o, colors: map[string]string{}}
}

// palette is docker compose's: six colours, then the same intense.
var palette = []string{"36", "33", "32", "35", "34", "36;1", "33;1", "32;1", "35;1", "34;1"}

// Expect announces a container, so that the first line of all is padded as the last.
func (v *View) Expect(container, service string, replica int) string {
	name := v.Name(container, service, replica)
	v.width = max(v.width, len([]rune(name)))
	if v.colors[name] == "" {
		v.colors[name] = palette[len(v.colors)%len(palette)]
	}
	return name
}

// Name is how a container is called in prefixes: without the project, unless its name is the file's own.
func (v *View) Name(container, service string, replica int) string {
	if short, ok := strings.CutPrefix(container, v.opt.Project+"-"); ok && v.opt.Project != "" &&
		(replica == 0 || short == service+"-"+strconv.Itoa(replica)) {
		return short
	}
	return container
}

// Entry prints e.
func (v *View) Entry(e reconcile.LogEntry) error {
	w, toTerminal := v.out, v.opt.OutTerminal
	if e.Stream == "stderr" {
		w, toTerminal = v.err, v.opt.ErrTerminal
	}
	key := e.Container + "\x00" + e.Stream
	v.buf.Reset()
	if v.open != key {
		if err := v.Break(); err != nil {
			return err
		}
		v.prefix(e)
		v.controls = controls{}
	}
	if toTerminal {
		v.controls.filter(&v.buf, e.Line)
	} else {
		v.buf.Write(e.Line)
	}
	v.open = ""
	if e.Partial {
		v.open, v.openTo = key, w
	} else {
		v.buf.WriteByte('\n')
	}
	_, err := w.Write(v.buf.Bytes())
	return err
}

// Line prints a line of the command's own about a container, such as its end.
func (v *View) Line(text string) error {
	if err := v.Break(); err != nil {
		return err
	}
	_, err := io.WriteString(v.out, text+"\n")
	return err
}

// Break ends a line that its program has not ended.
func (v *View) Break() error {
	if v.open == "" {
		return nil
	}
	v.open = ""
	_, err := io.WriteString(v.openTo, "\n")
	return err
}

func (v *View) prefix(e reconcile.LogEntry) {
	if !v.opt.NoPrefix {
		name := v.Expect(e.Container, e.Service, e.Replica)
		text := name + strings.Repeat(" ", v.width-len([]rune(name))) + "  | "
		if v.opt.Color {
			text = "\x1b[" + v.colors[name] + "m" + text + "\x1b[0m"
		}
		v.buf.WriteString(text)
	}
	if v.opt.Timestamps {
		v.buf.WriteString(e.Time.UTC().Format("2006-01-02T15:04:05.000000000Z") + " ")
	}
}
