package daemon

import (
	"runtime/debug"
	"time"

	"github.com/stackrun/stack/internal/program"
)

// restAfter is how long nobody has been connected when a daemon gives back what the last commands needed.
const restAfter = 2 * time.Second

// garbagePercent is how much garbage may lie on what a working daemon uses before it is collected (GOGC). What it uses is a few MiB: with Go's 100, a
// sixth of the processor time of its commands was collections. What it holds when it rests does not depend on it.
const garbagePercent = 400

// useMemory prepares for commands.
func useMemory() { debug.SetGCPercent(garbagePercent) }

// restMemory gives back what the last commands needed: garbage, and pages of the program's file. A daemon that starts has read all of its init program to copy
// it, initialised every package, and adopted what it found: 16 MiB of the file, of which it goes on using a quarter. One up, ps and exec map as much again.
func restMemory() {
	debug.FreeOSMemory()
	program.Release()
}
