// Package logloss hears of output that is lost because a log cannot be written.
package logloss

import (
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/watch"
	"github.com/stackrun/stack/runtime/event"
	"github.com/stackrun/stack/runtime/proto"
	"github.com/stackrun/stack/runtime/record"
)

// Listener hears of monitors that cannot write their logs: they say so in their status files, each once, and take it back when they can again.
type Listener struct {
	records *record.Records
	tell    func(event.Event) // each loss, and each end of one
	files   *watch.Files

	mu   sync.Mutex
	told map[string]string // by id: what the last event said, or an earlier daemon's
}

// news notes what is known of id now, and says whether it was not before.
func (l *Listener) news(id, text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.told[id]
	if l.told[id] = text; text == "" {
		delete(l.told, id)
	}
	return before != text
}

// Open begins to listen, and tells what it hears. Containers come by Listen.
func Open(records *record.Records, tell func(event.Event)) *Listener {
	l := &Listener{records: records, tell: tell, told: map[string]string{}}
	l.files, _ = watch.OpenFiles() // without, there are no events of it
	go l.follow()
	return l
}

// Close ends that. Nothing is told from then on.
func (l *Listener) Close() { l.files.Close() }

// Known notes what the status of id says now, of which nobody has to be told.
func (l *Listener) Known(id, text string) { l.news(id, text) }

// Listen begins to listen to the status file of id, whose run directory is there. Without it (too many watches, inotify(7)) the state tells it still, and no event.
func (l *Listener) Listen(id string) {
	_ = l.files.Add(l.records.RunDir(id), unix.IN_MOVED_TO|unix.IN_ONLYDIR)
}

// Forget ends Listen of id.
func (l *Listener) Forget(id string) {
	l.files.Remove(l.records.RunDir(id))
	l.news(id, "")
}

func (l *Listener) follow() {
	for l.files.Wait() == nil {
		changed := map[string]bool{}
		l.files.Drain(func(e watch.FileEvent) {
			if e.Name == proto.StatusName && e.Path != "" {
				changed[filepath.Base(e.Path)] = true
			}
		})
		for id := range changed {
			l.look(id)
		}
	}
}

func (l *Listener) look(id string) {
	s, err := l.records.Status(id)
	if err != nil || !l.news(id, s.LogError) { // it may have ended
		return
	}
	l.tell(event.Event{ID: id, Kind: event.Log, Detail: s.LogError})
}
