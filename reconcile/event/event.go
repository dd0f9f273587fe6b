// Package event is what the loop tells front ends: one Event per state change of one resource.
package event

import "time"

// Event tells a front end what happens, one per state change of one resource.
type Event struct {
	Time     time.Time `json:"time"`
	Project  string    `json:"project"`
	Kind     string    `json:"kind"`         // image network volume container
	Name     string    `json:"name"`         // as users know it: shop-web-1, shop_default, postgres:15
	ID       string    `json:"id,omitempty"` // of a container that is there
	Service  string    `json:"service,omitempty"`
	Phase    Phase     `json:"phase"`
	Text     string    `json:"text"`              // Creating, Created, Pulling, Waiting, Healthy, Exited, …
	Detail   string    `json:"detail,omitempty"`  // why, when there is more to say
	Current  int64     `json:"current,omitempty"` // bytes, of a pull
	Total    int64     `json:"total,omitempty"`
	Output   []byte    `json:"output,omitempty"`   // of a step of a build, which Detail names
	Exit     *int      `json:"exit,omitempty"`     // Text Exited
	Signal   string    `json:"signal,omitempty"`   // Text Stopping, Killing or Killed: its name, "" = one of those that have none
	ByPolicy bool      `json:"byPolicy,omitempty"` // Text Restarted: nobody has asked for it
	Awaited  bool      `json:"awaited,omitempty"`  // somebody has waited for it: it says what there is, and not that it has come about
}

// Announces says whether e tells why a container is about to be made anew or restarted. Nothing has happened to it yet.
func (e *Event) Announces() bool {
	return e.Kind == "container" && e.Phase == Working && (e.Text == "Recreate" || e.Text == "Restart")
}

// Phase of an Event.
type Phase string

const (
	Working Phase = "working"
	Done    Phase = "done"
	Warning Phase = "warning"
	Failed  Phase = "failed"
)

// Sink receives events; it must not block for long and is safe for concurrent use.
type Sink func(Event)
