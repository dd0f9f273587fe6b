package reconcile

import (
	"strings"

	"github.com/stackrun/stack/internal/lazyregexp"
)

// reworded is an error in a user's words; what it is and what is below it stays.
type reworded struct {
	text string
	err  error
}

func (r *reworded) Error() string { return r.text }
func (r *reworded) Unwrap() error { return r.err }

// driverPrefix is how a driver's error begins: "cannot start container 806814d4b8cc: ".
var driverPrefix = lazyregexp.New(`^cannot [a-zA-Z ]+ container [0-9a-f]{12}: `)

// cause is err without what its caller says itself. Drivers know a container by its id and begin with what they could not do to
// it; the engine says the same with the name that the user knows.
func cause(err error, id, name string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	short := shortID(id)
	if m := driverPrefix.FindString(text); m != "" && strings.Contains(m, short) {
		text = text[len(m):]
	}
	if id != "" { // it failed before it had one
		text = strings.ReplaceAll(strings.ReplaceAll(text, id, name), short, name)
	}
	if text == err.Error() {
		return err
	}
	return &reworded{text, err}
}

// firstLine of an error, for where there is room for one.
func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// named puts the names of containers that are supervised in the place of their ids.
func (e *Engine) named(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	e.mu.Lock()
	for id, n := range e.names {
		text = strings.ReplaceAll(text, shortID(id), n.name)
	}
	e.mu.Unlock()
	if text == err.Error() {
		return err
	}
	return &reworded{text, err}
}
