package monitor

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// runExec starts a process in a running container, waits for it, and reports. The process has stdio, or a terminal whose master goes
// to the daemon.
func runExec(file int, raw []byte, stdio []int) int {
	b, err := proto.DecodeExec(raw)
	for fd, from := range stdio {
		if err == nil {
			err = unix.Dup3(from, fd, 0)
		}
		unix.Close(from)
	}
	if err != nil {
		return refuse(err)
	}
	x := &execution{b: b, master: -1}
	refused := refusedProcesses(b.Cgroup)
	if f := x.start(file); f != nil {
		if x.p != nil {
			x.abandon()
		}
		if f.ExitCode == 125 && refusedProcesses(b.Cgroup) > refused {
			f = crowded(f)
		}
		reportFailure(f)
		return 1
	}
	x.reportStarted()
	exit := x.wait()
	_ = proto.Send(proto.FDReport, &proto.Report{Type: proto.ReportExited, Exit: &exit})
	return 0
}

// crowded is f, the failure of an exec that the pids limit was in the way of: of its clones, or of the threads of enter, which ends of that without
// a word.
func crowded(f *proto.Failure) *proto.Failure {
	return &proto.Failure{Stage: f.Stage, Syscall: f.Syscall, Errno: unix.EAGAIN, ExitCode: 126,
		Detail: "the container has as many processes and threads as its pids_limit allows, or nearly: an exec takes five for a moment"}
}

// abandon ends and reaps all of a start that is not to be: a child that nobody reaps, under a PID 1 that does not do so, would keep the
// container's pid namespace from ending. Enter's clone is our child before enter can tell of it (CLONE_PARENT), so until then
// whoever is our child is meant; with enter dead no more of them come.
func (x *execution) abandon() {
	x.p.kill()
	<-x.p.ended
	if x.followed {
		x.p.reap()
		return
	}
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		b, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		for _, pid := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(pid); err == nil {
				_ = unix.Kill(n, unix.SIGKILL) // not reaped: its own, or nobody's
			}
		}
	}
	for {
		if _, err := unix.Wait4(-1, nil, 0, nil); err != nil && err != unix.EINTR {
			return // ECHILD
		}
	}
}

type execution struct {
	b      *proto.ExecBootstrap
	p      *process
	master int // of its terminal

	followed bool // p is the clone that executes the program, and no more enter
}

// start brings the process up to its execve. file is the Bootstrap.
func (x *execution) start(file int) *proto.Failure {
	container, f := openContainer(x.b.Pid, x.b.PidStart)
	if f != nil {
		return f
	}
	defer unix.Close(container)
	bootstrap, err := high(file)
	if err != nil {
		return platform("exec", "fcntl", "", err)
	}
	defer unix.Close(bootstrap)
	steps, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		steps[1], err = high(steps[1])
	}
	if err != nil {
		return platform("exec", "socketpair", "", err)
	}
	defer unix.Close(steps[0])
	pids, f := openPids(x.b.Pid, container)
	if f != nil {
		return f
	}
	defer unix.Close(pids)
	restore, f := takeScore(x.b.Process.OOMScoreAdj)
	if f != nil {
		unix.Close(steps[1])
		return f
	}
	pid, f := enterContainer(container, x.b.Cgroup, enterFiles{bootstrap, steps[1], pids})
	restore()
	unix.Close(steps[1])
	if f != nil {
		return f
	}
	p := &process{pid: pid, ended: make(chan struct{})}
	if p.pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
		_ = unix.Kill(pid, unix.SIGKILL) // our child, not reaped: the pid is its own
		p.reap()
		return platform("exec", "pidfd_open", "", err)
	}
	x.p = p
	go x.p.watch()
	return followSteps(steps[0], x.p, stepActions{
		terminal: func(master int) { x.master = master },
		forked:   x.follow,
		died:     x.died,
	})
}

// openContainer opens the container's init and makes sure that it is the one that was meant: with the
// pidfd open the pid cannot become another process's while its start time is read.
func openContainer(pid int, start uint64) (int, *proto.Failure) {
	gone := &proto.Failure{Stage: "exec", ExitCode: 125, Errno: unix.ESRCH, Detail: "the container does not run any more"}
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return -1, gone
	}
	if err != nil {
		return -1, platform("exec", "pidfd_open", "", err)
	}
	if startTime(pid) != start {
		unix.Close(fd)
		return -1, gone
	}
	return fd, nil
}

// openPids opens the pid namespace of the container's init, whose pidfd says afterwards that the pid was its own.
func openPids(pid, container int) (int, *proto.Failure) {
	path := "/proc/" + strconv.Itoa(pid) + "/ns/pid"
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, platform("exec", "open", path, err)
	}
	if fd, err = high(fd); err == nil {
		if err = unix.PidfdSendSignal(container, 0, nil, 0); err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return -1, platform("exec", "pidfd_send_signal", "", err)
	}
	return fd, nil
}

// follow goes on to the child that enter has made in its own place, with us as its parent. The container's processes can have
// had a hand in what it says: only a child of ours is taken.
func (x *execution) follow(note string) (*process, *proto.Failure) {
	pid, err := strconv.Atoi(note)
	if err == nil && (pid <= 1 || pid == x.p.pid) {
		err = unix.ECHILD
	}
	if err == nil { // WNOWAIT: whether there is such a child
		err = unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	}
	if err != nil {
		return nil, platform("exec", "waitid", note, err)
	}
	p := &process{pid: pid, ended: make(chan struct{})}
	if p.pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
		return nil, platform("exec", "pidfd_open", "", err)
	}
	go p.watch()
	enter := x.p
	go func() { // it ends with the child's execve
		<-enter.ended
		enter.reap()
	}()
	x.p, x.followed = p, true
	return p, nil
}

// takeScore gives this process the container's score for the OOM killer, which what it forks inherits, until restore. Written to the
// child instead it could come too late: that has forked again by then, and its own child keeps the score that it was born with.
func takeScore(adj *int) (restore func(), f *proto.Failure) {
	const path = "/proc/self/oom_score_adj"
	if adj == nil {
		return func() {}, nil
	}
	before, err := os.ReadFile(path)
	if err != nil {
		return nil, platform("oom", "read", path, err)
	}
	// EACCES: less than what the daemon has takes CAP_SYS_RESOURCE. The container has not got it either, and its start has said so.
	if err := writeFile(path, strconv.Itoa(*adj)); err != nil && err != unix.EACCES {
		return nil, platform("oom", "write", path, err)
	}
	return func() { _ = writeFile(path, strings.TrimSpace(string(before))) }, nil
}

func (x *execution) reportStarted() {
	status := proto.Status{
		MonitorPid: os.Getpid(), MonitorStart: startTime(os.Getpid()),
		Pid: x.p.pid, PidStart: startTime(x.p.pid), StartedAt: time.Now().UTC(),
	}
	report := &proto.Report{Type: proto.ReportStarted, Status: &status}
	if x.master < 0 {
		_ = proto.Send(proto.FDReport, report)
		return
	}
	_ = proto.Send(proto.FDReport, report, x.master)
	unix.Close(x.master) // from here on the terminal hangs up when the daemon lets go of it
}

// wait returns the end of the process, which the timeout may bring about.
func (x *execution) wait() proto.Exit {
	var timeout <-chan time.Time
	if x.b.Timeout > 0 {
		timer := time.NewTimer(x.b.Timeout)
		defer timer.Stop()
		timeout = timer.C
	}
	select {
	case <-x.p.ended:
	case <-timeout:
		// Its group, which it leads: a probe's pipeline goes with its shell. It is not reaped yet, so the
		// number is its own.
		_ = unix.Kill(-x.p.pid, unix.SIGKILL)
		x.p.kill()
		<-x.p.ended
	}
	exit := exitOf(x.p.reap())
	exit.FinishedAt = time.Now().UTC()
	return exit
}

func (x *execution) died() *proto.Failure {
	<-x.p.ended
	exit := exitOf(x.p.reap())
	f := &proto.Failure{Stage: "exec", ExitCode: 125, Detail: "ended before the program started"}
	if exit.Signal != 0 {
		f.ExitCode = exit.Code
		f.Detail = "killed by signal " + unix.SignalName(syscall.Signal(exit.Signal)) + " before the program started"
	}
	return f
}
