// Go's runtime is told how many processors to use (proto.Environ). It looks for what the cgroup allows all the same, but so it closes the files of that:
// a monitor knows all of its descriptors.
//
//go:debug containermaxprocs=0

// Command stack-init is the small program that stays with a container: its monitor, what runs
// between clone and execve, and the parent of an exec.
// It is embedded in stack (package runtime/initprog); nobody calls it by hand.
package main

import (
	"fmt"
	"os"

	"github.com/stackrun/stack/runtime/monitor"
	"github.com/stackrun/stack/runtime/proto"
)

func mode() string {
	if len(os.Args) > 1 {
		return os.Args[1]
	}
	return ""
}

func main() {
	switch mode() {
	case proto.ModeMonitor:
		os.Exit(monitor.Main())
	default:
		fmt.Fprintln(os.Stderr, "stack-init is a part of stack and is not called by hand: see `stack --help`")
		os.Exit(2)
	}
}
