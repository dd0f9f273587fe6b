package watch

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Polls wakes for files whose poll(2) tells of a change, as /proc/PID/mountinfo does (proc_pid_mountinfo(5)). Safe for concurrent use.
//
// Each is registered edge-triggered and for EPOLLIN, which such a file always has: the kernel then hands out one event per change to
// whoever drains. EPOLLPRI, by which the file marks a change, is lost to the first who polls, and that may be the Go runtime
// looking whether this epoll instance, one file in its own, has something.
type Polls struct {
	f *os.File

	mu    sync.Mutex
	next  int32
	keys  map[int32]string
	files map[string]polled
	room  [64]unix.EpollEvent // of Drain
}

type polled struct {
	token int32
	fd    int      // bare: as an os.File it would be in the runtime's own poller too
	lent  *os.File // not nil: in place of fd, and somebody else's to close
}

// OpenPolls makes a Polls that watches nothing yet.
func OpenPolls() (*Polls, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot watch files: epoll_create1: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // for the runtime's poller; epoll_wait(2) has its own timeout
		unix.Close(fd)
		return nil, fmt.Errorf("cannot watch files: %w", err)
	}
	return &Polls{f: os.NewFile(uintptr(fd), "epoll"), keys: map[int32]string{}, files: map[string]polled{}}, nil
}

// Add opens path and watches it as key until Remove, in place of what key was. The first event comes at once.
func (p *Polls) Add(key, path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &fs.PathError{Op: "watch", Path: path, Err: err}
	}
	p.Remove(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: p.next}
	err = p.control(func(epoll int) error { return unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &ev) })
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("cannot watch %s: %w", path, err)
	}
	p.keys[p.next], p.files[key] = key, polled{token: p.next, fd: fd}
	return nil
}

// AddFile watches f, which stays the caller's, as key until Remove or until f is closed, in place of what key was. If f is readable already
// the first event comes at once. Read knows nothing of it.
func (p *Polls) AddFile(key string, f *os.File) error {
	p.Remove(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next++
	ev := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET, Fd: p.next}
	err := control(f, func(fd int) error {
		return p.control(func(epoll int) error { return unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, fd, &ev) })
	})
	if err != nil {
		return fmt.Errorf("cannot watch %s: %w", f.Name(), err)
	}
	p.keys[p.next], p.files[key] = key, polled{token: p.next, fd: -1, lent: f}
	return nil
}

// Remove ends the watch of key, and closes its file unless it was lent. Not watched = success.
func (p *Polls) Remove(key string) {
	if f := p.Take(key); f != nil {
		f.Close()
	}
}

// Take is Remove, but leaves the file to be closed by the caller. nil: it was lent, or key is not watched.
func (p *Polls) Take(key string) io.Closer {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.files[key]
	if !ok {
		return nil
	}
	delete(p.files, key)
	delete(p.keys, w.token)
	forget := func(fd int) error { // its closing ends the watch too
		return p.control(func(epoll int) error { return unix.EpollCtl(epoll, unix.EPOLL_CTL_DEL, fd, nil) })
	}
	if w.lent != nil {
		_ = control(w.lent, forget)
		return nil
	}
	_ = forget(w.fd)
	return bare(w.fd)
}

// bare is a descriptor.
type bare int

func (fd bare) Close() error { return unix.Close(int(fd)) }

// Wait returns nil when there are events, or the error of a Polls that was closed. It holds no thread.
func (p *Polls) Wait() error { return Readable(p.f) }

// Drain calls f for the key of every file that changed since the last Drain, and does not wait. f must not call methods of p.
func (p *Polls) Drain(f func(key string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		n := 0
		err := p.control(func(epoll int) (err error) {
			n, err = unix.EpollWait(epoll, p.room[:], 0)
			return err
		})
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		for _, e := range p.room[:n] {
			if key, ok := p.keys[e.Fd]; ok {
				f(key)
			}
		}
	}
}

// Read is the content of key's file, as the opener saw it: a path in it is as it was from the root of that moment. fs.ErrNotExist when
// key is not watched.
func (p *Polls) Read(key string) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.files[key]
	if !ok || w.lent != nil {
		return nil, fs.ErrNotExist
	}
	b := make([]byte, 0, 16<<10)
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, len(b))
		}
		n, err := unix.Pread(w.fd, b[len(b):cap(b)], int64(len(b)))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			return b, nil
		}
		b = b[:len(b)+n]
	}
}

func (p *Polls) control(f func(fd int) error) error { return control(p.f, f) }

// Close ends every watch and the Wait that is under way.
func (p *Polls) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.files {
		if w.lent == nil {
			unix.Close(w.fd)
		}
	}
	clear(p.files)
	clear(p.keys)
	return p.f.Close()
}
