package monitor

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/boot"
	"github.com/stackrun/stack/runtime/proto"
)

// runExec starts a process in a running container, waits for it, and reports. The process has stdio, or a terminal whose master goes
// to the daemon.
//
// Precondition: the locked main thread, which goes into the container. Nothing here takes another: one thread less costs an exec 0.1 ms less.
func runExec(raw []byte, stdio []int) int {
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
	x := &execution{b: b, self: startTime(os.Getpid()), proc: -1}
	if f := x.start(); f != nil {
		x.abandon()
		reportFailure(f)
		return 1
	}
	x.reportStarted()
	for fd := range stdio {
		unix.Close(fd) // its output is at its end when the process has ended, and not when this one has, whose memory goes first
	}
	exit := x.wait()
	_ = proto.Send(proto.FDReport, &proto.Report{Type: proto.ReportExited, Exit: &exit})
	return 0
}

type execution struct {
	b    *proto.ExecBootstrap
	self uint64 // when this process started

	proc     int // the host's /proc
	entrance *boot.Entrance
	first    int // the clone that ends when it has made the second, which executes the program; 0: none
	pid      int // the second, 0: not known
	pidfd    int // of pid
}

// start brings the process up to its execve.
func (x *execution) start() (f *proto.Failure) {
	container, f := openContainer(x.b.Pid, x.b.PidStart)
	if f != nil {
		return f
	}
	defer unix.Close(container)
	// All that is of the host is opened before its paths are gone.
	var err error
	if x.proc, err = unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return platform("exec", "open", "/proc", err)
	}
	place, f := openPlace(x.b, container)
	defer closePlace(&place)
	if f != nil {
		return f
	}
	refusals := openRefusals(x.b.Cgroup)
	defer refusals.close()
	score, f := takeScore(x.b.Process.OOMScoreAdj)
	if f != nil {
		return f
	}
	defer score.restore()
	entrance, notes, err := boot.PrepareExec(x.b, place)
	tell(notes)
	if err != nil {
		return boot.AsFailure(err)
	}
	x.entrance = entrance
	if ready(proto.FDReport, unix.POLLRDHUP) {
		return boot.ErrUnheard
	}
	if x.first, err = entrance.Start(); err == nil {
		f = x.follow()
	} else {
		f = boot.AsFailure(err)
	}
	if f != nil && f.ExitCode == 125 && refusals.more() {
		f = crowded(f)
	}
	return f
}

// openPlace opens what the container is known by. The pid of its init was its own if the pidfd container says so afterwards.
func openPlace(b *proto.ExecBootstrap, container int) (place boot.Place, f *proto.Failure) {
	place = boot.Place{Init: container, Pids: -1, Group: -1}
	path := "/proc/" + strconv.Itoa(b.Pid) + "/ns/pid"
	var err error
	if place.Pids, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return place, platform("exec", "open", path, err)
	}
	if err = unix.PidfdSendSignal(container, 0, nil, 0); err != nil {
		return place, platform("exec", "pidfd_send_signal", "", err)
	}
	if dir := b.Cgroup.V2; dir != "" {
		if place.Group, err = unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return place, platform("cgroup", "open", dir, err)
		}
	}
	for _, dir := range b.Cgroup.V1 {
		path := dir + "/tasks"
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return place, platform("cgroup", "open", path, err)
		}
		place.Tasks = append(place.Tasks, fd)
	}
	return place, nil
}

func closePlace(place *boot.Place) {
	for _, fd := range append([]int{place.Pids, place.Group}, place.Tasks...) {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
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

// follow listens to the clones until the program executes. The daemon may hang up: nobody would know of the process. But one that is there is
// not ended for it, for its program may have begun, and to undo that would be to have it run twice.
func (x *execution) follow() *proto.Failure {
	defer x.entrance.Close()
	var failed error
	for {
		if x.pid == 0 && !boot.Await(x.entrance.Words()) {
			return boot.ErrUnheard
		}
		word := x.entrance.Next()
		tell(word.Notes)
		switch {
		case word.Over && failed != nil:
			return boot.AsFailure(failed)
		case word.Over && x.pid == 0:
			return x.died()
		case word.Over:
			x.reapFirst()
			return nil
		case word.Failed != nil:
			failed = word.Failed
		case x.pid == 0:
			if f := x.found(word.Forked); f != nil {
				return f
			}
		}
	}
}

// found takes pid for the process that executes the program. The container's processes can have had a hand in what it says: only a child of
// ours is taken.
func (x *execution) found(pid int) *proto.Failure {
	err := error(unix.ECHILD)
	if pid > 1 && pid != x.first { // WNOWAIT: whether there is such a child
		err = unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	}
	if err != nil {
		return platform("exec", "waitid", strconv.Itoa(pid), err)
	}
	if x.pidfd, err = unix.PidfdOpen(pid, 0); err != nil {
		return platform("exec", "pidfd_open", "", err)
	}
	x.pid = pid
	return nil
}

// reapFirst takes the status of the first clone, which has ended or is about to.
func (x *execution) reapFirst() unix.WaitStatus {
	status := reap(x.first)
	x.first = 0
	return status
}

func (x *execution) died() *proto.Failure {
	exit := exitOf(x.reapFirst())
	f := &proto.Failure{Stage: "exec", ExitCode: 125, Detail: "ended before the program started"}
	if exit.Signal != 0 {
		f.ExitCode = exit.Code
		f.Detail = "killed by signal " + unix.SignalName(syscall.Signal(exit.Signal)) + " before the program started"
	}
	return f
}

// abandon ends and reaps all of a start that is not to be: a child that nobody reaps, under a PID 1 that does not do so, would keep the
// container's pid namespace from ending. The second clone is our child before the first can tell of it (CLONE_PARENT), so whoever
// is our child is meant; with the first dead no more of them come.
func (x *execution) abandon() {
	if x.first > 0 {
		_ = unix.Kill(x.first, unix.SIGKILL) // not reaped: its own
		x.reapFirst()
	}
	if x.proc >= 0 {
		b, _ := readAt(x.proc, strconv.Itoa(os.Getpid())+"/task/"+strconv.Itoa(unix.Gettid())+"/children")
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

// crowded is f, the failure of an exec that the pids limit was in the way of.
func crowded(f *proto.Failure) *proto.Failure {
	return &proto.Failure{Stage: f.Stage, Syscall: f.Syscall, Errno: unix.EAGAIN, ExitCode: 126,
		Detail: "the container has as many processes and threads as its pids_limit allows, or nearly: an exec takes two for a moment"}
}

func tell(notes []string) {
	for _, note := range notes {
		_ = proto.Send(proto.FDReport, &proto.Report{Type: proto.ReportWarning, Note: note})
	}
}

// score is this process's own for the OOM killer, while it has another's.
type score struct {
	file   int // -1: it has its own
	before []byte
}

// takeScore gives this process the container's score for the OOM killer, which what it forks inherits, until restore. Written to the
// child instead it could come too late: that has forked again by then, and its own child keeps the score that it was born with.
func takeScore(adj *int) (score, *proto.Failure) {
	const path = "/proc/self/oom_score_adj"
	if adj == nil {
		return score{file: -1}, nil
	}
	before, err := readAt(unix.AT_FDCWD, path)
	if err != nil {
		return score{file: -1}, platform("oom", "read", path, err)
	}
	file, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return score{file: -1}, platform("oom", "open", path, err)
	}
	// EACCES: less than what the daemon has takes CAP_SYS_RESOURCE. The container has not got it either, and its start has said so.
	if _, err := unix.Pwrite(file, []byte(strconv.Itoa(*adj)), 0); err != nil && err != unix.EACCES {
		unix.Close(file)
		return score{file: -1}, platform("oom", "write", path, err)
	}
	return score{file, before}, nil
}

func (s score) restore() {
	if s.file >= 0 {
		_, _ = unix.Pwrite(s.file, s.before, 0)
		unix.Close(s.file)
	}
}

func (x *execution) reportStarted() {
	stat, _ := readAt(x.proc, strconv.Itoa(x.pid)+"/stat")
	status := proto.Status{
		MonitorPid: os.Getpid(), MonitorStart: x.self,
		Pid: x.pid, PidStart: parseStartTime(stat), StartedAt: time.Now().UTC(),
	}
	report := &proto.Report{Type: proto.ReportStarted, Status: &status}
	master := x.entrance.Master
	if master < 0 {
		_ = proto.Send(proto.FDReport, report)
		return
	}
	_ = proto.Send(proto.FDReport, report, master)
	unix.Close(master) // from here on the terminal hangs up when the daemon lets go of it
}

// wait returns the end of the process, which the timeout may bring about.
func (x *execution) wait() proto.Exit {
	timeout := time.Duration(-1)
	if x.b.Timeout > 0 {
		timeout = x.b.Timeout
	}
	if !awaitReady(x.pidfd, timeout) {
		// Its group, which it leads: a probe's pipeline goes with its shell. It is not reaped yet, so the
		// number is its own.
		_ = unix.Kill(-x.pid, unix.SIGKILL)
		_ = unix.PidfdSendSignal(x.pidfd, unix.SIGKILL, nil, 0)
	}
	exit := exitOf(reap(x.pid))
	exit.FinishedAt = time.Now().UTC()
	return exit
}
