// Package inquiry is what a command wants to know that only the engine's code can tell, and for which no daemon is needed: what this host can do, what digest an image
// has in its registry, what Compose files a registry has. The command links none of that code. It runs the daemon's program, which answers
// (inquiry/answer) and ends: a Question on its stdin, as JSON, an Answer on its stdout.
package inquiry

import (
	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/cmd/stack/doctor"
	"github.com/stackrun/stack/internal/roots"
)

// Verb is the word that makes the daemon's program answer.
const Verb = "answer"

// Question has exactly one field set.
type Question struct {
	Host *roots.Roots `json:"host,omitempty"` // what can this host do for containers below these?
	Pins *Pins        `json:"pins,omitempty"`

	Artifact *Artifact `json:"artifact,omitempty"`
}

// Artifact asks for Compose files of a registry, see artifact.Fetch.
type Artifact struct {
	Cache string `json:"cache"`
	Ref   string `json:"ref"`
}

// Pins asks what the registries have for Images, by the registries' part of the daemon's configuration.
type Pins struct {
	Config string   `json:"config"` // file
	Images []string `json:"images"`
}

// Answer has the field of its question set, or Error.
type Answer struct {
	Host  []doctor.Check `json:"host,omitempty"`
	Pins  []Pin          `json:"pins,omitempty"` // in the order of the images
	Root  string         `json:"root,omitempty"` // the directory of an artifact
	Error *api.Error     `json:"error,omitempty"`
}

// Pin is an image with its digest, or why that is not known.
type Pin struct {
	Ref   string `json:"ref,omitempty"`
	Fault string `json:"fault,omitempty"`
	Note  string `json:"note,omitempty"` // what is odd and no fault, such as a mirror that does not answer
}

// Err is Error, or nil.
func (a *Answer) Err() error {
	if a.Error == nil {
		return nil
	}
	return a.Error
}
