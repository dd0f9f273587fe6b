package container

import (
	"time"

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
	Stopping  bool          // it runs, and a Stop has sent it its signal, of this daemon or of one before

	// Warnings of the last start: what was asked for and could not be applied, one sentence each.
	Warnings []string

	// LogError is why output of a running container is not in its log at present, "" = it is.
	LogError string

	// Problem is what of a running container is not as recorded, one clause with both values ("memory limit is 64 MiB, recorded is
	// 32 MiB"); "" = nothing, or it does not run.
	Problem string
	Lasting bool // Mend cannot put Problem right, a restart does
}
