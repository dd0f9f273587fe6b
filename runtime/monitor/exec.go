package monitor

import (
	"encoding/json"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// ExecMain is mode exec: it starts a process in a running container, waits for it, and reports. The process has the
// streams that this one was started with, or a terminal whose master goes to the daemon.
func ExecMain() int {
	prepareProcess()
	raw, err := readBootstrap()
	var b proto.ExecBootstrap
	if err == nil {
		err = json.Unmarshal(raw, &b)
	}
	if err != nil {
		reportFailure(&proto.Failure{Stage: "bootstrap", Detail: err.Error(), ExitCode: 125})
		return 1
	}
	x := &execution{b: &b, master: -1}
	if f := x.start(raw); f != nil {
		reportFailure(f)
		return 1
	}
	x.reportStarted()
	clear(raw)
	exit := x.wait()
	_ = proto.Send(proto.FDReport, proto.Report{Type: proto.ReportExited, Exit: &exit})
	return 0
}

type execution struct {
	b      *proto.ExecBootstrap
	p      *process
	master int // of its terminal
}

func (x *execution) start(raw []byte) *proto.Failure {
	container, f := openContainer(x.b.Pid, x.b.PidStart)
	if f != nil {
		return f
	}
	defer unix.Close(container)
	bootstrap, err := highPipe()
	if err != nil {
		return platform("exec", "pipe2", "", err)
	}
	steps, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		steps[1], err = high(steps[1])
	}
	if err != nil {
		return platform("exec", "socketpair", "", err)
	}
	defer unix.Close(steps[0])
	pid, f := enterContainer(container, x.b.Cgroup, bootstrap[0], steps[1])
	unix.Close(bootstrap[0])
	unix.Close(steps[1])
	if f != nil {
		return f
	}
	x.p = &process{pid: pid, pidfd: -1, ended: make(chan struct{})}
	if x.p.pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
		_ = unix.Kill(pid, unix.SIGKILL) // our child, not reaped: the pid is its own
		return platform("exec", "pidfd_open", "", err)
	}
	go x.p.watch()
	if f := x.place(); f != nil {
		x.p.kill()
		return f
	}
	w := os.NewFile(uintptr(bootstrap[1]), "bootstrap")
	_, _ = w.Write(raw) // EPIPE: what it said, or how it ended, says more
	w.Close()
	return followSteps(steps[0], x.p, stepActions{
		terminal: func(master int) { x.master = master },
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

// place gives the process the container's score before it does anything.
func (x *execution) place() *proto.Failure {
	if adj := x.b.Process.OOMScoreAdj; adj != nil {
		path := "/proc/" + strconv.Itoa(x.p.pid) + "/oom_score_adj"
		if err := writeFile(path, strconv.Itoa(*adj)); err != nil {
			return platform("oom", "write", path, err)
		}
	}
	return nil
}

func (x *execution) reportStarted() {
	status := proto.Status{
		MonitorPid: os.Getpid(), MonitorStart: startTime(os.Getpid()),
		Pid: x.p.pid, PidStart: startTime(x.p.pid), StartedAt: time.Now().UTC(),
	}
	report := proto.Report{Type: proto.ReportStarted, Status: &status}
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

// watch closes ended when the process has ended, and leaves it to be reaped: its pid stays its own.
func (p *process) watch() {
	for {
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			close(p.ended)
			return
		}
	}
}

func (p *process) reap() unix.WaitStatus {
	for {
		var status unix.WaitStatus
		if _, err := unix.Wait4(p.pid, &status, 0, nil); err != unix.EINTR {
			return status
		}
	}
}
