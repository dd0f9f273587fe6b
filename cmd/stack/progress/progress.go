// Package progress shows what happens to resources while a verb runs: live lines on a terminal, one
// line per state change elsewhere, or JSON. It knows events and nothing of where they come from.
package progress

import (
	"io"
	"strings"
	"time"

	"github.com/stackrun/stack/cmd/stack/terminal"
	"github.com/stackrun/stack/reconcile/event"
)

// Mode is a value of --progress.
type Mode string

const (
	Auto  Mode = "auto"
	TTY   Mode = "tty"
	Plain Mode = "plain"
	JSON  Mode = "json"
	Quiet Mode = "quiet"
)

// Modes are all of them, in the order in which help lists them.
var Modes = []Mode{Auto, TTY, Plain, JSON, Quiet}

// Options of a Printer. The zero value is plain without colours.
type Options struct {
	Mode     Mode
	Color    bool
	Terminal *terminal.Terminal // of the writer; nil = none
}

// Printer shows events. Event is safe for concurrent use. Close draws the last state; after it nothing is shown.
type Printer interface {
	Event(e event.Event)
	// Suspend takes the live lines away, so that others may write to the terminal, until resume.
	Suspend() (resume func())
	Close()
}

// minColumns is the width below which live lines say nothing any more.
const minColumns = 30

// New chooses: auto is live lines on a terminal that is wide enough, else plain.
func New(w io.Writer, o Options) Printer {
	switch o.Mode {
	case Quiet:
		return quiet{}
	case JSON:
		return newJSON(w)
	case TTY:
		return newLive(w, o, func() (int, int) { return size(o.Terminal) }, time.Now)
	case Plain:
		return newPlain(w)
	}
	if o.Terminal != nil {
		if _, cols, ok := o.Terminal.Size(); ok && cols >= minColumns {
			return newLive(w, o, func() (int, int) { return size(o.Terminal) }, time.Now)
		}
	}
	return newPlain(w)
}

// size of t, or what a terminal has if nobody says otherwise.
func size(t *terminal.Terminal) (rows, cols int) {
	if t != nil {
		if rows, cols, ok := t.Size(); ok {
			return rows, cols
		}
	}
	return 24, 80
}

type quiet struct{}

func (quiet) Event(event.Event)        {}
func (quiet) Suspend() (resume func()) { return func() {} }
func (quiet) Close()                   {}

// title is how a resource is called: "Container shop-web-1".
func title(e event.Event) string {
	if e.Kind == "" {
		return e.Name
	}
	return strings.ToUpper(e.Kind[:1]) + e.Kind[1:] + " " + e.Name
}
