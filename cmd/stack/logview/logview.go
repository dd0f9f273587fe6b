// Package logview prints the containers' output as people read it: a padded, coloured prefix, the line.
package logview

import (
	"bytes"
	"io"
	"strconv"
	"strings"

	"github.com/stackrun/stack/reconcile/ask"
)

// Options of a View.
type Options struct {
	Project    string // its name is left out of prefixes
	Color      bool
	NoPrefix   bool
	Timestamps bool
	OneStream  bool // what programs write to stderr goes to out too; only notices go to err

	// Which of the writers are terminals. They are not given the strings by which a program titles, writes
	// the clipboard of, or asks questions of a terminal that it was never lent. Anything else gets each byte.
	OutTerminal, ErrTerminal bool
}

// View prints entries: of stdout to one writer, of stderr to another, unless OneStream is set. Not safe for concurrent use.
type View struct {
	out, err io.Writer
	opt      Options
	width    int               // of the longest prefix so far
	colors   map[string]string // by prefix: SGR code
	prefixes map[source]prefix
	open     source // whose line has not ended; zero = nobody's
	stream   string // of that line
	openTo   io.Writer
	buf      bytes.Buffer
	controls controls // of the open line
}

// source is a container as an entry names it.
type source struct {
	container, service string
	replica            int
}

// prefix is what stands before each line of a source, while the widest is width.
type prefix struct {
	text  string
	width int
}

func New(out, err io.Writer, o Options) *View {
	return &View{out: out, err: err, opt: o, colors: map[string]string{}, prefixes: map[source]prefix{}}
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
func (v *View) Entry(e ask.LogEntry) error {
	if e.Notice {
		return v.notice(e)
	}
	w, toTerminal := v.out, v.opt.OutTerminal
	if e.Stream == "stderr" && !v.opt.OneStream {
		w, toTerminal = v.err, v.opt.ErrTerminal
	}
	from := source{e.Container, e.Service, e.Replica}
	v.buf.Reset()
	if v.open != from || v.stream != e.Stream {
		if err := v.Break(); err != nil {
			return err
		}
		v.prefix(from, e)
		v.controls = controls{}
	}
	if toTerminal {
		v.controls.filter(&v.buf, e.Line)
	} else {
		v.buf.Write(e.Line)
	}
	v.open = source{}
	if e.Partial {
		v.open, v.stream, v.openTo = from, e.Stream, w
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
	if v.open == (source{}) {
		return nil
	}
	v.open = source{}
	_, err := io.WriteString(v.openTo, "\n")
	return err
}

// notice says on stderr what of a log is missing.
func (v *View) notice(e ask.LogEntry) error {
	if err := v.Break(); err != nil {
		return err
	}
	of := e.Service // of all its containers, or none
	if e.Container != "" {
		of = v.Name(e.Container, e.Service, e.Replica)
	}
	_, err := io.WriteString(v.err, "warning: log of "+of+": "+string(e.Line)+"\n")
	return err
}

func (v *View) prefix(from source, e ask.LogEntry) {
	if !v.opt.NoPrefix {
		p, ok := v.prefixes[from]
		if !ok || p.width != v.width {
			p = v.prefixOf(from)
			v.prefixes[from] = p
		}
		v.buf.WriteString(p.text)
	}
	if v.opt.Timestamps {
		v.buf.Write(e.Time.UTC().AppendFormat(v.buf.AvailableBuffer(), "2006-01-02T15:04:05.000000000Z "))
	}
}

func (v *View) prefixOf(from source) prefix {
	name := v.Expect(from.container, from.service, from.replica)
	text := name + strings.Repeat(" ", v.width-len([]rune(name))) + "  | "
	if v.opt.Color {
		text = "\x1b[" + v.colors[name] + "m" + text + "\x1b[0m"
	}
	return prefix{text, v.width}
}
