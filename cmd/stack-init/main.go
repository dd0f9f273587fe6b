// Command stack-init is the small program that stays with a container: its monitor, what runs
// between clone and execve, and the parent of an exec.
// It is embedded in stack (package runtime/initprog); nobody calls it by hand.
package main

import (
	"fmt"
	"os"

	"github.com/stackrun/stack/runtime/boot"
	"github.com/stackrun/stack/runtime/monitor"
	"github.com/stackrun/stack/runtime/proto"
)

var work *monitor.Work

func init() {
	// boot and an exec change what belongs to a thread (namespaces, ids, capabilities, seccomp): all of it on the
	// main thread, which is the process. Go keeps main's goroutine on it while init functions run, for nothing;
	// LockOSThread would do it with one more thread, from which Go then clones others; a thread costs a start 0.1 ms.
	switch mode() {
	case proto.ModeBoot:
		os.Exit(boot.Main())
	case proto.ModeMonitor:
		work = monitor.Await()
		if code, did := work.Exec(); did {
			os.Exit(code)
		}
	}
}

func mode() string {
	if len(os.Args) > 1 {
		return os.Args[1]
	}
	return ""
}

func main() {
	switch mode() {
	case proto.ModeMonitor:
		os.Exit(work.Run())
	default:
		fmt.Fprintln(os.Stderr, "stack-init is a part of stack and is not called by hand: see `stack --help`")
		os.Exit(2)
	}
}
