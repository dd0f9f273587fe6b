// Package proto is what daemon and monitor say to each other: a closed set of messages.
// It is linked into the small init program, so it imports values only.
//
//	daemon ── Bootstrap ──▶ monitor ── clone ──▶ the container's init, or the process of an exec
//	daemon ◀── Report ──── monitor
//
// File descriptors of the program at its start, argv[1] is "monitor":
//
//	0,1,2  /dev/null
//	4      a connected unix SOCK_SEQPACKET to the daemon. The first packet comes in: the word Work, with a file of
//	       Bootstrap.Encode and a mount namespace that is empty (boot.OpenEmpty) as SCM_RIGHTS, or the word WorkExec, with a file of ExecBootstrap.Encode and what become descriptors 0, 1 and 2:
//	       the caller's streams, or /dev/null with a terminal. After Work comes WorkGo, when the cgroups are there. Reports go out. With an exec that has a terminal,
//	       the packet of ReportStarted carries the pty's master as SCM_RIGHTS; a container's carries its root.
//
// So the program starts while the daemon still prepares its work, and does nothing before the daemon has its pid on record. When the
// daemon hangs up before execve has succeeded, nobody has heard of the start: it is undone, and the program ends.
// Afterwards it needs no daemon. One that still has its daemon when its container has ended may say that it is free (ReportFree), and waits
// for the next work, see WorkName.
package proto

import (
	"errors"
	"strconv"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/runtime/mount"
)

// ModeMonitor is argv[1] of the init program: the parent of a container's init, or of an exec's process.
const ModeMonitor = "monitor"

// FDReport is the connection to the daemon, see the package comment.
const FDReport = 4

// What a monitor waits for: the first packet, and after Work another.
const (
	Work     = "work" // a container
	WorkGo   = "go"   // its cgroups are there
	WorkExec = "exec" // a process in a container that runs
)

// Environ is the environment of the program: settings of Go's own runtime, here because set later each of them stops
// and starts the world. One processor is enough for a copier of streams, and makes for fewer threads. Nothing is collected unless there
// is much: most starts allocate less than a collection costs. No huge pages: where they are for all ("always" in
// /sys/kernel/mm/transparent_hugepage/enabled, as Debian has it) the kernel puts together again what was given back, 2 MiB at a time.
func Environ() []string {
	return []string{"GOMAXPROCS=1", "GOGC=off", "GOMEMLIMIT=16MiB", "GODEBUG=disablethp=1"}
}

// Names in the run directory of a container.
const (
	SocketName = "monitor.sock" // unix stream: attach protocol, see Attach
	StatusName = "status.json"  // Status, written by the monitor when the process runs
	ExitName   = "exit.json"    // Exit, where ExitPath cannot be written: that disk may be full
)

// Bootstrap is all that a monitor knows. Paths are the daemon's.
type Bootstrap struct {
	ID     string
	Spec   *specs.Spec
	Root   []mount.Mount
	Mounts []mount.Mount
	// Filesystems are those of Mounts that the monitor mounts, see mount.Mount.Filesystem.
	Filesystems []mount.Mount

	Groups    []string
	Init      bool
	StdinOpen bool
	Log       Log
	// AwaitAttach holds the execve back until a first client has attached on SocketName.
	AwaitAttach bool
	RunDir      string // exists; SocketName and StatusName go here
	ExitPath    string // Exit is written here (temp + rename) before the monitor ends
	Cgroup      Cgroup
	Cramped     bool   // its memory is so little that the init may be killed for it before its execve
	Seccomp     []byte // struct sock_filter[], native byte order; empty = none
}

// Log is a container's log, see package logs.
type Log struct {
	Path     string
	MaxSize  int64
	MaxFiles int
}

// Cgroup holds directories that exist with their limits set, of a container from WorkGo on. The init is in each before anything is done for the container: cloned
// into V2, and by its own step into V1.
type Cgroup struct {
	V2 string   // cgroup2 directory, also on hybrid hosts; "" = none
	V1 []string // one directory per v1 hierarchy
	// OOM is the file that tells whether a process was killed for memory: memory.events (v2)
	// or memory.oom_control (v1, kernel 4.13 for oom_kill). It begins at none, and may be missing where the cgroup has no controller for memory.
	OOM string
}

// ExecBootstrap is all that an exec knows.
type ExecBootstrap struct {
	Pid      int // container's init
	PidStart uint64
	Process  specs.Process
	Groups   []string
	Cgroup   Cgroup
	Seccomp  []byte
	Timeout  time.Duration // 0 = none; then SIGKILL to the process group, exit code 137
}

// Status is what the monitor leaves for whoever adopts the container.
type Status struct {
	MonitorPid   int       `json:"monitorPid"`
	MonitorStart uint64    `json:"monitorStart"`          // field 22 of /proc/pid/stat
	MonitorWork  int       `json:"monitorWork,omitempty"` // how many works it had ended before, see WorkName
	Pid          int       `json:"pid"`
	PidStart     uint64    `json:"pidStart"`
	StartedAt    time.Time `json:"startedAt"`
	LogError     string    `json:"logError,omitempty"` // why output is not written to the log at present
}

// Exit is how the init ended.
type Exit struct {
	Code       int       `json:"code"`
	Signal     int       `json:"signal,omitempty"`
	OOM        bool      `json:"oom,omitempty"`
	StartedAt  time.Time `json:"startedAt,omitzero"` // zero: its program did not begin
	FinishedAt time.Time `json:"finishedAt"`
	Error      string    `json:"error,omitempty"`
	Unseen     bool      `json:"unseen,omitempty"` // nobody saw the end
}

// Report is one step told upwards, one per packet.
type Report struct {
	Type    ReportType
	Status  *Status  // Started
	Failure *Failure // Failed
	Exit    *Exit    // Exited
	Kept    bool     // Exited: Exit is on record where it is kept; without, whoever wants it looks for it when the monitor has ended
	Note    string   // Warning: something that could not be applied and is not fatal
}

type ReportType string

const (
	// ReportListening comes only with AwaitAttach, before Started: SocketName accepts clients.
	ReportListening ReportType = "listening"

	ReportStarted ReportType = "started" // execve succeeded
	ReportFailed  ReportType = "failed"  // it did not; nothing runs
	ReportExited  ReportType = "exited"  // nothing of it runs any more; the monitor ends, or is free
	ReportFree    ReportType = "free"    // after Exited: the monitor has nothing of its container any more, has the name of its next work, and waits for that
	ReportWarning ReportType = "warning"

	// ReportSettled comes when the container is no short one: its monitor ends with it, and has nothing to say until then.
	ReportSettled ReportType = "settled"
)

// Step is what package pid1's program, as a container's init, tells the monitor.
type Step struct {
	Type StepType
	Note string
}

type StepType string

// StepInit says that it could not start the program, see Step.InitFailure. pid1 is written in
// assembler and sends it word by word: this text has the length of one.
const StepInit StepType = "pid1-err"

// Failure is where a start stopped.
type Failure struct {
	Stage   string // "root", "mount", "user", "exec", …
	Syscall string
	Errno   syscall.Errno
	Path    string
	Detail  string
	// ExitCode is what users of docker know: 127 command not found, 126 found and not
	// executable, 125 the platform's own fault.
	ExitCode int
}

func (f *Failure) Error() string {
	s := f.Stage
	if f.Syscall != "" {
		s += ": " + f.Syscall
	}
	if f.Path != "" {
		s += " " + strconv.Quote(f.Path)
	}
	if f.Errno != 0 {
		s += ": " + f.Errno.Error()
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

// The attach protocol on SocketName. The client sends a line, AttachRequest; then both sides send
// frames: 1 byte kind, 3 bytes zero, 4 bytes big-endian length, payload (the header of the Docker Engine API's
// multiplexed stream, with two kinds more). The monitor ends the connection when the process has ended.
type AttachRequest struct {
	Stdin bool // this client feeds stdin; when it half-closes, so does stdin
	// Notes: this client has lines for the log, one a frame, of kind FrameStdout or FrameStderr. It is sent nothing.
	Notes bool
}

const (
	attachOutput = "attach"
	attachBoth   = "attach stdin"
	attachNotes  = "notes"
)

// Line is the request with its newline.
func (r AttachRequest) Line() []byte {
	switch {
	case r.Notes:
		return []byte(attachNotes + "\n")
	case r.Stdin:
		return []byte(attachBoth + "\n")
	}
	return []byte(attachOutput + "\n")
}

// ParseAttachRequest reads a line without its newline.
func ParseAttachRequest(line []byte) (AttachRequest, error) {
	switch string(line) {
	case attachOutput:
		return AttachRequest{}, nil
	case attachBoth:
		return AttachRequest{Stdin: true}, nil
	case attachNotes:
		return AttachRequest{Notes: true}, nil
	}
	return AttachRequest{}, errors.New("expected \"" + attachOutput + "\", \"" + attachBoth + "\" or \"" + attachNotes + "\"")
}

const (
	FrameStdin  = 0
	FrameStdout = 1
	FrameStderr = 2
	FrameResize = 3 // payload: rows, cols as 2 × uint16 big-endian
	FrameEOF    = 4 // client → monitor: stdin ended
)
