package watch

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Line is what is told of one thing that was done for a service.
type Line struct {
	Service string
	Changed []string // files, as they are told, sorted
	Did     []string // what was done, in order
	Took    time.Duration
	Err     error // what was not
}

// empty says that there is nothing to be told.
func (l Line) empty() bool { return len(l.Changed) == 0 && len(l.Did) == 0 && l.Err == nil }

// named is how many of the files that have changed are named.
const named = 3

// String is the line as people read it.
func (l Line) String() string {
	var b strings.Builder
	b.WriteString(l.Service + ": ")
	switch n := len(l.Changed); {
	case n == 0:
	case n <= named:
		b.WriteString(strings.Join(l.Changed, ", ") + ": ")
	default:
		fmt.Fprintf(&b, "%s and %d more: ", strings.Join(l.Changed[:named], ", "), n-named)
	}
	did := l.Did
	if len(did) == 0 && l.Err == nil {
		did = []string{"nothing to be done"}
	}
	b.WriteString(strings.Join(did, ", "))
	if l.Err != nil {
		if len(did) > 0 {
			b.WriteString("; ")
		}
		b.WriteString(l.Err.Error())
	}
	fmt.Fprintf(&b, " (%d ms)", l.Took.Milliseconds())
	return b.String()
}

// MarshalJSON is the line for --progress json.
func (l Line) MarshalJSON() ([]byte, error) {
	v := struct {
		Watch   bool     `json:"watch"`
		Service string   `json:"service"`
		Changed []string `json:"changed,omitempty"`
		Did     []string `json:"did,omitempty"`
		Took    int64    `json:"ms"`
		Error   string   `json:"error,omitempty"`
	}{Watch: true, Service: l.Service, Changed: l.Changed, Did: l.Did, Took: l.Took.Milliseconds()}
	if l.Err != nil {
		v.Error = l.Err.Error()
	}
	return json.Marshal(v)
}

func files(n int) string {
	if n == 1 {
		return "1 file"
	}
	return fmt.Sprintf("%d files", n)
}

func containers(n int, what string) string {
	if n == 1 {
		return "the container was " + what
	}
	return fmt.Sprintf("%d containers were %s", n, what)
}
