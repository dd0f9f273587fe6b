package runtime

import (
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/watch"
	"github.com/stackrun/stack/runtime/event"
	"github.com/stackrun/stack/runtime/proto"
)

// losses hears of monitors that cannot write their logs: they say so in their status files, each once, and take it back when they can again.
type losses struct {
	files *watch.Files

	mu   sync.Mutex
	told map[string]string // by id: what the last event said, or an earlier daemon's
}

// news notes what is known of id now, and says whether it was not before.
func (l *losses) news(id, text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.told[id]
	if l.told[id] = text; text == "" {
		delete(l.told, id)
	}
	return before != text
}

func (d *Driver) openLosses() {
	d.losses.files, _ = watch.OpenFiles() // without, there are no events of it
	d.losses.told = map[string]string{}
	go d.followLosses()
}

// watchLosses listens to the status file of id, whose run directory is there. Without it (too many watches, inotify(7)) the state tells it still, and no event.
func (d *Driver) watchLosses(id string) {
	_ = d.losses.files.Add(d.records.RunDir(id), unix.IN_MOVED_TO|unix.IN_ONLYDIR)
}

func (d *Driver) forgetLosses(id string) {
	d.losses.files.Remove(d.records.RunDir(id))
	d.losses.news(id, "")
}

func (d *Driver) followLosses() {
	for d.losses.files.Wait() == nil {
		changed := map[string]bool{}
		d.losses.files.Drain(func(e watch.FileEvent) {
			if e.Name == proto.StatusName && e.Path != "" {
				changed[filepath.Base(e.Path)] = true
			}
		})
		for id := range changed {
			d.tellLoss(id)
		}
	}
}

func (d *Driver) tellLoss(id string) {
	s, err := d.records.Status(id)
	if err != nil || !d.losses.news(id, s.LogError) { // it may have ended
		return
	}
	d.hub.Publish(event.Event{ID: id, Kind: event.Log, Detail: s.LogError})
}
