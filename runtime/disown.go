package runtime

import (
	"context"
	"errors"
	"os"

	"github.com/stackrun/stack/internal/errdefs"
)

// disown ends the containers that run and whose record other hands have removed: nobody could find them again, and what
// is made in their place would meet them on ports and volumes. ids are those that have a record. It returns at once; the end is an Event.
func (d *Driver) disown(ids []string) {
	known := make(map[string]bool, len(ids))
	for _, id := range ids {
		known[id] = true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, l := range d.lives {
		if !known[id] && !l.disowned {
			l.disowned = true
			go d.endDisowned(l)
		}
	}
}

func (d *Driver) endDisowned(l *live) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*cleanUpTime)
	defer cancel()
	if _, err := d.records.Config(l.id); !errors.Is(err, errdefs.ErrNotFound) {
		d.mu.Lock()
		l.disowned = false // it is younger than the list
		d.mu.Unlock()
		return
	}
	if d.killAll(ctx, l) != nil { // the next List or the next daemon tries again
		d.mu.Lock()
		l.disowned = false
		d.mu.Unlock()
		return
	}
	if _, err := l.wait(ctx); err != nil {
		return
	}
	unlock, err := d.ids.Lock(ctx, l.id)
	if err != nil {
		return
	}
	defer unlock()
	if _, err := d.records.Config(l.id); errors.Is(err, errdefs.ErrNotFound) { // nobody has made it anew meanwhile
		os.RemoveAll(d.records.RunDir(l.id))
		os.RemoveAll(d.records.StateDir(l.id))
	}
}
