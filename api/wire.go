package api

import (
	"fmt"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
	"github.com/stackrun/stack/spec/diag"
)

// VersionHeader names the sender's version in every request and answer.
const VersionHeader = "Stack-Version"

// StateRootHeader names the state root that a client means, escaped as in a URL. Without it any will do.
const StateRootHeader = "Stack-State-Root"

// ReplaceHeader says, with any value, that the client would rather start a daemon of its own version than be refused by one of another. One that makes
// way for it hangs up without an answer.
const ReplaceHeader = "Stack-Replace"

// StreamType is the Content-Type of a stream of Messages.
const StreamType = "application/x-ndjson"

// MaxBody bounds a JSON body, bytes. A project carries the content of its configs and secrets.
const MaxBody = 64 << 20

// Version is who answers.
type Version struct {
	Version string `json:"version"`
	Pid     int    `json:"pid"`
	// AutoStarted: a command started this daemon, and it leaves when idle.
	AutoStarted bool   `json:"autoStarted"`
	StateRoot   string `json:"stateRoot"`
	RunRoot     string `json:"runRoot"`
}

// UpRequest is the body of up, plan and save.
type UpRequest struct {
	Project *spec.Project `json:"project"`
	Options ask.UpOptions `json:"options"`
}

// ContainersOptions say what of containers is told.
type ContainersOptions struct {
	NoLabels bool `json:"noLabels,omitempty"` // they are most of the answer, and of the time to write and to read it
}

// DumpRequest is the body of dump.
type DumpRequest struct {
	Project *spec.Project `json:"project,omitempty"` // nil = as it was last brought up
}

// PullRequest is the body of pull. Policy is "", missing or ask.PullOffline, see Engine.Pull.
type PullRequest struct {
	Project  *spec.Project `json:"project"`
	Services []string      `json:"services,omitempty"`
	Policy   string        `json:"policy,omitempty"`
}

// PushRequest is the body of push.
type PushRequest struct {
	Project *spec.Project   `json:"project"`
	Options ask.PushOptions `json:"options"`
}

// BuildRequest is the body of build.
type BuildRequest struct {
	Project *spec.Project    `json:"project"`
	Options ask.BuildOptions `json:"options"`
}

// CloneRequest is the body of clone-volume.
type CloneRequest struct {
	Project *spec.Project    `json:"project"`
	Options ask.CloneOptions `json:"options"`
}

// RunRequest is the body of run.
type RunRequest struct {
	Project *spec.Project  `json:"project"`
	Options ask.RunOptions `json:"options"`
}

// Message is one line of a stream, or the payload of one FrameMessage. Exactly one field is set.
type Message struct {
	Event *event.Event `json:"event,omitempty"`
	Done  *Result      `json:"done,omitempty"`
	Error *Error       `json:"error,omitempty"`
}

// Result is what a request that succeeded came to.
type Result struct {
	Exit   *process.Exit `json:"exit,omitempty"`   // run, exec
	Images []Image       `json:"images,omitempty"` // load, commit
}

// Image is an image that was loaded or made. Not the package image's own: its hashes cannot travel when one is not known.
type Image struct {
	ID   string   `json:"id"`
	Refs []string `json:"refs,omitempty"`
}

// Error is a fault as it travels. It unwraps to its kind and its diagnostics.
type Error struct {
	Message     string             `json:"message"`
	Kind        Kind               `json:"kind,omitempty"`
	Diagnostics []*diag.Diagnostic `json:"diagnostics,omitempty"`
}

func (e *Error) Error() string { return e.Message }

// VersionMessage tells the user of a client of version theirs what to do about the daemon ours.
func VersionMessage(ours Version, theirs string) string {
	if theirs == "" {
		theirs = "unknown"
	}
	return fmt.Sprintf("cannot talk to the stack daemon: it is version %s (pid %d), this command is version %s\n"+
		"end it with `kill %d` (under systemd: `systemctl restart stack`) and run the command again; containers run on meanwhile",
		ours.Version, ours.Pid, theirs, ours.Pid)
}

// StateRootMessage tells the user of a command that means the state root theirs what to do about the daemon ours.
func StateRootMessage(ours Version, theirs string) string {
	return fmt.Sprintf("cannot use the state root %s: the stack daemon on %s holds %s\n"+
		"give another --run-root, too, or end that daemon with `kill %d`; containers run on meanwhile",
		theirs, roots.Roots{Run: ours.RunRoot}.Socket(), ours.StateRoot, ours.Pid)
}
