package monitor

import (
	"runtime"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/boot"
	"github.com/stackrun/stack/runtime/proto"
)

// process is a child as its parent sees it: the container's init, or the process of an exec.
type process struct {
	pid    int
	pidfd  int
	ended  chan struct{} // closed when it has ended: an init is reaped then, and status set
	status unix.WaitStatus

	namespaced bool // it is PID 1 of a pid namespace of its own
}

// kill is safe at any time, also when the pid is somebody else's by now.
func (p *process) kill() { _ = unix.PidfdSendSignal(p.pidfd, unix.SIGKILL, nil, 0) }

// watch waits for the end in the poller, which takes no thread, and leaves the process to be reaped: its pid stays its own.
func (p *process) watch() {
	defer close(p.ended)
	conn, err := pollable(p.pidfd, "pidfd").SyscallConn()
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
		watched := &process{pidfd: p.pidfd, ended: make(chan struct{})}
		watched.watch()
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

var cloneFlags = map[specs.LinuxNamespaceType]uintptr{
	specs.MountNamespace:   unix.CLONE_NEWNS,
	specs.UTSNamespace:     unix.CLONE_NEWUTS,
	specs.IPCNamespace:     unix.CLONE_NEWIPC,
	specs.PIDNamespace:     unix.CLONE_NEWPID,
	specs.NetworkNamespace: unix.CLONE_NEWNET,
}

func (m *monitor) namespaces() (flags uintptr, joinPid string) {
	flags = unix.CLONE_NEWNS // boot mounts: never in ours
	for _, ns := range m.b.Spec.Linux.Namespaces {
		switch {
		case ns.Path == "":
			flags |= cloneFlags[ns.Type] // the cgroup namespace is boot's to make
		case ns.Type == specs.PIDNamespace:
			joinPid = ns.Path
		}
	}
	return flags, joinPid
}

// ownPids says whether the kernel kills all of the container's processes with its init (pid_namespaces(7)).
func (m *monitor) ownPids() bool { return m.init.namespaced }

// clone starts boot in its namespaces and gives it file, the Bootstrap.
func (m *monitor) clone(file int) *proto.Failure {
	files, f := m.openStreams()
	if f != nil {
		return f
	}
	defer files.close()
	filesystems, f := boot.OpenFilesystems(m.b.Filesystems)
	if f != nil {
		return f
	}
	defer func() {
		for _, fd := range filesystems {
			unix.Close(fd)
		}
	}()
	steps, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return platform("clone", "socketpair", "", err)
	}
	m.steps = steps[0]
	flags, joinPid := m.namespaces()
	pidfd := -1
	sys := &syscall.SysProcAttr{Cloneflags: flags, PidFD: &pidfd}
	if dir := m.b.Cgroup.V2; dir != "" && !m.b.Cgroup.Crowded {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return platform("cgroup", "open", dir, err)
		}
		defer unix.Close(fd)
		sys.UseCgroupFD, sys.CgroupFD = true, fd
	}
	own := flags&unix.CLONE_NEWPID != 0
	if !own {
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	pid, err := fork(joinPid, &syscall.ProcAttr{
		Env:   proto.Environ(),
		Files: inherited(append([]int{files.child[0], files.child[1], files.child[2], file, steps[1]}, filesystems...)),
		Sys:   sys,
	})
	unix.Close(steps[1])
	if err != nil {
		return platform("clone", "clone3", joinPid, err)
	}
	m.init = &process{pid: pid, pidfd: pidfd, ended: make(chan struct{}), namespaced: own}
	go m.init.wait()
	return nil
}

func inherited(fds []int) []uintptr {
	files := make([]uintptr, len(fds))
	for i, fd := range fds {
		files[i] = uintptr(fd)
	}
	return files
}

// fork starts this program again as boot.
func fork(joinPid string, attr *syscall.ProcAttr) (pid int, err error) {
	const self = "/proc/self/exe" // the sealed memory file
	argv := []string{"stack-init", proto.ModeBoot}
	if joinPid == "" {
		return syscall.ForkExec(self, argv, attr)
	}
	// setns of a pid namespace applies to children (setns(2)): a thread is spent on it.
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		var fd int
		if fd, err = unix.Open(joinPid, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
			return
		}
		err = unix.Setns(fd, unix.CLONE_NEWPID)
		unix.Close(fd)
		if err == nil {
			pid, err = syscall.ForkExec(self, argv, attr)
		}
	}()
	<-done
	return pid, err
}

// follow listens to boot until its execve.
func (m *monitor) follow() *proto.Failure {
	defer unix.Close(m.steps)
	return followSteps(m.steps, m.init, stepActions{
		terminal: func(master int) { m.streams.addTerminal(m, master) },
		ready:    m.await,
		died:     m.died,
	})
}

// await holds boot back until a client has attached.
func (m *monitor) await() *proto.Failure {
	gone := make(chan struct{})
	go func() {
		// The client comes through the daemon. One that dies before will not come back.
		waitHangup(proto.FDReport)
		close(gone)
	}()
	select {
	case <-m.attached:
	case <-m.init.ended:
		return nil // follow finds out how
	case <-gone:
		m.init.kill()
		return &proto.Failure{Stage: "attach", Detail: "the daemon ended before anybody attached", ExitCode: 125}
	}
	_ = proto.SendPacket(m.steps, []byte(proto.Go))
	return nil
}

// died explains a boot that said neither that it failed nor that it was ready.
func (m *monitor) died() *proto.Failure {
	<-m.init.ended
	exit := exitOf(m.init.status)
	f := &proto.Failure{Stage: "boot", ExitCode: exit.Code}
	switch {
	case oomKills(m.b.Cgroup.OOM) > m.oom:
		f.Detail = "killed for lack of memory before the program started: is the memory limit below 6 MiB?"
	case exit.Signal != 0:
		f.Detail = "killed by signal " + unix.SignalName(syscall.Signal(exit.Signal)) + " before the program started"
	default:
		f.ExitCode = 125
		f.Detail = "ended before the program started"
	}
	return f
}
