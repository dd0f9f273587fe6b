package runtime

import (
	"fmt"

	"github.com/stackrun/stack/runtime/proto"
)

// StartError says at which stage a start stopped. Failure.ExitCode is the container's exit code then.
type StartError struct {
	ID      string
	Failure *proto.Failure
}

func (e *StartError) Error() string {
	return fmt.Sprintf("cannot start container %.12s: %s", e.ID, e.Failure.Error())
}
