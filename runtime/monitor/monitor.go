package monitor

import (
	"encoding/json"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/logs"
	"github.com/stackrun/stack/runtime/proto"
)

// drain bounds how long a stream may go on after the init has ended. It is for a write end that found its way out of the
// container; the container's own processes are dead by then.
const drain = 2 * time.Second

// settleAfter is how old a container gets before its monitor tidies up. A collection takes as long as
// the whole start of a container that lives for milliseconds, and that has no use for it.
const settleAfter = 250 * time.Millisecond

// Main is mode monitor. It returns when the container has ended, or was not started.
func Main() int {
	prepareProcess()
	raw, err := readBootstrap()
	var b bootstrap
	if err == nil {
		err = json.Unmarshal(raw, &b)
	}
	if err != nil {
		reportFailure(&proto.Failure{Stage: "bootstrap", Detail: err.Error(), ExitCode: 125})
		return 1
	}
	m := &monitor{b: &b, attached: make(chan struct{})}
	return m.run(raw)
}

// prepareProcess detaches from whatever started us, and keeps small.
func prepareProcess() {
	_, _ = unix.Setsid() // EPERM: the daemon has done it
	// Caught and dropped, not ignored: an ignored signal would be ignored in the container too. A monitor ends when its
	// container does and for no other reason; a host that goes down stops containers by their own signal.
	signal.Notify(make(chan os.Signal, 1), unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGTERM,
		unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE)
	if runtime.GOMAXPROCS(0) > 2 {
		runtime.GOMAXPROCS(2)
	}
	// Until settle nothing is collected, but for a container that writes much at once.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(16 << 20)
	unix.CloseOnExec(proto.FDReport)
}

func readBootstrap() ([]byte, error) {
	f := os.NewFile(proto.FDBootstrap, "bootstrap")
	defer f.Close()
	return io.ReadAll(f)
}

// bootstrap is proto.Bootstrap as far as the monitor itself reads it. The rest is for boot, and what is
// not decoded costs neither time nor memory, which a monitor holds for as long as its container runs.
type bootstrap struct {
	proto.Bootstrap
	// These stand before the fields of the same name above (encoding/json: the least nested wins).
	Spec struct {
		Process struct {
			Terminal bool `json:"terminal"`
		} `json:"process"`
		Linux struct {
			Namespaces []specs.LinuxNamespace `json:"namespaces"`
		} `json:"linux"`
	} `json:"spec"`
	Root    skipped `json:"root"`
	Mounts  skipped `json:"mounts"`
	Seccomp skipped `json:"seccomp"`
}

type skipped struct{}

func (skipped) UnmarshalJSON([]byte) error { return nil }

type monitor struct {
	b       *bootstrap
	log     *logs.Writer // nil: nobody wants it
	streams streams
	server  *server

	init     *process
	attached chan struct{} // closed by the first client
	oom      int           // count of OOM kills at the start
	steps    int           // what boot tells
}

func (m *monitor) run(raw []byte) int {
	f := m.start(raw)
	clear(raw) // contents of secrets are in it
	if f != nil {
		m.fail(f)
		return 1
	}
	status := proto.Status{
		MonitorPid: os.Getpid(), MonitorStart: startTime(os.Getpid()),
		Pid: m.init.pid, PidStart: startTime(m.init.pid), StartedAt: time.Now().UTC(),
	}
	if err := writeJSON(m.runPath(proto.StatusName), &status); err != nil {
		// A container that nobody can find again is worse than none.
		m.init.kill()
		<-m.init.ended
		m.fail(&proto.Failure{Stage: "status", Path: m.runPath(proto.StatusName), Detail: err.Error(), ExitCode: 125})
		return 1
	}
	_ = proto.Send(proto.FDReport, proto.Report{Type: proto.ReportStarted, Status: &status})
	select {
	case <-m.init.ended:
	case <-time.After(settleAfter):
		m.settle()
		<-m.init.ended
	}
	m.finish()
	return 0
}

// start brings the init up to its execve.
func (m *monitor) start(raw []byte) *proto.Failure {
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
	m.oom = oomKills(m.b.Cgroup.OOM)
	if f := m.clone(raw); f != nil {
		return f
	}
	if m.b.AwaitAttach {
		_ = proto.Send(proto.FDReport, proto.Report{Type: proto.ReportListening})
	}
	return m.follow()
}

// settle gives back what only the start needed.
func (m *monitor) settle() {
	// The last to be killed when memory is short: it is small, and without it the container's exit is not known.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-999"), 0) // without CAP_SYS_RESOURCE it stays as it is
	debug.SetGCPercent(50)
	debug.FreeOSMemory()
}

func (m *monitor) fail(f *proto.Failure) {
	m.streams.wait(drain)
	if m.log != nil {
		m.log.Close()
	}
	// The exit file comes first: whoever reads the report may look for it.
	_ = writeJSON(m.b.ExitPath, &proto.Exit{Code: f.ExitCode, FinishedAt: time.Now().UTC(), Error: f.Error()})
	reportFailure(f)
	m.remove()
	m.server.close()
}

func reportFailure(f *proto.Failure) {
	_ = proto.Send(proto.FDReport, proto.Report{Type: proto.ReportFailed, Failure: f})
}

// finish leaves the exit where the next one looks for it.
func (m *monitor) finish() {
	exit := exitOf(m.init.status)
	exit.OOM = oomKills(m.b.Cgroup.OOM) > m.oom
	if !m.ownPids() {
		killCgroup(m.b.Cgroup)
		reapOrphans(drain)
	}
	m.streams.wait(drain)
	if m.log != nil {
		m.log.Close()
	}
	exit.FinishedAt = time.Now().UTC()
	if err := writeJSON(m.b.ExitPath, &exit); err != nil {
		exit.Error = "cannot record the exit: " + err.Error()
	}
	_ = proto.Send(proto.FDReport, proto.Report{Type: proto.ReportExited, Exit: &exit})
	m.remove()
	m.server.close()
}

func (m *monitor) remove() {
	_ = os.Remove(m.runPath(proto.StatusName))
	_ = os.Remove(m.runPath(proto.SocketName))
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
