package runtime

import (
	"github.com/stackrun/stack/runtime/child"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/event"
	"github.com/stackrun/stack/runtime/exec"
	"github.com/stackrun/stack/runtime/visit"
)

// What crosses the door of the room has these names there; what it is, its package says (docs/adr/0084-the-walls-of-the-runtime.md).
type (
	Config    = container.Config
	LogConfig = container.LogConfig
	State     = container.State
	Status    = container.Status
	Event     = event.Event
	EventKind = event.Kind
	Process   = exec.Process
	CopyIn    = visit.CopyIn
	CopyOut   = visit.CopyOut
	Owner     = visit.Owner

	// StartError says at which stage a start stopped.
	StartError = child.StartError
)

const (
	Created = container.Created
	Running = container.Running
	Stopped = container.Stopped
	Paused  = container.Paused

	EventStarted = event.Started
	EventExited  = event.Exited
	EventOOM     = event.OOM
	EventLog     = event.Log
)

// Check says why Create would refuse c; nil when it would not. Pure. Errors as Create's.
func Check(c *Config) error { return c.Check() }
