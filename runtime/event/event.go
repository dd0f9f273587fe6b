// Package event has what happens to containers while they run, and hands it to whoever listens.
package event

import (
	"time"

	"github.com/stackrun/stack/runtime/process"
)

// Event says that a container's state changed; the receiver looks again.
type Event struct {
	ID   string
	Kind Kind
	At   time.Time
	Exit *process.Exit // for Exited

	Detail string // for Log
}

// Kind is what has happened.
type Kind string

const (
	Started Kind = "started"
	Exited  Kind = "exited"
	OOM     Kind = "oom"
	// Log: output of the container cannot be written to its log, Detail says why; "" = it can again.
	Log Kind = "log"
)
