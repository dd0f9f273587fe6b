// Package signals hands signals of a caller's terminal on to what runs in a container.
package signals

import (
	"sync/atomic"
	"syscall"

	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/procfs"

	"golang.org/x/sys/unix"
)

// Relay hands signals to send until done is closed, or signals is.
func Relay(signals <-chan syscall.Signal, done <-chan struct{}, send func(unix.Signal)) {
	for {
		select {
		case sig, ok := <-signals:
			if !ok {
				return
			}
			send(sig)
		case <-done:
			return
		}
	}
}

// First sends signals of the caller's to the first process of a container. The kernel drops what such a process has
// no handler for (pid_namespaces(7)); anywhere else it would have ended by it, so here it is killed, and its exit tells of sig.
type First struct {
	identity.Process
	killed atomic.Int32 // the signal that it was killed for
}

// Send sends sig to the process group that the process leads; one that has ended takes none.
func (p *First) Send(sig unix.Signal) {
	if !endsByDefault(sig) || procfs.Handles(p.Pid, sig) {
		_ = p.Interrupt(sig) // gone, or the next one will do
		return
	}
	if p.killed.CompareAndSwap(0, int32(sig)) {
		_ = p.Process.Send(unix.SIGKILL)
	}
}

// Exit is x, or what it is had the kernel not dropped the signal.
func (p *First) Exit(x process.Exit) process.Exit {
	if sig := int(p.killed.Load()); sig != 0 && x.Signal == int(unix.SIGKILL) && !x.OOM {
		x.Signal, x.Code = sig, 128+sig
	}
	return x
}

func endsByDefault(sig unix.Signal) bool {
	return sig == unix.SIGINT || sig == unix.SIGTERM || sig == unix.SIGHUP || sig == unix.SIGQUIT
}
