package runtime

import (
	"sync"
	"time"
)

// Spare is the pid of the child that waits for work, 0 when there is none.
func (d *Driver) Spare() int { return d.children.Waiting() }

// Waits has a child that waits for work do so for d.
func (d *Driver) Waits(patience time.Duration) { d.children.Patience = patience }

// Remembers says whether the next List will give out what the last one has seen of container id.
func (d *Driver) Remembers(id string) bool {
	d.guard.Drain()
	return d.guard.Seen(id, time.Now()) != nil
}

// Visit is what a copy of files of a container that runs is to its next start.
func (d *Driver) Visit(id string) (leave func()) { return d.guests.Enter(id) }

// Impatient has who changes a container look every d at those that it waits for.
func (d *Driver) Impatient(every time.Duration) { d.ids.Patience = every }

// Look is what one does who waits for id; false = there is nobody to look at.
func (d *Driver) Look(id string, seen int64) (now int64, ok bool) { return d.ids.Look(id, seen) }

// HoldUnmounts keeps the roots of containers that end from now on mounted until release is called, as a disk with much to write does.
func (d *Driver) HoldUnmounts() (release func()) { return d.HoldUnmount("") }

// HoldUnmount is as if a root of container id were being unmounted until release is called.
func (d *Driver) HoldUnmount(id string) (release func()) {
	held := held{make(chan struct{})}
	d.unmounts.Later(id, nil, held)
	return sync.OnceFunc(func() { close(held.over) })
}

type held struct{ over chan struct{} }

func (h held) Close() error { <-h.over; return nil }

// Unmounting is how many roots are not unmounted yet.
func (d *Driver) Unmounting() int { return d.unmounts.Unfinished() }
