// Package roster is the list of the containers that are supervised: how users know each of them, also for a moment
// after its removal, and what must be remembered of it while it runs. It is in memory only.
package roster

import (
	"slices"
	"strings"
	"sync"

	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wording"
)

// Entry is how a container is known to users.
type Entry struct {
	Project, Service, Name string
	OneOff                 bool
	Step                   bool // of a pre_start
	Actor                  *event.Actor
}

// Of is how c is known.
func Of(c *inventory.Container) Entry {
	return Entry{Project: c.Project, Service: c.Service, Name: c.Name, OneOff: c.OneOff, Step: c.Step != nil, Actor: Actor(c)}
}

// Actor is c for its events, some of which come when it is gone.
func Actor(c *inventory.Container) *event.Actor {
	a := &event.Actor{ID: c.ID, Image: c.Spec.Image, Labels: c.Labels, StopSignal: c.StopSignal()}
	if c.Alone != nil {
		a.Labels = c.Alone.Labels
	}
	return a
}

// past is the entry of a container that was removed.
type past struct {
	id string
	Entry
}

// maxGone bounds Roster.gone: the news is under way when the container is removed, and not many are.
const maxGone = 64

// Roster is what there is of containers, by id. Safe for concurrent use; no other lock is taken while its own is held.
type Roster struct {
	mu       sync.Mutex
	names    map[string]Entry
	gone     []past          // of those that were removed last: the news of their end may come after
	unmended map[string]bool // that could not be mended as they run
	shared   map[string]bool // in whose pid or ipc namespace others live, or have lived
	attached map[string]bool // whose end a caller takes care of
}

// New has nobody.
func New() *Roster {
	return &Roster{names: map[string]Entry{}, unmended: map[string]bool{}, shared: map[string]bool{}, attached: map[string]bool{}}
}

// Add takes c in.
func (r *Roster) Add(c *inventory.Container) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names[c.ID] = Of(c)
}

// Adopt takes c in, which an earlier daemon has left, and marks those in whose namespaces it lives.
func (r *Roster) Adopt(c *inventory.Container) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names[c.ID] = Of(c)
	for _, owner := range c.Owners() {
		r.shared[owner] = r.shared[owner] || c.Alone == nil // others are not started anew with whom they live with, as with dockerd
	}
}

// Started takes c in, of which a new run has begun.
func (r *Roster) Started(c *inventory.Container) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names[c.ID] = Of(c)
	delete(r.unmended, c.ID)
}

// Forget drops what there is of a container that is gone, but for its name, for a while.
func (r *Roster) Forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n, ok := r.names[id]; ok {
		delete(r.names, id)
		if r.gone = append(r.gone, past{id, n}); len(r.gone) > maxGone {
			r.gone = slices.Delete(r.gone, 0, 1)
		}
	}
	delete(r.shared, id)
	delete(r.unmended, id)
}

// Get is how container id is known; false = it is not there.
func (r *Roster) Get(id string) (Entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, ok := r.names[id]
	return n, ok
}

// Find is how container id is known, or was until a moment ago.
func (r *Roster) Find(id string) (n Entry, there, gone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n, there = r.names[id]; there {
		return n, true, false
	}
	for _, g := range r.gone {
		if g.id == id {
			return g.Entry, false, true
		}
	}
	return Entry{}, false, false
}

// Rename gives container id another name.
func (r *Roster) Rename(id, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n, ok := r.names[id]; ok {
		n.Name = name
		r.names[id] = n
	}
}

// Vanished are the containers of project that were there and are not any more, without our having removed them; there are those that are.
func (r *Roster) Vanished(project string, there map[string]bool) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var gone []string
	for id, n := range r.names {
		if n.Project == project && !there[id] {
			gone = append(gone, id)
		}
	}
	slices.Sort(gone)
	return gone
}

// Called are the ids of the containers called name. One of them may be gone from the host, or on its way.
func (r *Roster) Called(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for id, n := range r.names {
		if n.Name == name {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Named puts the names of containers in the place of their ids.
func (r *Roster) Named(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	r.mu.Lock()
	for id, n := range r.names {
		text = strings.ReplaceAll(text, objectid.Short(id), n.Name)
	}
	r.mu.Unlock()
	if text == err.Error() {
		return err
	}
	return &wording.Reworded{Text: text, Err: err}
}

// Share marks a container whose namespaces somebody joins.
func (r *Roster) Share(owner string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shared[owner] = true
}

// Shared says whether others live in a namespace of container id, or have lived there.
func (r *Roster) Shared(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shared[id]
}

// Unmended marks the present run of a container, which could not be mended.
func (r *Roster) Unmended(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unmended[id] = true
}

// Stubborn says whether the present run of a container could not be mended.
func (r *Roster) Stubborn(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.unmended[id]
}

// Hold marks a container whose caller takes care of its end, or does so no more.
func (r *Roster) Hold(id string, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if on {
		r.attached[id] = true
	} else {
		delete(r.attached, id)
	}
}

// Held says whether somebody takes care of the end of container id.
func (r *Roster) Held(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.attached[id]
}
