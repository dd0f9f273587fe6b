package runtime

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/process"

	"golang.org/x/sys/unix"
)

// relay hands signals on until done.
func relay(signals <-chan syscall.Signal, done <-chan struct{}, send func(unix.Signal)) {
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

// first sends signals of the caller's to the first process of a container. The kernel drops what such a process has
// no handler for (pid_namespaces(7)); anywhere else it would have ended by it, so here it is killed, and its exit tells of sig.
type first struct {
	identity.Process
	killed atomic.Int32 // the signal that it was killed for
}

func (p *first) send(sig unix.Signal) {
	if !endsByDefault(sig) || handles(p.Pid, sig) {
		_ = p.Interrupt(sig) // gone, or the next one will do
		return
	}
	if p.killed.CompareAndSwap(0, int32(sig)) {
		_ = p.Process.Send(unix.SIGKILL)
	}
}

// exit is x, or what it is had the kernel not dropped the signal.
func (p *first) exit(x process.Exit) process.Exit {
	if sig := int(p.killed.Load()); sig != 0 && x.Signal == int(unix.SIGKILL) && !x.OOM {
		x.Signal, x.Code = sig, 128+sig
	}
	return x
}

func endsByDefault(sig unix.Signal) bool {
	return sig == unix.SIGINT || sig == unix.SIGTERM || sig == unix.SIGHUP || sig == unix.SIGQUIT
}

// handles says whether process pid catches or ignores sig: SigCgt and SigIgn of proc_pid_status(5). One that cannot be read
// has ended, and gets the signal as any other.
func handles(pid int, sig unix.Signal) bool {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return true
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(line, ":")
		if key != "SigCgt" && key != "SigIgn" {
			continue
		}
		mask, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil || mask&(1<<(uint(sig)-1)) != 0 {
			return true
		}
	}
	return false
}
