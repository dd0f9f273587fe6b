// Package child starts the init program and talks with it: a process that is given work, to be the monitor of a container or the parent of an exec.
//
// Touches the processes that it has started, and nothing else of the host.
package child

import (
	"fmt"
	"os"
	goruntime "runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/rawfd"
	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/proto"
)

// firstSafeFD is above every descriptor that a child of ours starts with, and those whose number says something of works, see package proto.
const firstSafeFD = proto.FirstOtherFD

// LeastFiles is how many files (RLIMIT_NOFILE) a process that has a Pool must be allowed to have open. What runs takes more.
const LeastFiles = firstSafeFD + 1

// monitorSlack is by how much the timers of a monitor may be late, but not those of the thread that makes containers, and of containers.
const monitorSlack = 10 * time.Millisecond

// Child is a running child of this process: a monitor, or the parent of an exec. Its Monitor names it at its present work.
type Child struct {
	identity.Monitor
	Pidfd   *os.File
	Reports *Reports
}

// spawn starts the init program. It waits for hand.
func (s *Pool) spawn() (*Child, error) {
	ours, theirs, err := unixPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	null, err := devNull()
	if err != nil {
		ours.Close()
		return nil, err
	}
	n := null.Fd() // 3 is for boot, see package proto
	pidfd := -1
	// Of the processor time of a start a tenth was a thread of Go's that looks every 20 µs whether a system call lasts (its sysmon). Its sleeps
	// may be longer by its slack, which a program has from the thread that made it (prctl(2), PR_SET_TIMERSLACK).
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(monitorSlack.Nanoseconds()), 0, 0, 0)
	defer unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // this thread's own again
	pid, err := syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(int(s.init.Fd())), []string{"stack-init", proto.ModeMonitor}, &syscall.ProcAttr{
		Dir:   "/",
		Env:   proto.Environ(), // and nothing of the daemon's
		Files: []uintptr{n, n, n, n, theirs.Fd()},
		// A session of its own: what a terminal sends to the daemon's process group is not for containers.
		Sys: &syscall.SysProcAttr{Setsid: true, PidFD: &pidfd},
	})
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("cannot start the init program: %w", err)
	}
	id, err := identity.Of(pid)
	if err == nil && pidfd < 0 { // Linux before 5.2 has no CLONE_PIDFD
		err = fmt.Errorf("cannot watch process %d: this kernel has no pidfd", pid)
	}
	if err == nil {
		err = unix.SetNonblock(pidfd, true)
	}
	if err != nil {
		unix.Kill(pid, unix.SIGKILL) // our child, not yet reaped: the pid is its own
		unix.Wait4(pid, nil, 0, nil)
		unix.Close(pidfd)
		ours.Close()
		return nil, err
	}
	return &Child{Monitor: identity.Monitor{Process: id}, Pidfd: os.NewFile(uintptr(pidfd), "pidfd:"+strconv.Itoa(pid)), Reports: &Reports{file: ours}}, nil
}

// Wait returns when the process has ended and is reaped.
func (p *Child) Wait() {
	if identity.AwaitEnd(p.Pidfd) == nil {
		identity.Reap(p.Pidfd)
	}
}

// Close lets go of the handles; the process goes on.
func (p *Child) Close() {
	p.Pidfd.Close()
	p.Reports.Close()
}

// Abort ends a child whose start failed or is not wanted any more, waits for its end, and closes it.
func (p *Child) Abort() {
	p.HangUp()
	p.Wait()
	p.Close()
}

// HangUp says to the child that nobody listens any more. Before the start has succeeded it ends what it has started, reaps it, and
// ends itself; one that hangs is killed.
func (p *Child) HangUp() {
	p.Shutdown()
	time.AfterFunc(abortTime, func() { identity.Signal(p.Pidfd, unix.SIGKILL) }) // of one that is closed by then: an error, no signal
}

// Shutdown is HangUp for one that has the time it needs.
func (p *Child) Shutdown() {
	if c, err := p.Reports.file.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { unix.Shutdown(int(fd), unix.SHUT_RDWR) })
	}
}

// abortTime is how long a child may take to undo a start. The end of what it kills takes a moment.
const abortTime = 2 * time.Second

// Hand gives the child its work: a file, because a packet is bounded, and a pipe waits for a
// reader that may never come. files go with it, as word says (package proto); a nil one is /dev/null.
func (p *Child) Hand(word string, bootstrap []byte, files ...*os.File) error {
	fd, err := unix.MemfdCreate("bootstrap", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("cannot make the bootstrap: memfd_create: %w", err)
	}
	defer unix.Close(fd)
	if err := rawfd.WriteAll(fd, bootstrap); err != nil {
		return fmt.Errorf("cannot write the bootstrap: %w", err)
	}
	null, err := devNull()
	if err != nil {
		return err
	}
	fds := []int{fd}
	for _, f := range files {
		if f == nil {
			f = null
		}
		fds = append(fds, int(f.Fd()))
	}
	return p.Say(word, fds...)
}

// Say sends the child a word of package proto with files. It waits for few: there is room.
func (p *Child) Say(word string, files ...int) error {
	c, err := p.Reports.file.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := c.Control(func(s uintptr) { serr = proto.SendPacket(int(s), []byte(word), files...) }); err != nil {
		return err
	}
	if serr != nil {
		return fmt.Errorf("cannot say %q to the init program: sendmsg: %w", word, serr)
	}
	return nil
}

// unixPair is a connection for Reports. Ours is non-blocking, theirs is not.
func unixPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make a connection to the init program: socketpair: %w", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "reports"), os.NewFile(uintptr(fds[1]), "reports"), nil
}

// devNull is opened once: every monitor gets it three times.
var devNull = sync.OnceValues(func() (*os.File, error) { return os.OpenFile("/dev/null", os.O_RDWR, 0) })
