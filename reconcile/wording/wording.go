// Package wording puts what drivers say into the words of users: with the names that they know, on one line where there is room for one, without
// what is secret.
package wording

import (
	"strings"

	"github.com/stackrun/stack/internal/lazyregexp"
	"github.com/stackrun/stack/internal/objectid"
)

// Reworded is an error in a user's words; what it is and what is below it stays.
type Reworded struct {
	Text string
	Err  error
}

func (r *Reworded) Error() string { return r.Text }

func (r *Reworded) Unwrap() error { return r.Err }

// driverPrefix is how a driver's error begins: "cannot start container 806814d4b8cc: ".
var driverPrefix = lazyregexp.New(`^cannot [a-zA-Z ]+ container [0-9a-f]{12}: `)

// Cause is err without what its caller says itself. Drivers know a container by its id and begin with what they could not do to
// it; the engine says the same with the name that the user knows.
func Cause(err error, id, name string) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	short := objectid.Short(id)
	if m := driverPrefix.FindString(text); m != "" && strings.Contains(m, short) {
		text = text[len(m):]
	}
	if id != "" { // it failed before it had one
		text = strings.ReplaceAll(strings.ReplaceAll(text, id, name), short, name)
	}
	if text == err.Error() {
		return err
	}
	return &Reworded{Text: text, Err: err}
}

// FirstLine of an error, for where there is room for one.
func FirstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
