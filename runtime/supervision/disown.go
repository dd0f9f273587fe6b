package supervision

import (
	"context"
	"errors"
	"os"

	"github.com/stackrun/stack/internal/errdefs"
)

// Disown ends the containers that run and whose record other hands have removed: nobody could find them again, and what
// is made in their place would meet them on ports and volumes. ids are those that have a record. It returns at once; the end is an Event.
func (sv *Supervisor) Disown(ids []string) {
	known := make(map[string]bool, len(ids))
	for _, id := range ids {
		known[id] = true
	}
	sv.mu.Lock()
	defer sv.mu.Unlock()
	for id, l := range sv.lives {
		if !known[id] && !l.disowned {
			l.disowned = true
			go sv.endDisowned(l)
		}
	}
}

func (sv *Supervisor) endDisowned(l *Run) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*cleanUpTime)
	defer cancel()
	if _, err := sv.records.Config(l.ID); !errors.Is(err, errdefs.ErrNotFound) {
		sv.mu.Lock()
		l.disowned = false // it is younger than the list
		sv.mu.Unlock()
		return
	}
	if sv.Kill(ctx, l) != nil { // the next List or the next daemon tries again
		sv.mu.Lock()
		l.disowned = false
		sv.mu.Unlock()
		return
	}
	if _, err := l.Wait(ctx); err != nil {
		return
	}
	unlock, err := sv.locks.Lock(ctx, l.ID)
	if err != nil {
		return
	}
	defer unlock()
	if _, err := sv.records.Config(l.ID); errors.Is(err, errdefs.ErrNotFound) { // nobody has made it anew meanwhile
		os.RemoveAll(sv.records.RunDir(l.ID))
		os.RemoveAll(sv.records.StateDir(l.ID))
	}
}
