package monitor

import (
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/dormant"
	"github.com/stackrun/stack/runtime/logs"
	"github.com/stackrun/stack/runtime/proto"
)

// wokenAt says whether this process has rested, and at which work it is.
func wokenAt() (work int, woken bool) {
	if os.Getenv(dormant.Path) == "" {
		return 0, false
	}
	return proto.WorkOf([]byte(os.Getenv(dormant.Name))), true
}

// resume goes on with what the process did before it rested.
func resume(work int) int {
	// Until here a SIGTERM or SIGQUIT ends the process, and the container with it, as at the start of every program in Go: its runtime takes them though they are ignored, and lets
	// them through though they are blocked (runtime, sigInstallGoHandler, blockableSig). All others were blocked, and on the other threads, Go's own, they still are.
	ignoreSignals()
	_ = unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil)
	_ = writeFile("/proc/self/comm", proto.SettledName(work))
	state, err := readRest(proto.DormantFD(work))
	for _, fd := range []int{dormant.Events, proto.DormantFD(work), proto.ProgramFD(work)} {
		unix.Close(fd)
	}
	unix.CloseOnExec(proto.FDReport)
	if err != nil { // the file is sealed: this is another build's, or a fault of ours
		return 1
	}
	debug.SetGCPercent(50)
	m := wake(state)
	quiet := restAfter
	if rested := time.Since(state.Begun); rested < longestQuiet {
		quiet = min(2*state.Quiet, longestQuiet)
	}
	m.attend(quiet)
	m.finish()
	return 0
}

// readRest reads what is behind the dormant program in the file fd.
func readRest(fd int) (*proto.Rest, error) {
	begin := len(dormant.Program())
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	b := make([]byte, max(int(st.Size)-begin, 0))
	n, err := unix.Pread(fd, b, int64(begin))
	if err != nil {
		return nil, err
	}
	return proto.DecodeRest(b[:n])
}

// wake is the monitor whose handover r is, with all of its goroutines.
func wake(r *proto.Rest) *monitor {
	for _, fd := range files(r) {
		unix.CloseOnExec(*fd)
	}
	m := &monitor{n: r.Work, b: r.B, status: r.Status, settled: true, unheard: true, attached: make(chan struct{})}
	if r.Log.File >= 0 {
		m.log = logs.Resume(r.B.Log.Path, r.B.Log.MaxSize, r.B.Log.MaxFiles, logs.Handover(r.Log))
	}
	m.server = &server{m: m, clients: map[*client]struct{}{}}
	m.server.take(r.Listener)
	m.init = &process{pid: r.Status.Pid, pidfd: r.Init, ended: make(chan struct{}), namespaced: true}

	s := &m.streams
	s.tell = true
	if r.Input >= 0 {
		s.input, s.inputFD = pollable(r.Input, "stdin"), r.Input
	}
	if r.Master >= 0 {
		o := outletOf(1, r.Master)
		s.master, s.input, s.inputFD = o.file, o.file, o.fd
		s.start(m, o)
	}
	for i, fd := range r.Output {
		if fd >= 0 {
			s.start(m, outletOf(i+1, fd))
		}
	}
	go m.server.accept()
	s.begin()
	go m.init.wait()
	return m
}
