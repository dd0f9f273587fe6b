package reconcile

import (
	"time"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime"
)

// UpOptions are the flags of up that the loop must know.
type UpOptions struct {
	Services      []string // empty = all
	ForceRecreate bool
	NoRecreate    bool
	NoDeps        bool
	NoStart       bool
	RemoveOrphans bool
	IgnoreOrphans bool // do not warn of them
	AlwaysDeps    bool // always-recreate-deps
	RenewAnon     bool // renew-anon-volumes
	Scale         map[string]int
	Pull          string         // "", always, missing, never, build
	Build         bool           // images that are made here are made again
	BuildOnly     []string       // without Build: those of these services are
	NoBuild       bool           // none is made
	Prune         bool           // with Build: images that have lost their names by it are removed
	Timeout       *time.Duration // of stops; nil = each container's own grace
	Wait          bool           // wait for running|healthy of everything
	WaitTimeout   time.Duration
	Parallel      int    // steps that work at one time; 0 = the engine's own bound, -1 = none
	Command       string // as typed, for the history
}

// DownOptions. Project is what the file says, if there is one: the loop works from labels.
type DownOptions struct {
	Services      []string
	Volumes       bool
	RemoveOrphans bool
	RemoveImages  string // "", local, all
	Timeout       *time.Duration
	Provided      bool // the caller sees to the programs that provide services
}

// ServiceOptions are shared by stop, start, restart, kill and rm.
type ServiceOptions struct {
	Services      []string
	Timeout       *time.Duration
	Signal        string // kill
	NoDeps        bool   // restart
	Stop          bool   // rm
	Volumes       bool   // rm: anonymous volumes too
	RemoveOrphans bool   // kill
	Wait          bool   // start
	WaitTimeout   time.Duration
	Command       string // start, stop, restart: as typed, for the history
}

// RunOptions is one `run`.
type RunOptions struct {
	Service      string
	Name         string // "" = <project>-<service>-run-<12 hex>
	Args         []string
	Entrypoint   *[]string
	Env          []string
	Labels       map[string]string
	User, Cwd    string
	TTY          bool
	Interactive  bool
	Detach       bool
	Remove       bool
	NoDeps       bool
	ServicePorts bool
	Publish      []string
	Volumes      []string
	CapAdd       []string
	CapDrop      []string
	UseAliases   bool
	Pull         string
	Build        bool
	Parallel     int // as in UpOptions
	Rows, Cols   uint16

	RemoveOrphans bool
	Command       string // as typed, for the history
}

// ExecOptions is one `exec`.
type ExecOptions struct {
	Service    string
	Index      int // 0 = the lowest replica that runs
	Args       []string
	Env        []string
	User, Cwd  string
	TTY        bool
	Privileged bool
	Detach     bool
	Rows, Cols uint16
}

// CopyInOptions is a tar stream that goes into the containers of a service: one direction of `cp`, and what a watch copies.
type CopyInOptions struct {
	Service string
	Index   int    // 0 = all replicas
	OneOffs bool   // those of run too
	Path    string // in the containers, from their root
	// Copy, Parents and Archive are runtime.CopyIn's. Without Copy the entries of the stream go into the directory Path.
	Copy    bool
	Parents bool
	Archive bool
}

// CopyOutOptions is what of a container is read as a tar stream: the other direction of `cp`.
type CopyOutOptions struct {
	Service string
	Index   int // 0 = the first
	OneOffs bool
	Path    string
	Follow  bool // a link that Path ends with
}

// ExportOptions is one `export`.
type ExportOptions struct {
	Service string
	Index   int // 0 = the first
}

// PushOptions is one `push`.
type PushOptions struct {
	Services       []string // empty = all
	Deps           bool     // what Services depend on, too
	IgnoreFailures bool     // what cannot be pushed is told, and the rest is pushed
	Tags           bool     // the further names that their builds give, too
}

// CommitOptions is one `commit`.
type CommitOptions struct {
	Service string
	Index   int      // 0 = the first
	Ref     string   // the image's name; "" = none
	Author  string   // who has made it
	Comment string   // what it is
	Changes []string // instructions of a Dockerfile that change its configuration
	NoPause bool     // the container goes on meanwhile
}

// LogOptions is one `logs`.
type LogOptions struct {
	Services []string
	Index    int
	Follow   bool
	Linger   bool // with Follow: do not end when nothing runs yet, only when something has run and ended
	Tail     int  // -1 = all
	Since    time.Time
	Until    time.Time
}

// LogEntry is one line of one container's output, without its newline. Line is valid until the function that is given the entry returns.
type LogEntry struct {
	Container string    `json:"container"` // shop-web-1
	Service   string    `json:"service"`
	Replica   int       `json:"replica,omitempty"`
	Time      time.Time `json:"time"`
	Stream    string    `json:"stream"`            // stdout stderr
	Line      []byte    `json:"line"`              // bytes as written
	Partial   bool      `json:"partial,omitempty"` // the program has not ended the line (F/P tag of the CRI format)
	Notice    bool      `json:"notice,omitempty"`  // no output, but a sentence about the log: what of it is missing, and why
}

// Container is one row of ps, and what exec, logs and wait look up.
type Container struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Project   string            `json:"project"`
	Service   string            `json:"service"`
	Replica   int               `json:"replica"`
	OneOff    bool              `json:"oneOff,omitempty"`
	Image     string            `json:"image"`
	Command   []string          `json:"command"`
	State     string            `json:"state"`               // created running restarting exited paused
	Health    string            `json:"health"`              // "", starting, healthy, unhealthy
	HealthLog []ProbeResult     `json:"healthLog,omitempty"` // the last five probes, oldest first
	Exit      *runtime.Exit     `json:"exit,omitempty"`
	Pid       int               `json:"pid,omitempty"`
	CreatedAt time.Time         `json:"createdAt"`
	StartedAt time.Time         `json:"startedAt"`
	Ports     []Publisher       `json:"ports"`
	Networks  map[string]string `json:"networks"` // name → address
	Mounts    []string          `json:"mounts"`
	Labels    map[string]string `json:"labels"`
	Restarts  int               `json:"restarts"`
	Orphan    bool              `json:"orphan,omitempty"`
	LogError  string            `json:"logError,omitempty"` // why output is not logged at present
	TTY       bool              `json:"tty,omitempty"`
	StdinOpen bool              `json:"stdinOpen,omitempty"`
}

// ProbeResult is one run of a health check.
type ProbeResult struct {
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"`
	ExitCode int       `json:"exitCode"` // -1: it could not be run
	Output   string    `json:"output"`
}

// Publisher is one published port, in the words of compose's ps --format json.
type Publisher struct {
	URL           string
	TargetPort    int
	PublishedPort int
	Protocol      string
}

// ProjectSummary is one row of ls.
type ProjectSummary struct {
	Name   string         `json:"name"`
	Files  []string       `json:"files"`  // as given to the last up; may be empty
	States map[string]int `json:"states"` // how many containers are in each state: running → 3
}

// Event, Phase and Sink are package event's, under the names that front ends use.
type (
	Event = event.Event
	Phase = event.Phase
	Sink  = event.Sink
)

const (
	Working = event.Working
	Done    = event.Done
	Warning = event.Warning
	Failed  = event.Failed
)

// FilesOptions names files of one container of a service, as somebody else has them.
type FilesOptions struct {
	Service string
	Index   int // which replica; 0 = the first
	Files   []FileFacts
}

// FileFacts is a file that a container should have, or should not have; FileDifference says whether it has.
type (
	FileFacts      = runtime.FileFacts
	FileDifference = runtime.FileDifference
)
