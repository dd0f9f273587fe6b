package runtime

import (
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/runtime/mount"
	"github.com/stackrun/stack/runtime/process"
)

// Status is the state of a container in the words of the OCI runtime-spec, plus paused.
// https://github.com/opencontainers/runtime-spec/blob/v1.3.0/runtime.md#state
type Status string

const (
	Created Status = "created" // recorded, never started: no process
	Running Status = "running"
	Stopped Status = "stopped"
	Paused  Status = "paused"
)

// Config is everything that runtime needs to know of a container. It is written to the state
// root (mode 0600) by Create and read by every later verb, so a daemon that starts
// anew needs nothing else.
type Config struct {
	ID string `json:"id"` // 64 hex digits
	// Spec is the OCI runtime-spec value. Of its Mounts, Root and User:
	//   Spec.Root.Path is ignored (Root below makes the root); Spec.Root.Readonly holds.
	//   Spec.Process.User.Username, when set ("name", "name:group", "1000", "1000:1000"), is resolved by boot
	//   against /etc/passwd and /etc/group of the container and wins over UID and GID;
	//   Groups below likewise.
	//   A namespace of type network with a Path is joined; one of type pid, ipc or uts likewise.
	Spec   *specs.Spec   `json:"spec"`
	Root   []mount.Mount `json:"root"`   // from image: one overlay at "/", or one bind
	Mounts []mount.Mount `json:"mounts"` // from volume, in order of target path
	Groups []string      `json:"groups,omitempty"`

	Init       bool              `json:"init,omitempty"`      // a reaping, signal-forwarding PID 1 of ours before the process
	StdinOpen  bool              `json:"stdinOpen,omitempty"` // keep stdin open with nobody attached; else /dev/null
	Log        LogConfig         `json:"log"`
	StopSignal string            `json:"stopSignal,omitempty"` // "" = SIGTERM
	StopGrace  time.Duration     `json:"stopGrace,omitempty"`  // 0 = 10 s
	Labels     map[string]string `json:"labels"`
	// Facts are what whoever makes the container keeps about it. Unlike Labels and annotations nothing that an image or
	// a user says gets in here, so they may be acted upon.
	Facts     map[string]string `json:"facts,omitempty"`
	CreatedAt time.Time         `json:"createdAt"`
}

// LogConfig says where stdout and stderr go. Path "" = nowhere (logging driver none).
type LogConfig struct {
	Path     string `json:"path,omitempty"`     // <path>, rotated to <path>.1 …
	MaxSize  int64  `json:"maxSize,omitempty"`  // bytes of one file; 0 = no limit, and no rotation
	MaxFiles int    `json:"maxFiles,omitempty"` // 0 = 1: what does not fit is dropped
}

// State is what List sees on the host.
type State struct {
	ID        string
	Status    Status
	Pid       int    // of the container's init in the daemon's pid namespace; 0 unless running
	PidStart  uint64 // field 22 of /proc/pid/stat: with Pid an identity
	Labels    map[string]string
	CreatedAt time.Time
	StartedAt time.Time
	Exit      *process.Exit // of the last run, when stopped
	Config    *Config       // shared: read only

	// Warnings of the last start: what was asked for and could not be applied, one sentence each.
	Warnings []string

	// LogError is why output of a running container is not in its log at present, "" = it is.
	LogError string

	// Problem is what of a running container is not as recorded, one clause with both values ("memory limit is 64 MiB, recorded is
	// 32 MiB"); "" = nothing, or it does not run.
	Problem string
	Lasting bool // Mend cannot put Problem right, a restart does
}

// Process is an exec.
type Process struct {
	Args       []string
	Env        []string // added to the container's environment, later wins
	Cwd        string   // "" = the container's
	User       string   // "" = the container's
	Terminal   bool
	Privileged bool
	Rows, Cols uint16
	Detach     bool
	Timeout    time.Duration // 0 = none; then SIGKILL to the exec's process group
	// Note, unless empty: each line of its output is written to the container's log too, behind these words.
	Note string
	// Started, unless nil, is told the process's id in the daemon's pid namespace when its execve has succeeded.
	Started func(pid int) `json:"-"`
	// Ended, unless nil, is told how a detached process ended. It is called once for each Exec that has returned without an error; not when the daemon
	// ends before.
	Ended func(process.Exit) `json:"-"`
}

// Event says that a container's state changed; the receiver looks again.
type Event struct {
	ID   string
	Kind EventKind
	At   time.Time
	Exit *process.Exit // for Exited

	Detail string // for Log
}

type EventKind string

const (
	EventStarted EventKind = "started"
	EventExited  EventKind = "exited"
	EventOOM     EventKind = "oom"
	// EventLog: output of the container cannot be written to its log, Detail says why; "" = it can again.
	EventLog EventKind = "log"
)
