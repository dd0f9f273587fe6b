package ask

import (
	"time"

	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime/archive"
)

// AttachOptions is one `attach`.
type AttachOptions struct {
	Service    string
	Index      int  // 0 = the lowest replica that runs
	Stdin      bool // the caller has input for it, if it keeps its stdin open
	Rows, Cols uint16
}

// BuildOptions of Build.
type BuildOptions struct {
	Services []string          // empty = all that have a build
	Deps     bool              // what Services depend on, too
	Pull     bool              // the images that they start from are pulled again
	NoCache  bool              // every step is done anew
	Offline  bool              // as in UpOptions; Pull is nothing then
	Args     map[string]string // over those of the file
}

// PullOffline is the policy of a pull that asks nobody: images that are not here are faults.
const PullOffline = "offline"

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
	Offline       bool           // nothing is fetched: images and what builds start from are taken as they are here, and what is not here is a fault
	Prune         bool           // with Build: images that have lost their names by it are removed
	Timeout       *time.Duration // of stops; nil = each container's own grace
	Wait          bool           // wait for running|healthy of everything
	WaitTimeout   time.Duration
	Parallel      int    // steps that work at one time; 0 = the engine's own bound, -1 = none
	Command       string // as typed, for the history
	// Ports is PortsAuto, PortsOfFile or "": the file's host ports, and where others were chosen for them before, those.
	Ports string
	// Chosen are the host ports that a plan has chosen, by service: they and no others. nil = there is no such plan.
	Chosen map[string][]plan.Port
}

// Values of UpOptions.Ports.
const (
	PortsAuto   = "auto" // where somebody else has a port of the file, a free one is published in its place
	PortsOfFile = "file" // those of the file, whatever was chosen before
)

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
	Known         bool   // Services are of a file, so that one without a container is none that was mistyped
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
	Offline      bool // as in UpOptions
	Parallel     int  // as in UpOptions
	Rows, Cols   uint16

	RemoveOrphans bool
	Command       string // as typed, for the history
	Ports         string // as in UpOptions, for what the service needs
}

// ExecOptions is one `exec`.
type ExecOptions struct {
	Service    string
	Index      int    // 0 = the lowest replica that runs
	Container  string // id of the one that is meant; "" = by Index. While a container is made anew there are two of one index
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
	Service   string
	Index     int    // 0 = all replicas
	Container string // as of ExecOptions
	OneOffs   bool   // those of run too
	Path      string // in the containers, from their root
	// Copy, Parents and Archive are runtime.CopyIn's. Without Copy the entries of the stream go into the directory Path.
	Copy    bool
	Parents bool
	Archive bool
	// Compressed: the stream may be compressed with gzip or zstd.
	Compressed bool
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

// FilesOptions names files of one container of a service, as somebody else has them.
type FilesOptions struct {
	Service   string
	Index     int    // which replica; 0 = the first
	Container string // as of ExecOptions
	Files     []archive.Facts
}

// ApplyOptions are what apply adds to a saved plan.
type ApplyOptions struct {
	Project     string // whose plan the user takes it for, "" = nobody has said: that of another is refused
	Command     string // as typed, for the history
	Wait        bool
	WaitTimeout time.Duration
	Parallel    int  // as in UpOptions
	Offline     bool // as in UpOptions, also of a plan that was made without it
}
