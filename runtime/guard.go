package runtime

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/watch"
	"github.com/stackrun/stack/runtime/cgroup"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/record"
)

// guard knows which running containers other hands may have changed: who wrote a limit, removed a cgroup, mounted or unmounted. Only those
// are looked at, so that a List of hundreds reads nothing of their cgroups and mounts while nothing happens. The kernel queues an
// event before the call that caused it returns: whoever drains first sees what happened before.
//
// What a look has found of a container, all of it, stands until the kernel tells of a change of anything that it was read from (see seen).
type guard struct {
	d       *Driver
	files   *watch.Files // limits, freezers, parents of cgroups, directories of records and sources
	polls   *watch.Polls // mountinfo, and the end of the monitor, by container
	running sync.WaitGroup

	mu      sync.Mutex
	wards   map[string]*ward
	readers map[string]map[string]bool // by watched file or directory: the containers that it matters to
}

// ward is a running container under guard.
type ward struct {
	of      *live
	key     string // in polls, with mountKey or endKey before it: of this run
	suspect bool   // to be looked at
	always  bool   // something of it could not be watched: it is looked at each time
	problem problem
	paths   []string

	changes int              // events so far
	last    *container.State // nil = none, or something has happened since
	lastAt  time.Time
}

// trust is how long a State is given out again. The kernel tells of each change, or that it has lost some; should an event be lost all the
// same, this is how long it may go unnoticed.
const trust = time.Minute

// Of keys in polls.
const (
	mountKey = "mounts "
	endKey   = "end "
)

const (
	limitEvents  = unix.IN_MODIFY | unix.IN_DELETE_SELF
	parentEvents = unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_ONLYDIR
	sourceEvents = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF | unix.IN_ONLYDIR
	recordEvents = unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_ONLYDIR
	// Of the two directories of one container.
	fileEvents   = recordEvents | unix.IN_CREATE | unix.IN_MODIFY | unix.IN_MOVED_TO | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	freezeEvents = unix.IN_MODIFY
)

// openGuard watches the directories of records; containers come by protect.
func (d *Driver) openGuard() error {
	g := &guard{d: d, wards: map[string]*ward{}, readers: map[string]map[string]bool{}}
	var err error
	g.files, _ = watch.OpenFiles() // without: every container is looked at each time, and Watch says why it cannot
	if g.polls, err = watch.OpenPolls(); err != nil {
		g.files.Close()
		return err
	}
	if err := g.files.Add(d.records.StateDir(), recordEvents); err != nil && g.files.Blind() == nil {
		g.close()
		return err
	}
	for _, wait := range []func() error{g.files.Wait, g.polls.Wait} {
		g.running.Go(func() {
			for wait() == nil {
				g.drain()
			}
		})
	}
	d.guard = g
	return nil
}

func (g *guard) close() {
	g.files.Close()
	g.polls.Close()
	g.running.Wait()
}

// protect begins to watch l. fresh says that its limits and mounts have just been made.
func (g *guard) protect(l *live, c *container.Config, fresh bool) {
	w := &ward{of: l, key: l.id + " " + strconv.FormatUint(l.status.PidStart, 10)}
	for _, dir := range g.d.cgroups.Parents() {
		if !g.files.Watches(dir) { // made with the first container, and gone with the last
			w.watch(g.files.Add(dir, parentEvents))
		}
	}
	add := func(path string, events uint32) {
		g.mu.Lock()
		if g.readers[path] == nil {
			g.readers[path] = map[string]bool{}
		}
		g.readers[path][l.id] = true
		g.mu.Unlock()
		w.paths = append(w.paths, path)
		w.watch(g.files.Add(path, events))
	}
	for _, path := range g.d.cgroups.Files(g.d.made(c, nil)) {
		add(path, limitEvents)
	}
	for _, dir := range g.d.sources(c) {
		add(dir, sourceEvents)
	}
	add(g.d.records.StateDir(l.id), fileEvents)
	add(g.d.records.RunDir(l.id), fileEvents)
	for _, path := range g.d.cgroups.FreezerFiles(l.id) {
		add(path, freezeEvents)
	}
	// The pid is the init's as long as that has not ended: looked at afterwards.
	err := g.polls.Add(mountKey+w.key, "/proc/"+strconv.Itoa(l.status.Pid)+"/mountinfo")
	if err != nil || !l.init().Alive() {
		g.polls.Remove(mountKey + w.key)
		w.always = true // as long as it seems to run
	}
	if g.polls.AddFile(endKey+w.key, l.monitor) != nil {
		w.always = true
	}
	g.drain() // the first event of a file that is polled comes at once
	g.mu.Lock()
	defer g.mu.Unlock()
	w.suspect = !fresh
	g.wards[l.id] = w
}

// watch takes the error of a watch: what is not there yet, or any more, is found when the container is looked at.
func (w *ward) watch(err error) {
	w.always = w.always || err != nil && !errors.Is(err, fs.ErrNotExist)
}

// release ends the watch of l, if it is l that is watched. Its mount namespace is held until then.
func (g *guard) release(l *live) {
	g.mu.Lock()
	w := g.wards[l.id]
	if w == nil || w.of != l {
		g.mu.Unlock()
		return
	}
	delete(g.wards, l.id)
	var free []string
	for _, path := range w.paths {
		delete(g.readers[path], l.id)
		if len(g.readers[path]) == 0 {
			delete(g.readers, path)
			free = append(free, path)
		}
	}
	g.mu.Unlock()
	g.polls.Remove(mountKey + w.key)
	g.polls.Remove(endKey + w.key)
	for _, path := range free {
		g.files.Remove(path)
	}
}

// drain takes in what has happened, and tells whoever watches.
func (g *guard) drain() {
	hint := false
	g.mu.Lock()
	changed := func(id string) {
		if w := g.wards[id]; w != nil {
			w.changes++
			w.last = nil
		}
	}
	suspect := func(id string) {
		if w := g.wards[id]; w != nil {
			changed(id)
			w.suspect, hint = true, true
		}
	}
	g.files.Drain(func(e watch.FileEvent) {
		switch {
		case e.Overflow:
			for id := range g.wards {
				suspect(id)
			}
			hint = true
		case e.Path == g.d.records.StateDir(): // a record; those of containers that the Driver deletes are among them
			hint = true
		case e.Name != record.ConfigName && e.Mask&(unix.IN_IGNORED|unix.IN_MOVE_SELF) == 0 && g.quiet(e.Path):
			for id := range g.readers[e.Path] {
				changed(id)
			}
		case g.readers[e.Path] != nil:
			for id := range g.readers[e.Path] {
				suspect(id)
				if w := g.wards[id]; w != nil && e.Mask&(unix.IN_IGNORED|unix.IN_MOVE_SELF) != 0 {
					w.always = true // what comes in its place is not watched
				}
			}
		default:
			suspect(e.Name) // below a parent of cgroups
		}
	})
	g.polls.Drain(func(key string) {
		kind, of, _ := strings.Cut(key, " ")
		id, _, _ := strings.Cut(of, " ")
		if kind+" " == endKey {
			changed(id)
		} else {
			suspect(id)
		}
	})
	g.mu.Unlock()
	if hint {
		g.d.hints.Give()
	}
}

// mountTable is the mountinfo of the init of container id. fs.ErrNotExist when it is not watched.
func (g *guard) mountTable(id string) ([]byte, error) {
	g.mu.Lock()
	w := g.wards[id]
	g.mu.Unlock()
	if w == nil {
		return nil, fs.ErrNotExist
	}
	return g.polls.Read(mountKey + w.key)
}

// quiet says whether what happens to the files at path, but for a record's removal, is part of the life of containers, and nobody's damage.
func (g *guard) quiet(path string) bool {
	switch filepath.Base(path) {
	case "cgroup.freeze", "freezer.state":
		return true
	}
	dir := filepath.Dir(path)
	return dir == g.d.records.StateDir() || dir == g.d.records.RunDir()
}

// mark is a moment in the events of one container.
type mark struct {
	ward    *ward
	changes int
}

// mark is now. What is read from now on may be given to remember with it. Precondition: drained.
func (g *guard) mark(id string) mark {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.wards[id]
	if w == nil || w.always {
		return mark{}
	}
	return mark{w, w.changes}
}

// remember keeps st, which has been read since m, if nothing has happened since.
func (g *guard) remember(m mark, st container.State) {
	if m.ward == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.wards[st.ID]; w == m.ward && w.changes == m.changes && !w.suspect && !w.always && w.problem.text == "" {
		w.last, w.lastAt = &st, time.Now()
	}
}

// seen is the state of id that was seen last, if it still is that; nil = it has to be looked at. Read only. Precondition: drained.
func (g *guard) seen(id string, now time.Time) *container.State {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.wards[id]; w != nil && w.last != nil && now.Sub(w.lastAt) < trust {
		return w.last
	}
	return nil
}

// take says whether container id is to be looked at, and takes that as done; else what was found last. Precondition: drained.
func (g *guard) take(id string) (look bool, last problem) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.wards[id]
	if w == nil {
		return false, problem{}
	}
	look = w.suspect || w.always
	w.suspect = false
	return look, w.problem
}

// found is the result of a look. A problem is looked at again each time: its end may come without an event. One that is new is told to whoever
// watches: another look, which began while this one was under way, was given what was known before, and may have had it remembered.
func (g *guard) found(id string, p problem) {
	g.mu.Lock()
	w := g.wards[id]
	fresh := w != nil && p.text != "" && p.text != w.problem.text
	if w != nil {
		w.problem = p
		if p.text != "" {
			w.suspect, w.last = true, nil
		}
	}
	g.mu.Unlock()
	if fresh {
		g.d.hints.Give()
	}
}

// made is the record of container c's cgroups.
func (d *Driver) made(c *container.Config, warnings []string) cgroup.Made {
	return cgroup.Made{ID: c.ID, Resources: c.Resources(), Warnings: warnings}
}

// sources are the directories in which those lie that c has mounted from below the state root: volumes. They are quiet, and whoever
// removes one of them does damage. The user's own directories may be busy, and come and go as he likes.
func (d *Driver) sources(c *container.Config) (dirs []string) {
	for _, m := range c.Mounts {
		if m.Type == "bind" && d.records.Below(m.Source) {
			dirs = append(dirs, filepath.Dir(m.Source))
		}
	}
	return dirs
}
