package runtime

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

// identity names one process for good: pids are used again, a pid with its start time is not.
type identity struct {
	Pid   int    `json:"pid"`
	Start uint64 `json:"start"` // field 22 of /proc/pid/stat, clock ticks since boot
}

// errGone is that the process has ended.
var errGone = errors.New("the process has ended")

// serving names the monitor of one run. Its process may be another container's by now (proto.WorkName): then it is gone too.
type serving struct {
	identity
	Work int `json:"work,omitempty"` // how many works the process had ended before
}

// monitorOf is the monitor that wrote s.
func monitorOf(s *proto.Status) serving {
	return serving{identity{s.MonitorPid, s.MonitorStart}, s.MonitorWork}
}

// next is the same process at its next work.
func (p serving) next() serving {
	p.Work++
	return p
}

func (p serving) open() (*os.File, error) {
	return p.openIf(func(st stat) bool { return st.work == p.Work })
}

func (p serving) alive() bool {
	return p.aliveIf(func(st stat) bool { return st.work == p.Work })
}

func anyWork(stat) bool { return true }

// open returns a pidfd of the process, non-blocking, for poll and pidfd_send_signal. errGone when it has ended; a zombie
// that nobody has reaped counts as ended.
func (p identity) open() (*os.File, error) { return p.openIf(anyWork) }

func (p identity) openIf(is func(stat) bool) (*os.File, error) {
	if p.Pid <= 0 {
		return nil, errGone
	}
	fd, err := unix.PidfdOpen(p.Pid, unix.PIDFD_NONBLOCK)
	if err == unix.EINVAL { // before Linux 5.10
		if fd, err = unix.PidfdOpen(p.Pid, 0); err == nil {
			err = unix.SetNonblock(fd, true)
		}
	}
	if err == unix.ESRCH {
		return nil, errGone
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
		return nil, errGone
	}
	return os.NewFile(uintptr(fd), "pidfd:"+strconv.Itoa(p.Pid)), nil
}

// alive says whether the process runs.
func (p identity) alive() bool { return p.aliveIf(anyWork) }

func (p identity) aliveIf(is func(stat) bool) bool {
	if p.Pid <= 0 {
		return false
	}
	st, err := readStat(p.Pid)
	return err == nil && st.start == p.Start && !st.ended() && is(st)
}

// identify reads the start time of a process that cannot end meanwhile (a child that is not reaped).
func identify(pid int) (identity, error) {
	st, err := readStat(pid)
	if err != nil {
		return identity{}, fmt.Errorf("cannot read the start time of process %d: %w", pid, err)
	}
	return identity{pid, st.start}, nil
}

// stat is what proc_pid_stat(5) says of a process.
type stat struct {
	work  int // what its name says, if it is a monitor
	state byte
	start uint64
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
		st.work = proto.WorkOf(b[begin+1 : end])
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

// awaitEnd returns nil when the process of pidfd has ended, or the error of a file that was closed. It
// waits in the runtime's poller, no thread is held.
func awaitEnd(pidfd *os.File) error {
	c, err := pidfd.SyscallConn()
	if err != nil {
		return err
	}
	return c.Read(func(fd uintptr) bool { return ended(int(fd)) })
}

// reap takes the status of the process of pidfd if it has ended and is a child of ours; by pidfd, so that it can be no other.
func reap(pidfd int) {
	for unix.Waitid(unix.P_PIDFD, pidfd, nil, unix.WEXITED|unix.WNOHANG, nil) == unix.EINTR {
	}
}

// reapEnding is reap for a process that is a zombie: its first thread has ended, but others may be about to, and until then there is no status to be taken. It waits for
// those of a child of ours.
func reapEnding(pidfd int) {
	_ = unix.SetNonblock(pidfd, false) // waitid(2): of one that is not blocking it does not wait
	for unix.Waitid(unix.P_PIDFD, pidfd, nil, unix.WEXITED, nil) == unix.EINTR {
	}
}

// reapFile is reap for an open pidfd.
func reapFile(pidfd *os.File) {
	if c, err := pidfd.SyscallConn(); err == nil {
		c.Control(func(fd uintptr) { reap(int(fd)) })
	}
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

// signal sends sig by pidfd. A process that has ended = success.
func signal(pidfd *os.File, sig unix.Signal) error {
	c, err := pidfd.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	if err := c.Control(func(fd uintptr) { serr = unix.PidfdSendSignal(int(fd), sig, nil, 0) }); err != nil {
		return err
	}
	if serr == unix.ESRCH {
		return nil
	}
	return serr
}

// send is signal for a process by its identity. Ended = success.
func (p identity) send(sig unix.Signal) error {
	f, err := p.open()
	if errors.Is(err, errGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return signal(f, sig)
}
