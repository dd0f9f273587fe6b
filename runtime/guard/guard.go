// Package guard knows which containers that run other hands may have changed, and what of one is not as recorded.
//
// Touches by reading only: cgroups, mounts of containers, the directories of records and volumes. What is wrong it tells, and others put it right.
package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/watch"
	"github.com/stackrun/stack/runtime/cgroup"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/proto"
	"github.com/stackrun/stack/runtime/record"
)

// Guard knows which running containers other hands may have changed: who wrote a limit, removed a cgroup, mounted or unmounted. Only those
// are looked at, so that a List of hundreds reads nothing of their cgroups and mounts while nothing happens. The kernel queues an
// event before the call that caused it returns: whoever drains first sees what happened before.
//
// What a look has found of a container, all of it, stands until the kernel tells of a change of anything that it was read from (see Seen).
type Guard struct {
	records *record.Records
	cgroups *cgroup.Parent
	hints   watch.Hub
	files   *watch.Files // limits, freezers, parents of cgroups, directories of records and sources
	polls   *watch.Polls // mountinfo, and the end of the monitor, by container
	running sync.WaitGroup

	mu      sync.Mutex
	wards   map[string]*ward
	readers map[string]map[string]bool // by watched file or directory: the containers that it matters to
}

// ward is a running container under guard.
type ward struct {
	of      identity.Monitor
	key     string // in polls, with mountKey or endKey before it: of this run
	suspect bool   // to be looked at
	always  bool   // something of it could not be watched: it is looked at each time
	problem Problem
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

// Open watches the directories of records; containers come by Protect.
func Open(records *record.Records, cgroups *cgroup.Parent) (*Guard, error) {
	g := &Guard{records: records, cgroups: cgroups, wards: map[string]*ward{}, readers: map[string]map[string]bool{}}
	var err error
	g.files, _ = watch.OpenFiles() // without: every container is looked at each time, and Watch says why it cannot
	if g.polls, err = watch.OpenPolls(); err != nil {
		g.files.Close()
		return nil, err
	}
	if err := g.files.Add(g.records.StateDir(), recordEvents); err != nil && g.files.Blind() == nil {
		g.Close()
		return nil, err
	}
	for _, wait := range []func() error{g.files.Wait, g.polls.Wait} {
		g.running.Go(func() {
			for wait() == nil {
				g.Drain()
			}
		})
	}
	return g, nil
}

// Close ends the guard of all containers, and every Watch.
func (g *Guard) Close() {
	g.hints.Close()
	g.files.Close()
	g.polls.Close()
	g.running.Wait()
}

// Protect begins to watch container c, which runs as s says; monitor is a pidfd of its monitor, open until Release. fresh says that its limits and mounts have just
// been made. What cannot be watched is looked at each time.
func (g *Guard) Protect(c *container.Config, s *proto.Status, monitor *os.File, fresh bool) {
	w := &ward{of: identity.MonitorOf(s), key: c.ID + " " + strconv.FormatUint(s.PidStart, 10)}
	for _, dir := range g.cgroups.Parents() {
		if !g.files.Watches(dir) { // made with the first container, and gone with the last
			w.watch(g.files.Add(dir, parentEvents))
		}
	}
	add := func(path string, events uint32) {
		g.mu.Lock()
		if g.readers[path] == nil {
			g.readers[path] = map[string]bool{}
		}
		g.readers[path][c.ID] = true
		g.mu.Unlock()
		w.paths = append(w.paths, path)
		w.watch(g.files.Add(path, events))
	}
	for _, path := range g.cgroups.Files(Made(c, nil)) {
		add(path, limitEvents)
	}
	for _, dir := range g.sources(c) {
		add(dir, sourceEvents)
	}
	add(g.records.StateDir(c.ID), fileEvents)
	add(g.records.RunDir(c.ID), fileEvents)
	for _, path := range g.cgroups.FreezerFiles(c.ID) {
		add(path, freezeEvents)
	}
	// The pid is the init's as long as that has not ended: looked at afterwards.
	err := g.polls.Add(mountKey+w.key, "/proc/"+strconv.Itoa(s.Pid)+"/mountinfo")
	if err != nil || !identity.InitOf(s).Alive() {
		g.polls.Remove(mountKey + w.key)
		w.always = true // as long as it seems to run
	}
	if g.polls.AddFile(endKey+w.key, monitor) != nil {
		w.always = true
	}
	g.Drain() // the first event of a file that is polled comes at once
	g.mu.Lock()
	defer g.mu.Unlock()
	w.suspect = !fresh
	g.wards[c.ID] = w
}

// watch takes the error of a watch: what is not there yet, or any more, is found when the container is looked at.
func (w *ward) watch(err error) {
	w.always = w.always || err != nil && !errors.Is(err, fs.ErrNotExist)
}

// Release ends the watch of container id, if it is the run of monitor that is watched. Its mount namespace is held until what is returned, if it is not nil, is closed.
func (g *Guard) Release(id string, monitor identity.Monitor) io.Closer {
	g.mu.Lock()
	w := g.wards[id]
	if w == nil || w.of != monitor {
		g.mu.Unlock()
		return nil
	}
	delete(g.wards, id)
	var free []string
	for _, path := range w.paths {
		delete(g.readers[path], id)
		if len(g.readers[path]) == 0 {
			delete(g.readers, path)
			free = append(free, path)
		}
	}
	g.mu.Unlock()
	mounts := g.polls.Take(mountKey + w.key)
	g.polls.Remove(endKey + w.key)
	for _, path := range free {
		g.files.Remove(path)
	}
	return mounts
}

// Watch delivers a coalesced hint when something of the containers may have been changed by other hands. The channel is closed when ctx ends or the guard is closed.
// ErrNotSupported when the user has no inotify instance left.
func (g *Guard) Watch(ctx context.Context) (<-chan struct{}, error) {
	if err := g.files.Blind(); err != nil {
		return nil, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot watch the containers: %w", err))
	}
	return g.hints.Subscribe(ctx), nil
}

// Drain takes in what has happened, and tells whoever watches.
func (g *Guard) Drain() {
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
		case e.Path == g.records.StateDir(): // a record; those of containers that the Driver deletes are among them
			hint = true
		case e.Mask&(unix.IN_IGNORED|unix.IN_MOVE_SELF) == 0 && g.quiet(e):
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
		g.hints.Give()
	}
}

// mountTable is the mountinfo of the init of container id. fs.ErrNotExist when it is not watched.
func (g *Guard) mountTable(id string) ([]byte, error) {
	g.mu.Lock()
	w := g.wards[id]
	g.mu.Unlock()
	if w == nil {
		return nil, fs.ErrNotExist
	}
	return g.polls.Read(mountKey + w.key)
}

// quiet says whether e is part of the life of containers, and nobody's damage.
func (g *Guard) quiet(e watch.FileEvent) bool {
	switch filepath.Base(e.Path) {
	case "cgroup.freeze", "freezer.state":
		return true
	}
	switch filepath.Dir(e.Path) {
	case g.records.StateDir():
		return e.Name != record.ConfigName
	case g.records.RunDir(): // the monitor removes what is there when the exit is on record
		return e.Mask&(unix.IN_DELETE|unix.IN_MOVED_FROM) == 0 || !record.OfRun(e.Name) || g.records.HasExit(filepath.Base(e.Path))
	}
	return false
}

// Mark is a moment in the events of one container.
type Mark struct {
	ward    *ward
	changes int
}

// Mark is now. What is read from now on may be given to Remember with it. Precondition: drained.
func (g *Guard) Mark(id string) Mark {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.wards[id]
	if w == nil || w.always {
		return Mark{}
	}
	return Mark{w, w.changes}
}

// Of says whether m is of the run of monitor. What is looked at each time has no moments.
func (m Mark) Of(monitor identity.Monitor) bool { return m.ward != nil && m.ward.of == monitor }

// Remember keeps st, which has been read since m, if nothing has happened since.
func (g *Guard) Remember(m Mark, st container.State) {
	if m.ward == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.wards[st.ID]; w == m.ward && w.changes == m.changes && !w.suspect && !w.always && w.problem.Text == "" {
		w.last, w.lastAt = &st, time.Now()
	}
}

// Seen is the state of id that was seen last, if it still is that; nil = it has to be looked at. Read only. Precondition: drained.
func (g *Guard) Seen(id string, now time.Time) *container.State {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w := g.wards[id]; w != nil && w.last != nil && now.Sub(w.lastAt) < trust {
		return w.last
	}
	return nil
}

// take says whether container id is to be looked at, and takes that as done; else what was found last. Precondition: drained.
func (g *Guard) take(id string) (look bool, last Problem) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.wards[id]
	if w == nil {
		return false, Problem{}
	}
	look = w.suspect || w.always
	w.suspect = false
	return look, w.problem
}

// found is the result of a look. A problem is looked at again each time: its end may come without an event. One that is new is told to whoever
// watches: another look, which began while this one was under way, was given what was known before, and may have had it remembered.
func (g *Guard) found(id string, p Problem) {
	g.mu.Lock()
	w := g.wards[id]
	fresh := w != nil && p.Text != "" && p.Text != w.problem.Text
	if w != nil {
		w.problem = p
		if p.Text != "" || p.pending {
			w.suspect, w.last = true, nil
		}
	}
	g.mu.Unlock()
	if fresh {
		g.hints.Give()
	}
}

// Made is the record of container c's cgroups.
func Made(c *container.Config, warnings []string) cgroup.Made {
	return cgroup.Made{ID: c.ID, Resources: c.Resources(), Warnings: warnings}
}

// sources are the directories in which those lie that c has mounted from below the state root: volumes. They are quiet, and whoever
// removes one of them does damage. The user's own directories may be busy, and come and go as he likes.
func (g *Guard) sources(c *container.Config) (dirs []string) {
	for _, m := range c.Mounts {
		if m.Type == "bind" && g.records.Below(m.Source) {
			dirs = append(dirs, filepath.Dir(m.Source))
		}
	}
	return dirs
}
