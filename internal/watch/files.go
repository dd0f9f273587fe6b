package watch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Files watches files and directories, inotify(7). Safe for concurrent use.
type Files struct {
	f     *os.File
	blind error // why there is no f

	mu    sync.Mutex
	paths map[int32]string // by watch descriptor
	wds   map[string]int32
	room  [4 << 10]byte // of Drain
}

// FileEvent is one event of inotify.
type FileEvent struct {
	Path     string // as given to Add; "" = of a watch that was removed meanwhile
	Name     string // in a directory: of what
	Mask     uint32 // unix.IN_…
	Overflow bool   // events were lost, of any file
}

// OpenFiles makes a Files that watches nothing yet. With an error, which is that the user has too many of them
// (/proc/sys/fs/inotify/max_user_instances), it is a Files all the same, to which nothing can be added: for who can do without.
func OpenFiles() (*Files, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		err = fmt.Errorf("cannot watch files: inotify_init1 (see fs.inotify.max_user_instances): %w", err)
		return &Files{blind: err}, err
	}
	return &Files{f: os.NewFile(uintptr(fd), "inotify"), paths: map[int32]string{}, wds: map[string]int32{}}, nil
}

// Add watches path for the events of mask (unix.IN_…). Watching again changes the mask. fs.ErrNotExist when there is nothing
// at path.
func (w *Files) Add(path string, mask uint32) error {
	if w.blind != nil {
		return w.blind
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.control(func(fd int) error {
		wd, err := unix.InotifyAddWatch(fd, path, mask)
		if err != nil {
			return &fs.PathError{Op: "watch", Path: path, Err: err}
		}
		// What was here under this name before may be watched still, if it only was moved away.
		if old, ok := w.wds[path]; ok && old != int32(wd) {
			delete(w.paths, old)
			_, _ = unix.InotifyRmWatch(fd, uint32(old))
		}
		w.paths[int32(wd)], w.wds[path] = path, int32(wd)
		return nil
	})
}

// Remove ends the watch of path. Not watched = success.
func (w *Files) Remove(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wd, ok := w.wds[path]
	if !ok {
		return
	}
	delete(w.wds, path)
	delete(w.paths, wd)
	_ = w.control(func(fd int) error {
		_, err := unix.InotifyRmWatch(fd, uint32(wd)) // EINVAL: the kernel has removed it with the file
		return err
	})
}

// Watches says whether path is watched. The watch of a file ends with the file.
func (w *Files) Watches(path string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.wds[path]
	return ok
}

// Wait returns nil when there are events, or the error of a Files that was closed. It holds no thread.
func (w *Files) Wait() error {
	if w.blind != nil {
		return w.blind
	}
	return Readable(w.f)
}

// Blind is the error of OpenFiles.
func (w *Files) Blind() error { return w.blind }

// Drain calls f for every event that is there, and does not wait for more. f must not call methods of w.
func (w *Files) Drain(f func(FileEvent)) {
	if w.blind != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		n := 0
		err := w.control(func(fd int) (err error) {
			n, err = unix.Read(fd, w.room[:])
			return err
		})
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 { // EAGAIN: nothing is left
			return
		}
		for b := w.room[:n]; len(b) >= unix.SizeofInotifyEvent; {
			wd, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
			name := b[unix.SizeofInotifyEvent:][:binary.NativeEndian.Uint32(b[12:])]
			b = b[unix.SizeofInotifyEvent+len(name):]
			e := FileEvent{Path: w.paths[wd], Mask: mask, Overflow: mask&unix.IN_Q_OVERFLOW != 0}
			if i := bytes.IndexByte(name, 0); i >= 0 {
				name = name[:i]
			}
			e.Name = string(name)
			if mask&unix.IN_IGNORED != 0 && e.Path != "" {
				delete(w.paths, wd)
				delete(w.wds, e.Path)
			}
			f(e)
		}
	}
}

func (w *Files) control(f func(fd int) error) error { return control(w.f, f) }

func control(file *os.File, f func(fd int) error) error {
	c, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := c.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return err
	}
	return ferr
}

// Close ends every watch and the Wait that is under way.
func (w *Files) Close() error {
	if w.blind != nil {
		return nil
	}
	return w.f.Close()
}

// Readable returns nil when f, opened non-blocking, has something to read or an exceptional condition (poll(2): POLLIN, POLLPRI, POLLERR), or
// the error of a file that was closed. It waits in the Go runtime's poller and holds no thread.
func Readable(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return c.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN | unix.POLLPRI}}
		for {
			n, err := unix.Poll(p, 0)
			if err != unix.EINTR {
				return n != 0
			}
		}
	})
}
