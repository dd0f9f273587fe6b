// Package thread runs functions on threads that are thrown away, for what changes a thread for good: its namespaces, its root.
package thread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Apart runs f on a locked thread that nobody else is on, neither before it ends nor after, and returns its error. It is not the process's first, which
// cannot be thrown away and which /proc/self stands for.
func Apart(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// While it waits here the next goroutine is on another.
			defer runtime.UnlockOSThread()
			done <- Apart(f)
			return
		}
		done <- f() // never unlocked: the thread ends with the goroutine
	}()
	return <-done
}
