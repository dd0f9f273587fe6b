package monitor

import (
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/boot"
	"github.com/stackrun/stack/runtime/proto"
)

// process is a child as its parent sees it: the container's init, or the process of an exec.
type process struct {
	pid    int
	pidfd  int
	poll   *os.File      // of pidfd, when it is waited for in the poller
	ended  chan struct{} // closed when it has ended: an init is reaped then, and status set
	status unix.WaitStatus

	namespaced bool // it is PID 1 of a pid namespace of its own

	mu     sync.Mutex
	reaped bool // that, or about to be
}

// kill is safe at any time, also when the pid is somebody else's by now.
func (p *process) kill() { _ = unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0) }

// watch waits for the end in the poller, which takes no thread, and leaves the process to be reaped: its pid stays its own.
func (p *process) watch() {
	p.poll = pollable(p.pidfd, "pidfd")
	conn, err := p.poll.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Read(func(fd uintptr) bool { return ready(int(fd), unix.POLLIN) })
}

// ready says whether one of events has come to fd.
func ready(fd int, events int16) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: events}}
	for {
		n, err := unix.Poll(p, 0)
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// awaitReady waits until fd can be read from, for not longer than limit, which does not count when it is negative.
func awaitReady(fd int, limit time.Duration) bool {
	begun := time.Now()
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		var left *unix.Timespec
		if limit >= 0 {
			t := unix.NsecToTimespec(int64(max(limit-time.Since(begun), 0)))
			left = &t
		}
		n, err := unix.Ppoll(p, left, nil)
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// reap waits for the end of a child and takes its status.
func reap(pid int) unix.WaitStatus {
	for {
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, 0, nil); err != unix.EINTR {
			return status
		}
	}
}

// wait reaps the init at its end. In a pid namespace that is not its own its orphans come to us, their subreaper, at any time: that
// takes a thread in wait4.
func (p *process) wait() {
	if p.namespaced {
		p.watch()
		p.mu.Lock()
		p.reaped = true
		p.mu.Unlock()
		p.status = reap(p.pid)
		close(p.ended)
		return
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid == p.pid {
			p.status = status
			close(p.ended)
			return
		}
	}
}

// ownPids says whether the kernel kills all of the container's processes with its init (pid_namespaces(7)).
func (m *monitor) ownPids() bool { return m.init.namespaced }

// prepare makes the container of b up to its init's execve. size is that of its encoding.
func (m *monitor) prepare(b *proto.Bootstrap, size, empty int, ahead *boot.Ahead) (f *proto.Failure) {
	if m.child, f = m.openStreams(); f != nil {
		return f
	}
	filesystems, f := boot.OpenFilesystems(b.Filesystems)
	if f != nil {
		return f
	}
	init, err := boot.PrepareInit(m.home, b, size, empty, ahead, m.child.child, filesystems)
	if init != nil {
		tell(init.Notes)
		m.boot = init
		if init.Pid > 0 {
			m.init = &process{pid: init.Pid, pidfd: init.Pidfd, ended: make(chan struct{}), namespaced: init.Own}
		}
	}
	if err != nil {
		return boot.AsFailure(err)
	}
	return nil
}

// follow lets the init go on, and listens to it until its execve. Warnings go on to the daemon. When that
// hangs up first the init is killed: nobody would know of it. One that has said that it executes is not, for its program may have begun, and to
// undo that would be to have it run twice.
func (m *monitor) follow() *proto.Failure {
	if m.b.AwaitAttach {
		if f := m.await(); f != nil {
			return f
		}
	}
	if ready(proto.FDReport, unix.POLLRDHUP) {
		return m.end(boot.ErrUnheard)
	}
	if err := m.boot.Go(); err != nil {
		if f := boot.AsFailure(err); f.Errno != unix.EPIPE && f.Errno != unix.ECONNRESET { // those are an init that is dead
			return m.end(f)
		}
	}
	m.child.close()
	executes, hungUp := false, false
	for {
		if !executes && !hungUp && !boot.Await(m.boot.Words()) {
			// From here on the init cannot say that it executes, and so does not. What it has said before is read still.
			hungUp = true
			m.boot.Refuse()
		}
		word := m.boot.Next()
		tell(word.Notes)
		switch {
		case word.Failed != nil:
			<-m.init.ended
			return boot.AsFailure(word.Failed)
		case word.Executes:
			executes = true
		case executes:
			return nil
		case hungUp:
			return m.end(boot.ErrUnheard)
		default:
			return m.died()
		}
	}
}

// end ends the init.
func (m *monitor) end(f *proto.Failure) *proto.Failure {
	m.init.kill()
	<-m.init.ended
	return f
}

// await holds the init back until a client has attached.
func (m *monitor) await() *proto.Failure {
	// The client comes through the daemon. One that dies before will not come back.
	gone, stop, err := awaitHangup(proto.FDReport)
	if err != nil {
		return m.end(platform("attach", "epoll_ctl", "", err))
	}
	defer stop()
	select {
	case <-m.attached:
	case <-m.init.ended:
		return nil // follow finds out how
	case <-gone:
		return m.end(&proto.Failure{Stage: "attach", Detail: "the daemon ended before anybody attached", ExitCode: 125})
	}
	return nil
}

// died explains an init that said neither that it failed nor that it was ready.
func (m *monitor) died() *proto.Failure {
	m.init.kill() // of one that is at its end already, which is why it says nothing, it changes nothing
	<-m.init.ended
	exit := exitOf(m.init.status)
	f := &proto.Failure{Stage: "boot", ExitCode: exit.Code}
	switch {
	case oomKills(m.b.Cgroup.OOM) > 0:
		f.Detail = "killed for lack of memory before the program started: is the memory limit below 6 MiB?"
	case exit.Signal != 0:
		f.Detail = "killed by signal " + unix.SignalName(syscall.Signal(exit.Signal)) + " before the program started"
	default:
		f.ExitCode = 125
		f.Detail = "ended before the program started"
	}
	return f
}
