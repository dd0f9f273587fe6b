package runtime

import "github.com/stackrun/stack/runtime/container"

// What crosses the door of the room has these names there; what it is, its package says.
type (
	Config    = container.Config
	LogConfig = container.LogConfig
	State     = container.State
	Status    = container.Status
)

const (
	Created = container.Created
	Running = container.Running
	Stopped = container.Stopped
	Paused  = container.Paused
)

// Check says why Create would refuse c; nil when it would not. Pure. Errors as Create's.
func Check(c *Config) error { return c.Check() }
