package monitor

import (
	"errors"
	"io"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/program"
	"github.com/stackrun/stack/runtime/boot"
	"github.com/stackrun/stack/runtime/logs"
	"github.com/stackrun/stack/runtime/proto"
)

// drain bounds how long a stream may go on after the init has ended. It is for a write end that found its way out of the
// container; the container's own processes are dead by then.
const drain = 2 * time.Second

// settleAfter is how old a container gets before its monitor tidies up. A collection takes as long as
// the whole start of a container that lives for milliseconds, and that has no use for it.
const settleAfter = 250 * time.Millisecond

// usualSlack is the kernel's own, in nanoseconds. This program is started with more, for the threads that Go has for itself.
const usualSlack = 50_000

// Main is mode monitor. It returns when the container, or the process of the exec, has ended, or was not started; where the end was as most are,
// when the daemon has no other work.
func Main() int {
	if n, woken := wokenAt(); woken {
		return resume(n)
	}
	prepareProcess()
	var k kept
	for n := 0; ; n++ {
		if code, free := work(n, &k); !free {
			return code
		}
	}
}

// stretch makes the stack as long as a work needs it, while there is none. In the middle of one Go would double it again and again, and look up each time where
// in every frame the pointers are, in pages of the program that nothing else has touched yet.
//
//go:noinline
func stretch() {
	var room [24 << 10]byte
	for i := 0; i < len(room); i += 4096 {
		room[i]++
	}
}

// kept is what a monitor keeps from one work for the next.
type kept struct {
	home  *boot.Home
	kinds int // of namespaces, see boot.KindsAhead, that the container had; 0: there was none
}

// work waits for what is to be done and does it. n works were done before. free: nothing of it is left, but for k, and there can be another.
func work(n int, k *kept) (code int, free bool) {
	// The making of a container, and an exec, change what belongs to a thread (namespaces, root, rights): all of it on this one, which at first is the main
	// thread. Go makes no other thread from one that is locked, which would begin where this one is. It costs a thread, while there is no work yet.
	runtime.LockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, usualSlack, 0, 0, 0) // what is cloned from here has it too
	stretch()
	ahead, err := k.prepare()
	if err != nil {
		return 1, false
	}
	if !awaitReady(proto.FDReport, settleAfter) { // one that waits for longer is small
		ahead.Close() // a network namespace begins with the settings that the host has then
		k.home.Close()
		ahead, k.home = nil, nil
		if n > 0 {
			debug.FreeOSMemory()
		}
		program.Release()
	}
	word, files, err := awaitWork()
	if err == io.EOF {
		return 0, false // the daemon has no work for us any more
	}
	var raw []byte
	if err == nil {
		raw, err = proto.Map(files[0])
		unix.Close(files[0])
	}
	switch {
	case err != nil:
		return refuse(err), false
	case word == proto.WorkExec:
		return runExec(raw, files[1:]), false
	}
	b, err := proto.DecodeMonitor(raw) // what is needed for longer
	if err != nil {
		return refuse(err), false
	}
	if k.home == nil {
		if k.home, err = boot.OpenHome(); err != nil {
			return refuse(err), false
		}
	}
	m := &monitor{n: n, b: b, home: k.home, attached: make(chan struct{})}
	f := m.make(raw, files[1], ahead)
	ahead.Close()
	k.kinds = boot.KindsAhead(b.Spec)
	unix.Close(files[1])
	_ = unix.Munmap(raw) // contents of secrets are in it
	runtime.UnlockOSThread()
	return m.run(f)
}

// refuse reports that the work makes no sense.
func refuse(err error) int {
	reportFailure(&proto.Failure{Stage: "bootstrap", Detail: err.Error(), ExitCode: 125})
	return 1
}

// prepareProcess detaches from whatever started us.
func prepareProcess() {
	_, _ = unix.Setsid() // EPERM: the daemon has done it
	ignoreSignals()
	unix.CloseOnExec(proto.FDReport)
	// What whoever started the daemon has let it inherit is nobody's here. Go's poller has none yet.
	_ = unix.CloseRange(proto.FDReport+1, math.MaxUint32, 0)
}

func ignoreSignals() {
	// A monitor ends when its container does, or its daemon has no other for it, and for no other reason; a host that goes down stops containers by their own
	// signal. What is ignored here boot sets to its default again before execve. Not by os/signal, which
	// starts a thread for it.
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM,
		unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE} {
		ignore(sig)
	}
}

func ignore(sig unix.Signal) {
	act := struct {
		handler, flags, restorer uintptr
		mask                     uint64
	}{handler: 1} // SIG_IGN
	_, _, _ = unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
}

// awaitWork waits for what is to be done, and the files that go with it. io.EOF: the daemon has hung up.
func awaitWork() (word string, files []int, err error) {
	b, files, err := proto.ReceivePacket(proto.FDReport)
	if err != nil {
		return "", nil, err
	}
	word = string(b)
	if want := map[string]int{proto.Work: 2, proto.WorkExec: 4}[word]; want == 0 || len(files) != want {
		return "", nil, errors.New("expected \"" + proto.Work + "\" with two files from the daemon, or \"" + proto.WorkExec + "\" with four")
	}
	return word, files, nil
}

type monitor struct {
	n       int // works of this process before this one
	home    *boot.Home
	b       *proto.Bootstrap
	log     *logs.Writer // nil: nobody wants it
	streams streams
	server  *server

	boot     *boot.Init
	root     int         // of the container, after its execve; the daemon gets it
	child    *childFiles // the init's streams, until it has them
	init     *process
	attached chan struct{} // closed by the first client
	settled  bool          // see settle
	unheard  bool          // the daemon does not listen
	status   proto.Status  // on record; LogError is under streams.mu
}

// run is the life of a container that is made, if f does not say otherwise.
func (m *monitor) run(f *proto.Failure) (code int, free bool) {
	if f = m.start(f); f != nil {
		m.fail(f)
		return 1, false
	}
	m.status = proto.Status{
		MonitorPid: os.Getpid(), MonitorStart: startTime(os.Getpid()), MonitorWork: m.n,
		Pid: m.init.pid, PidStart: startTime(m.init.pid), StartedAt: time.Now().UTC(),
	}
	if err := replaceFile(m.runPath(proto.StatusName), m.status.JSON()); err != nil {
		// A container that nobody can find again is worse than none.
		m.init.kill()
		<-m.init.ended
		unix.Close(m.root)
		m.fail(&proto.Failure{Stage: "status", Path: m.runPath(proto.StatusName), Detail: err.Error(), ExitCode: 125})
		return 1, false
	}
	_ = proto.Send(proto.FDReport, &proto.Report{Type: proto.ReportStarted, Status: &m.status}, m.root)
	unix.Close(m.root)
	m.streams.telling(m)
	young := time.NewTimer(settleAfter)
	defer young.Stop()
	select {
	case <-m.init.ended:
	case <-young.C:
		m.settle()
		m.attend(restAfter)
	}
	return 0, m.finish()
}

// make brings the init up to where it waits.
func (m *monitor) make(raw []byte, empty int, ahead *boot.Ahead) *proto.Failure {
	b, err := proto.DecodeBoot(raw)
	if err != nil {
		return &proto.Failure{Stage: "bootstrap", Detail: err.Error(), ExitCode: 125}
	}
	if l := m.b.Log; l.Path != "" {
		w, err := logs.OpenWriter(l.Path, l.MaxSize, l.MaxFiles)
		if err != nil {
			return &proto.Failure{Stage: "log", Path: l.Path, Detail: err.Error(), ExitCode: 125}
		}
		m.log = w
	}
	if err := m.listen(); err != nil {
		return platform("attach", "listen", m.runPath(proto.SocketName), err)
	}
	if m.b.AwaitAttach {
		_ = proto.Send(proto.FDReport, &proto.Report{Type: proto.ReportListening})
	}
	return m.prepare(b, len(raw), empty, ahead)
}

// start lets the init, and all goroutines, go on. With f there is nothing to start.
func (m *monitor) start(f *proto.Failure) *proto.Failure {
	if m.server != nil && m.server.listener != nil {
		go m.server.accept()
	}
	m.streams.begin()
	defer m.child.close() // or the pumps would wait for it
	if init := m.boot; init != nil {
		defer init.Close()
		defer func() { m.boot = nil }() // it takes memory
	}
	if m.init != nil {
		go m.init.wait()
	}
	switch {
	case f == boot.ErrDied && m.init != nil:
		return m.died()
	case f != nil && m.init != nil:
		return m.end(f)
	case f != nil:
		return f
	}
	if m.boot.Master >= 0 {
		m.streams.addTerminal(m, m.boot.Master)
	}
	if f := m.follow(); f != nil {
		return f
	}
	m.root = m.boot.TakeRoot()
	return nil
}

// settle gives back what only the start, and an earlier container, needed. From here on there is no way back.
func (m *monitor) settle() {
	m.settled = true
	_ = writeFile("/proc/self/comm", proto.SettledName(m.n)) // without it a daemon that finds no status waits for it in vain
	m.home.Close()
	_ = proto.Send(proto.FDReport, &proto.Report{Type: proto.ReportSettled})
	// The last to be killed when memory is short: it is small, and without it the container's exit is not known.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-999"), 0) // without CAP_SYS_RESOURCE it stays as it is
	debug.SetGCPercent(50)
	if m.n > 0 { // a collection needs more memory than one start leaves behind
		debug.FreeOSMemory()
	}
	program.Release()
}

func (m *monitor) fail(f *proto.Failure) {
	m.streams.wait(drain)
	m.streams.endLog(m)
	// The exit file comes first: whoever reads the report may look for it.
	x := proto.Exit{Code: f.ExitCode, FinishedAt: time.Now().UTC(), Error: f.Error()}
	_, _ = m.record(&x)
	reportFailure(f)
	m.remove()
	m.server.close()
}

func reportFailure(f *proto.Failure) {
	_ = proto.Send(proto.FDReport, &proto.Report{Type: proto.ReportFailed, Failure: f})
}

// finish leaves the exit where the next one looks for it, and says whether this process is free.
func (m *monitor) finish() (free bool) {
	exit := exitOf(m.init.status)
	exit.StartedAt, exit.OOM = m.status.StartedAt, oomKills(m.b.Cgroup.OOM) > 0
	if !m.ownPids() {
		killCgroup(m.b.Cgroup)
		reapOrphans(drain)
	}
	m.streams.wait(drain)
	m.streams.endLog(m)
	exit.FinishedAt = time.Now().UTC()
	aside, err := m.record(&exit)
	if err != nil {
		exit.Error = "cannot record the exit: " + err.Error()
	}
	// The daemon removes the cgroups while this process tidies up.
	kept := !aside && err == nil
	_ = proto.Send(proto.FDReport, &proto.Report{Type: proto.ReportExited, Exit: &exit, Kept: kept})
	gone := m.remove()
	m.server.close()
	free = gone && kept && m.free()
	return free && proto.Send(proto.FDReport, &proto.Report{Type: proto.ReportFree}) == nil // a daemon that has not heard of it waits for the end of the process
}

// record puts the exit where it is kept or, when that disk takes nothing, aside, into the run directory.
func (m *monitor) record(x *proto.Exit) (aside bool, err error) {
	err = replaceFile(m.b.ExitPath, x.JSON())
	if err != nil && replaceFile(m.runPath(proto.ExitName), x.JSON()) == nil {
		return true, nil
	}
	return false, err
}

// remove takes away what only a container that runs has, and says whether it is gone.
func (m *monitor) remove() bool {
	gone := true
	for _, name := range []string{proto.StatusName, proto.SocketName} {
		if err := unix.Unlink(m.runPath(name)); err != nil && err != unix.ENOENT {
			gone = false
		}
	}
	return gone
}

func (m *monitor) runPath(name string) string { return m.b.RunDir + "/" + name }

func exitOf(status unix.WaitStatus) proto.Exit {
	if status.Signaled() {
		return proto.Exit{Code: 128 + int(status.Signal()), Signal: int(status.Signal())}
	}
	return proto.Exit{Code: status.ExitStatus()}
}

func platform(stage, call, path string, err error) *proto.Failure {
	f := &proto.Failure{Stage: stage, Syscall: call, Path: path, ExitCode: 125}
	if errno, ok := err.(syscall.Errno); ok {
		f.Errno = errno
	} else {
		f.Detail = err.Error()
	}
	return f
}
