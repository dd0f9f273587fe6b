// Package identity names processes for good, and acts on them by that name: pids are used again, a pid with its start time is not.
//
// Touches /proc and, by pidfds, the processes that it is given: it signals them, and reaps those that are children of this process.
package identity

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/kernelfile"
	"github.com/stackrun/stack/runtime/proto"
)

// Process names one process for good, in the pid namespace of who asks.
type Process struct {
	Pid   int    `json:"pid"`
	Start uint64 `json:"start"` // field 22 of /proc/pid/stat, clock ticks since boot
}

// ErrGone is that the process has ended.
var ErrGone = errors.New("the process has ended")

// Monitor names the monitor of one run. Its process may be another container's by now (proto.WorkName): then it is gone too.
type Monitor struct {
	Process
	Work int `json:"work,omitempty"` // how many works the process had ended before
}

// MonitorOf is the monitor that wrote s.
func MonitorOf(s *proto.Status) Monitor {
	return Monitor{Process{s.MonitorPid, s.MonitorStart}, s.MonitorWork}
}

// InitOf is the init of the container that s tells of.
func InitOf(s *proto.Status) Process { return Process{s.Pid, s.PidStart} }

// Next is the same process at its next work.
func (p Monitor) Next() Monitor {
	p.Work++
	return p
}

// Open is Process.Open of a monitor that is still at this work: else ErrGone.
func (p Monitor) Open() (*os.File, error) {
	return p.openIf(func(st stat) bool { return st.work == p.Work })
}

// Alive says whether the process runs and is still at this work.
func (p Monitor) Alive() bool {
	return p.aliveIf(func(st stat) bool { return st.work == p.Work })
}

// Settled says whether the process is at this work, and has put its status down for good.
func (p Monitor) Settled() bool {
	return p.aliveIf(func(st stat) bool { return st.work == p.Work && st.settled })
}

func anyWork(stat) bool { return true }

// Open returns a pidfd of the process, non-blocking, for poll and pidfd_send_signal, which the caller closes. ErrGone when it has ended; a zombie
// that nobody has reaped counts as ended, and is reaped if it is a child of this process.
func (p Process) Open() (*os.File, error) { return p.openIf(anyWork) }

func (p Process) openIf(is func(stat) bool) (*os.File, error) {
	if p.Pid <= 0 {
		return nil, ErrGone
	}
	fd, err := unix.PidfdOpen(p.Pid, unix.PIDFD_NONBLOCK)
	if err == unix.EINVAL { // before Linux 5.10
		if fd, err = unix.PidfdOpen(p.Pid, 0); err == nil {
			err = unix.SetNonblock(fd, true)
		}
	}
	if err == unix.ESRCH {
		return nil, ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("cannot watch process %d: pidfd_open: %w", p.Pid, err)
	}
	// The pidfd first: it holds the process that has the pid now. If that has the right start time, it is ours.
	st, err := readStat(p.Pid)
	if err != nil || st.start != p.Start || st.ended() || !is(st) {
		if err == nil && st.start == p.Start && st.ended() {
			reapEnding(fd) // a child that an earlier Driver of this process let go of
		}
		unix.Close(fd)
		return nil, ErrGone
	}
	return os.NewFile(uintptr(fd), "pidfd:"+strconv.Itoa(p.Pid)), nil
}

// Alive says whether the process runs. One that cannot be looked at does not.
func (p Process) Alive() bool { return p.aliveIf(anyWork) }

func (p Process) aliveIf(is func(stat) bool) bool {
	if p.Pid <= 0 {
		return false
	}
	st, err := readStat(p.Pid)
	return err == nil && st.start == p.Start && !st.ended() && is(st)
}

// Of reads the start time of process pid.
//
// Precondition: it cannot end meanwhile, being a child that is not reaped.
func Of(pid int) (Process, error) {
	st, err := readStat(pid)
	if err != nil {
		return Process{}, fmt.Errorf("cannot read the start time of process %d: %w", pid, err)
	}
	return Process{pid, st.start}, nil
}

// stat is what proc_pid_stat(5) says of a process.
type stat struct {
	work    int // what its name says, if it is a monitor
	settled bool
	state   byte
	start   uint64
}

func (s stat) ended() bool { return s.state == 'Z' || s.state == 'X' }

// readStat reads fields 2, 3 and 22. The command name, field 2, may hold anything.
func readStat(pid int) (st stat, err error) {
	var room [1024]byte // it has 52 numbers
	b, err := kernelfile.Read("/proc/"+strconv.Itoa(pid)+"/stat", room[:])
	if err != nil {
		return stat{}, err
	}
	begin, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if begin >= 0 && begin < end {
		st.work, st.settled = proto.WorkOf(b[begin+1:end]), proto.IsSettled(b[begin+1:end])
		field := 2
		for f := range bytes.FieldsSeq(b[end+1:]) {
			if field++; field == 3 {
				st.state = f[0]
			}
			if field == 22 {
				st.start, err = strconv.ParseUint(string(f), 10, 64)
				return st, err
			}
		}
	}
	return stat{}, fmt.Errorf("unexpected /proc/%d/stat: %q", pid, b)
}

// AwaitEnd returns nil when the process of pidfd has ended, or the error of a file that was closed. It
// waits in the runtime's poller, no thread is held.
func AwaitEnd(pidfd *os.File) error {
	c, err := pidfd.SyscallConn()
	if err != nil {
		return err
	}
	return c.Read(func(fd uintptr) bool { return ended(int(fd)) })
}

// reapFD takes the status of the process of pidfd if it has ended and is a child of ours; by pidfd, so that it can be no other.
func reapFD(pidfd int) {
	for unix.Waitid(unix.P_PIDFD, pidfd, nil, unix.WEXITED|unix.WNOHANG, nil) == unix.EINTR {
	}
}

// reapEnding is reapFD for a process that is a zombie: its first thread has ended, but others may be about to, and until then there is no status to be taken. It waits for
// those of a child of ours.
func reapEnding(pidfd int) {
	_ = unix.SetNonblock(pidfd, false) // waitid(2): of one that is not blocking it does not wait
	for unix.Waitid(unix.P_PIDFD, pidfd, nil, unix.WEXITED, nil) == unix.EINTR {
	}
}

// Reap takes the status of the process of pidfd if it has ended and is a child of this process.
func Reap(pidfd *os.File) {
	if c, err := pidfd.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { reapFD(int(fd)) })
	}
}

// Ended says whether the process of pidfd, an open one, has ended. Of one that is closed nothing is known: then it has.
func Ended(pidfd *os.File) bool {
	over := true
	if c, err := pidfd.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { over = ended(int(fd)) })
	}
	return over
}

// ended says whether the process of pidfd has ended: then it is readable, pidfd_open(2).
func ended(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, 0)
		if err != unix.EINTR {
			return n == 1
		}
	}
}
