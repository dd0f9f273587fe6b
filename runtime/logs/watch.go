package logs

import (
	"bytes"
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// watch tells of changes of a log's files. Events only say "look again".
//
// It is the kernel's interface itself and not a package for it, because this package is linked into the init program.
type watch struct {
	dir    int32 // of the log, as inotify calls it
	name   string
	events chan struct{} // of capacity 1: it is level-triggered. Closed when nothing is told any more
}

// watches are all of this process, behind one inotify(7): a user has 128 of these, and a daemon may follow more logs than that.
type watches struct {
	mu   sync.Mutex
	f    *os.File                      // nil = nobody watches
	fd   int                           // f's
	dirs map[int32]map[*watch]struct{} // by inotify's number of their directory
}

var following watches

func newWatch(d *dir) (*watch, error) { return following.add(d) }

func (w *watch) close() { following.remove(w) }

func (s *watches) add(d *dir) (*watch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
		if err != nil {
			return nil, err
		}
		s.f, s.fd, s.dirs = os.NewFile(uintptr(fd), "inotify"), fd, map[int32]map[*watch]struct{}{}
		go s.run(s.f)
	}
	// One of a directory that is watched already gives that one's number.
	wd, err := unix.InotifyAddWatch(s.fd, "/proc/self/fd/"+strconv.Itoa(d.fd), unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO|unix.IN_DELETE)
	if err != nil {
		s.endUnused()
		return nil, err
	}
	w := &watch{dir: int32(wd), name: d.name, events: make(chan struct{}, 1)}
	if s.dirs[w.dir] == nil {
		s.dirs[w.dir] = map[*watch]struct{}{}
	}
	s.dirs[w.dir][w] = struct{}{}
	return w, nil
}

func (s *watches) remove(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of := s.dirs[w.dir]
	if _, there := of[w]; !there {
		return // the whole has failed
	}
	if delete(of, w); len(of) > 0 {
		return
	}
	delete(s.dirs, w.dir)
	_, _ = unix.InotifyRmWatch(s.fd, uint32(w.dir)) // it fails for a directory that is gone
	s.endUnused()
}

// endUnused closes an inotify that nobody needs. Precondition: mu is held.
func (s *watches) endUnused() {
	if len(s.dirs) == 0 {
		s.f.Close()
		s.f = nil
	}
}

// run hands on what f says until it is closed.
func (s *watches) run(f *os.File) {
	b := make([]byte, 16<<10)
	for {
		n, err := f.Read(b)
		if s.hear(f, b[:max(n, 0)], err) {
			return
		}
	}
}

// hear wakes those whom the events in b are about. over: no more come.
func (s *watches) hear(f *os.File, b []byte, err error) (over bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f != f {
		return true // closed
	}
	if err != nil { // it never does of itself
		for _, of := range s.dirs {
			for w := range of {
				close(w.events)
			}
		}
		clear(s.dirs)
		s.endUnused()
		return true
	}
	for len(b) >= unix.SizeofInotifyEvent {
		wd, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
		size := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(b[12:]))
		name, _, _ := bytes.Cut(b[unix.SizeofInotifyEvent:size], []byte{0})
		b = b[size:]
		if mask&unix.IN_Q_OVERFLOW != 0 { // something was lost, of whom nobody knows
			for _, of := range s.dirs {
				for w := range of {
					w.wake()
				}
			}
			continue
		}
		for w := range s.dirs[wd] {
			if strings.HasPrefix(string(name), w.name) {
				w.wake()
			}
		}
	}
	return false
}

func (w *watch) wake() {
	select {
	case w.events <- struct{}{}:
	default:
	}
}
