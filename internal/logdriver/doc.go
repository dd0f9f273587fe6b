// Package logdriver is what docker's logging drivers that send a log elsewhere are asked for: their options, read and checked, what a message is, and what it says of its container.
// It is values alone, for whoever reads a file or a request; who sends is below it. See docs/adr/0093-logs-that-are-sent.md.
package logdriver

import "time"

// Message is a line of a container's output.
type Message struct {
	Time    time.Time
	Stderr  bool
	Partial bool // the line goes on in the next message of its stream
	Line    []byte
}

// Source is the container that messages are of.
type Source struct {
	ID        string // 64 hex digits
	Name      string
	ImageID   string // sha256:…
	ImageName string // as the container was asked for with
	Command   string
	Created   time.Time
	Env       []string // NAME=VALUE
	Labels    map[string]string
}
