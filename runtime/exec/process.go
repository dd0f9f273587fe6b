package exec

import (
	"time"

	"github.com/stackrun/stack/runtime/process"
)

// Process is an exec.
type Process struct {
	Args       []string
	Env        []string // added to the container's environment, later wins; a name without = is taken out of it
	Cwd        string   // "" = the container's
	User       string   // "" = the container's
	Terminal   bool
	Privileged bool
	Rows, Cols uint16
	Detach     bool
	Timeout    time.Duration // 0 = none; then SIGKILL to the exec's process group
	// Note, unless empty: each line of its output is written to the container's log too, behind these words.
	Note string
	// Started, unless nil, is told the process's id in the daemon's pid namespace when its execve has succeeded.
	Started func(pid int) `json:"-"`
	// Ended, unless nil, is told how a detached process ended. It is called once for each Exec that has returned without an error; not when the daemon
	// ends before.
	Ended func(process.Exit) `json:"-"`
}
