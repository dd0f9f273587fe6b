package tree

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// notifier tells that something happens in directories: fsnotify's Watcher.
type notifier interface {
	Add(dir string) error
	Remove(dir string) error
	Close() error
}

// collect takes events until the watcher is closed. It never waits for who looks: the kernel's queue is not to run over for that.
func (t *Tree) collect(w *fsnotify.Watcher) {
	defer close(t.collected)
	events, errs := w.Events, w.Errors
	for events != nil || errs != nil {
		select {
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			t.event(e)
		case err, ok := <-errs:
			if !ok {
				errs = nil
				continue
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				t.say(fmt.Sprintf("cannot read the events of watched directories: %v; everything is looked at again", err))
			}
			t.note("", look{all: true})
		}
	}
}

// event notes what e says to look at.
func (t *Tree) event(e fsnotify.Event) {
	if e.Name == "" || e.Op == 0 {
		return
	}
	content := e.Op&^fsnotify.Chmod != 0
	for _, root := range t.roots {
		switch {
		case within(root, e.Name):
			onlyFile := e.Op&^(fsnotify.Write|fsnotify.Chmod) == 0
			if t.filter.Matches(e.Name) || !onlyFile && t.filter.Within(e.Name) {
				t.note(e.Name, look{content: content, moved: e.Has(fsnotify.Rename)})
			}
		case content && within(e.Name, root):
			t.note(root, look{content: true}) // what it is in has come or gone
		}
	}
}

// watch has the directory told of. It must be called before what is in it is read: what comes later is told.
func (t *Tree) watch(path string) (watched bool) {
	err := t.blind
	if err == nil {
		err = t.notifier.Add(path)
	}
	switch {
	case err == nil:
		return true
	case isGone(err), errors.Is(err, fs.ErrPermission):
		return true // as the one who reads it will see
	}
	if !t.told {
		t.told = true
		limit := ""
		switch {
		case errors.Is(err, unix.ENOSPC):
			limit = "; the kernel allows a user so many watched directories: `sysctl fs.inotify.max_user_watches=524288` allows more"
		case errors.Is(err, unix.EMFILE):
			limit = "; the kernel allows a user so many watchers: `sysctl fs.inotify.max_user_instances=1024` allows more"
		}
		t.say(fmt.Sprintf("cannot be told of changes in %s: %v%s. It, and what else cannot be watched, is looked at every second or less often instead", path, err, limit))
	}
	return false
}
