// Package proto is what daemon, monitor and boot say to each other: a closed set of messages.
// It is linked into the small init program, so it imports values only.
//
//	daemon ── Bootstrap ──▶ monitor ── clone ──▶ boot
//	daemon ◀── Report ──── monitor ◀── Step ──── boot      EOF after StepExec = execve succeeded
//
// All are modes of one program (argv[1]): "monitor", "boot", "exec", "enter", "init".
// File descriptors of "monitor" and "exec" at their start:
//
//	0,1,2  monitor: /dev/null; exec: the caller's streams, or /dev/null with a terminal
//	3      Bootstrap or ExecBootstrap, JSON, read to EOF
//	4      a connected unix SOCK_SEQPACKET to the daemon: Reports go out, one JSON per packet. With an
//	       exec that has a terminal, the packet of ReportStarted carries the pty's master as SCM_RIGHTS.
//
// File descriptors of "boot" (started by monitor) and "enter" (started by exec) are the same, with Steps on 4,
// and with AwaitAttach one packet in the other direction: Go.
package proto

import (
	"fmt"
	"syscall"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/runtime/mount"
)

// Modes of the init program, argv[1].
const (
	ModeMonitor = "monitor"
	ModeBoot    = "boot"
	ModeExec    = "exec"  // outside: parent of an exec's process
	ModeEnter   = "enter" // inside: becomes the exec's process
	ModeInit    = "init"  // PID 1 of a container with Bootstrap.Init
)

// File descriptors of monitor and exec, see the package comment.
const (
	FDBootstrap = 3
	FDReport    = 4
)

// Names in the run directory of a container.
const (
	SocketName = "monitor.sock" // unix stream: attach protocol, see Attach
	StatusName = "status.json"  // Status, written by the monitor when the process runs
)

// Bootstrap is all that a monitor knows. Paths are the daemon's.
type Bootstrap struct {
	ID        string        `json:"id"`
	Spec      *specs.Spec   `json:"spec"`
	Root      []mount.Mount `json:"root"`
	Mounts    []mount.Mount `json:"mounts"`
	Groups    []string      `json:"groups,omitempty"`
	Init      bool          `json:"init,omitempty"`
	StdinOpen bool          `json:"stdinOpen,omitempty"`
	Log       Log           `json:"log"`
	// AwaitAttach holds the execve back until a first client has attached on SocketName.
	AwaitAttach bool   `json:"awaitAttach,omitempty"`
	RunDir      string `json:"runDir"`   // exists; SocketName and StatusName go here
	ExitPath    string `json:"exitPath"` // Exit is written here (temp + rename) before the monitor ends
	Cgroup      Cgroup `json:"cgroup"`
	Seccomp     []byte `json:"seccomp,omitempty"` // struct sock_filter[], native byte order; empty = none
}

type Log struct {
	Path     string `json:"path,omitempty"`
	MaxSize  int64  `json:"maxSize"`
	MaxFiles int    `json:"maxFiles"`
}

// Cgroup holds directories that exist with their limits set. The monitor puts the init
// into each before it runs anything of the container's.
type Cgroup struct {
	V2 string   `json:"v2,omitempty"` // cgroup2 directory, also on hybrid hosts; "" = none
	V1 []string `json:"v1,omitempty"` // one directory per v1 hierarchy
	// OOM is the file that tells whether a process was killed for memory: memory.events (v2)
	// or memory.oom_control (v1, kernel 4.13 for oom_kill).
	OOM string `json:"oom,omitempty"`
}

// ExecBootstrap is all that an exec knows.
type ExecBootstrap struct {
	Pid      int           `json:"pid"` // container's init
	PidStart uint64        `json:"pidStart"`
	Process  specs.Process `json:"process"`
	Groups   []string      `json:"groups,omitempty"`
	Cgroup   Cgroup        `json:"cgroup"`
	Seccomp  []byte        `json:"seccomp,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"` // 0 = none; then SIGKILL to the process group, exit code 137
}

// Status is what the monitor leaves for whoever adopts the container.
type Status struct {
	MonitorPid   int       `json:"monitorPid"`
	MonitorStart uint64    `json:"monitorStart"` // field 22 of /proc/pid/stat
	Pid          int       `json:"pid"`
	PidStart     uint64    `json:"pidStart"`
	StartedAt    time.Time `json:"startedAt"`
}

// Exit is how the init ended.
type Exit struct {
	Code       int       `json:"code"`
	Signal     int       `json:"signal,omitempty"`
	OOM        bool      `json:"oom,omitempty"`
	FinishedAt time.Time `json:"finishedAt"`
	Error      string    `json:"error,omitempty"`
}

// Report is one step told upwards.
type Report struct {
	Type    ReportType `json:"type"`
	Status  *Status    `json:"status,omitempty"`  // Started
	Failure *Failure   `json:"failure,omitempty"` // Failed
	Exit    *Exit      `json:"exit,omitempty"`    // Exited
	Note    string     `json:"note,omitempty"`    // Warning: something that could not be applied and is not fatal
}

type ReportType string

const (
	// ReportListening comes only with AwaitAttach, before Started: SocketName accepts clients.
	ReportListening ReportType = "listening"

	ReportStarted ReportType = "started" // execve succeeded
	ReportFailed  ReportType = "failed"  // it did not; nothing runs
	ReportExited  ReportType = "exited"
	ReportWarning ReportType = "warning"
)

// Step is what boot tells the monitor, and enter tells exec, one JSON per packet.
type Step struct {
	Type    StepType `json:"type"`
	Failure *Failure `json:"failure,omitempty"`
	Note    string   `json:"note,omitempty"`
}

type StepType string

const (
	StepWarning StepType = "warning" // Note
	StepPTY     StepType = "pty"     // the packet carries the terminal's master as SCM_RIGHTS
	StepReady   StepType = "ready"   // everything is made; with AwaitAttach boot now waits for Go
	StepExec    StepType = "exec"    // the next thing is execve: EOF now means that it succeeded
	StepFailed  StepType = "failed"  // Failure; nothing runs
)

// Go is the packet that lets boot go on after StepReady.
const Go = "go"

// Failure is where a start stopped.
type Failure struct {
	Stage   string        `json:"stage"` // "root", "mount", "user", "exec", …
	Syscall string        `json:"syscall,omitempty"`
	Errno   syscall.Errno `json:"errno,omitempty"`
	Path    string        `json:"path,omitempty"`
	Detail  string        `json:"detail,omitempty"`
	// ExitCode is what users of docker know: 127 command not found, 126 found and not
	// executable, 125 the platform's own fault.
	ExitCode int `json:"exitCode"`
}

func (f *Failure) Error() string {
	s := f.Stage
	if f.Syscall != "" {
		s += ": " + f.Syscall
	}
	if f.Path != "" {
		s += fmt.Sprintf(" %q", f.Path)
	}
	if f.Errno != 0 {
		s += ": " + f.Errno.Error()
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

// The attach protocol on SocketName. The client sends one JSON line, AttachRequest; then both sides send
// frames: 1 byte kind, 3 bytes zero, 4 bytes big-endian length, payload (the header of the Docker Engine API's
// multiplexed stream, with two kinds more). The monitor ends the connection when the process has ended.
type AttachRequest struct {
	Stdin bool `json:"stdin,omitempty"` // this client feeds stdin; when it half-closes, so does stdin
}

const (
	FrameStdin  = 0
	FrameStdout = 1
	FrameStderr = 2
	FrameResize = 3 // payload: rows, cols as 2 × uint16 big-endian
	FrameEOF    = 4 // client → monitor: stdin ended
)
