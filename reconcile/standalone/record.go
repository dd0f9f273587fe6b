// Package standalone is the record of a container that belongs to no file: what a client of the Docker Engine API
// asked for when it made the container, and since then. See docs/adr/0068-containers-without-a-file.md. Record is a
// plain value; Book keeps records in the store.
package standalone

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/stackrun/stack/reconcile/plan"
)

// version of the record. It is raised when the meaning of a field changes, never when one is added.
const version = 1

// Record is the wish for one container.
type Record struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"` // without docker's slash
	CreatedAt time.Time         `json:"createdAt"`
	Spec      plan.Spec         `json:"spec"`
	ImageID   string            `json:"imageID"`             // that it was made from, whatever the name in Spec means by now
	Anonymous map[string]string `json:"anonymous,omitempty"` // target → volume
	Traits    Traits            `json:"traits"`

	// Making: it was not made yet when this was written. Only Anonymous is right then: what those who find it take away.
	Making bool `json:"making,omitempty"`
	// Stopped is the boot of the host in which a user has stopped it, "" = nobody has since its last start.
	Stopped string `json:"stopped,omitempty"`
	// Last: what it was stopped with is a signal that it may do with as it likes. One that runs all the same is left alone.
	Last bool `json:"last,omitempty"`
	// Owed: it was stopped to be started again.
	Owed bool `json:"owed,omitempty"`
	// Ending is when the run was started that is ended for that, zero = none was.
	Ending time.Time `json:"ending,omitzero"`
	// Removing: it is being removed.
	Removing *Removal `json:"removing,omitempty"`
}

// Removal says what goes with a container.
type Removal struct {
	Volumes bool `json:"volumes,omitempty"` // its anonymous volumes
}

// Traits are what the Docker Engine API has of a container and the language of files has not.
type Traits struct {
	Labels     map[string]string `json:"labels,omitempty"` // as clients see them: the image's, and those given
	AutoRemove bool              `json:"autoRemove,omitempty"`
	StdinOnce  bool              `json:"stdinOnce,omitempty"` // its stdin ends with the first client that has attached to it

	// What has no effect and is shown as it was given.
	AttachStdin  bool     `json:"attachStdin,omitempty"`
	AttachStdout bool     `json:"attachStdout,omitempty"`
	AttachStderr bool     `json:"attachStderr,omitempty"`
	NetworkMode  string   `json:"networkMode,omitempty"` // in the client's words; "bridge" for "default" and nothing
	Binds        []string `json:"binds,omitempty"`
	IDFile       string   `json:"idFile,omitempty"`
	PublishAll   bool     `json:"publishAll,omitempty"` // Spec has the ports that came of it
}

type onDisk struct {
	Version int     `json:"standalone"`
	Record  *Record `json:"record"`
}

// Encode writes r.
func (r *Record) Encode() ([]byte, error) { return json.Marshal(onDisk{version, r}) }

// Decode reads a record.
func Decode(raw []byte) (*Record, error) {
	var d onDisk
	err := json.Unmarshal(raw, &d)
	switch {
	case d.Version != version && d.Version != 0:
		return nil, fmt.Errorf("it was written by another program: its version is %d, this one knows %d", d.Version, version)
	case err != nil:
		return nil, err
	case d.Version == 0 || d.Record == nil || d.Record.ID == "" || d.Record.Name == "":
		return nil, fmt.Errorf("it is no record of a container")
	}
	return d.Record, nil
}

// Debt is the start that a container with Owed is owed. One that is there without the run that it was ended for, an old program has written down.
func (r *Record) Debt() plan.Debt { return plan.Debt{Run: r.Ending, Unknown: r.Ending.IsZero()} }

// Clone is r for somebody who changes it. What is replaced and never changed is shared.
func (r *Record) Clone() *Record {
	mine := *r
	return &mine
}

// End is how the last run of a container ended, as far as a restart after a boot asks.
type End struct {
	Code int
}

// AfterBoot says whether a container that does not run is started by its policy when a daemon looks at it for the first time in the boot now; end is nil
// for one that was never started. It is dockerd's rule for its own start, but that one stopped by a user with on-failure stays down: see
// docs/adr/0068-containers-without-a-file.md.
func (r *Record) AfterBoot(now string, end *End) bool {
	if end == nil || r.Stopped == now { // never started, or stopped since
		return false
	}
	switch r.Spec.Restart.Name {
	case "always":
		return true
	case "unless-stopped":
		return r.Stopped == ""
	case "on-failure":
		return r.Stopped == "" && end.Code != 0
	}
	return false
}
