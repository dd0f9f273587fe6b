package boot

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// InitMain is mode init: a PID 1 that starts one process, forwards every signal to it, reaps whatever is orphaned,
// and ends as the process does. args are the program's path and its arguments.
//
// It runs inside the container as the container's user, under its filter of system calls.
func InitMain(args []string) int {
	if len(args) < 2 {
		return exitPlatform
	}
	// Signals before the process: one that comes early must not be lost, and PID 1 has no default action.
	signals := make(chan os.Signal, 64)
	signal.Notify(signals)
	unix.CloseOnExec(proto.FDReport)
	attr := &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	if terminal(0) {
		// The terminal's signals and input belong to the process's group, not to ours.
		attr.Sys.Foreground = true
		attr.Sys.Ctty = 0
	}
	pid, err := syscall.ForkExec(args[0], args[1:], attr)
	if err != nil {
		errno, _ := err.(syscall.Errno)
		return failed(execFault(args[0], errno))
	}
	unix.Close(proto.FDReport)
	for fd := range 3 {
		unix.Close(fd) // the streams end when the process lets go of them
	}
	for sig := range signals {
		s := sig.(syscall.Signal)
		switch s {
		case unix.SIGCHLD:
			if code, ended := reap(pid); ended {
				return code
			}
		case unix.SIGURG, unix.SIGTTOU, unix.SIGTTIN: // Go's own preemption; and ours, of a background group
		default:
			_ = unix.Kill(pid, s)
		}
	}
	return 0
}

func terminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// reap takes all that have ended; ended says whether main was among them.
func reap(main int) (code int, ended bool) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return code, ended
		}
		if pid != main {
			continue
		}
		ended = true
		if status.Signaled() {
			code = 128 + int(status.Signal())
		} else {
			code = status.ExitStatus()
		}
	}
}
