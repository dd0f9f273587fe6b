package formatter

import (
	"fmt"

	"github.com/stackrun/stack/runtime/process"
)

// Exit says how a run has ended, as the daemon's events do: "exited with code 137 (killed because it was out of memory)".
func Exit(x *process.Exit) string {
	text := fmt.Sprintf("exited with code %d", x.Code)
	if x.OOM {
		text += " (killed because it was out of memory)"
	}
	if x.Error != "" {
		text += " (" + x.Error + ")"
	}
	return text
}
