// Package unmount lets go of the roots of containers that have ended, when nobody waits for it.
package unmount

import (
	"context"
	"io"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/container"
)

// Queue are the roots of containers that have ended. With the last reference to an overlay the kernel brings to the disk whatever its upper directory's file
// system has not written yet, of all who write there (sync_filesystem in generic_shutdown_super, fs/super.c): milliseconds on a quiet disk, seconds beside a
// database's import. Without this that reference is the init's, and whoever waits for its end waits for the disk. So the driver has a descriptor of the root while the container
// runs, and closes it after the end, when nobody waits but who wants to mount the same directories again.
//
// A daemon that is killed has closed its descriptors by that: then it is the init's end again, or the daemon's.
type Queue struct {
	mu      sync.Mutex
	waiting []*unmount // in this order
	busy    *unmount   // what the worker closes, nil = there is none
	closed  bool
}

type unmount struct {
	id   string
	root io.Closer
	done chan struct{} // closed when it is unmounted
}

// Hold takes fd, a root of c's, or -1: a file of it where the end of the container should not wait for its unmounting. Anywhere else there is none, and fd is closed.
func (u *Queue) Hold(fd int, c *container.Config) *os.File {
	if fd < 0 {
		return nil
	}
	// An overlay that is volatile is not brought to the disk, and its upper directory becomes a layer of an image as soon as the container has ended.
	if len(c.Root) != 1 || c.Root[0].Type != "overlay" || c.Root[0].Upper == "" || slices.Contains(c.Root[0].Options, "volatile") {
		unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "/")
}

// Later closes root, of the container id that has ended, aside.
func (u *Queue) Later(id string, root io.Closer) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		root.Close()
		return
	}
	m := &unmount{id, root, make(chan struct{})}
	if u.busy != nil {
		u.waiting = append(u.waiting, m)
		return
	}
	u.busy = m
	go u.work(m)
}

// work closes one after the other: each takes a thread, and the disk is one.
func (u *Queue) work(m *unmount) {
	for m != nil {
		m.end()
		u.mu.Lock()
		m = nil
		if len(u.waiting) > 0 {
			m, u.waiting = u.waiting[0], u.waiting[1:]
		}
		u.busy = m
		u.mu.Unlock()
	}
}

func (m *unmount) end() {
	m.root.Close()
	close(m.done)
}

// Await returns when the root of id is not mounted any more by a container that has ended, or with ctx's error. One that still waits for its turn has it now.
//
// Precondition: id's lock is held.
func (u *Queue) Await(ctx context.Context, id string) error {
	u.mu.Lock()
	m := u.busy
	if i := slices.IndexFunc(u.waiting, func(m *unmount) bool { return m.id == id }); i >= 0 {
		m = u.waiting[i]
		u.waiting = slices.Delete(u.waiting, i, i+1)
		go m.end()
	}
	u.mu.Unlock()
	if m == nil || m.id != id {
		return nil
	}
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unfinished is how many roots are not unmounted yet.
func (u *Queue) Unfinished() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := len(u.waiting)
	if u.busy != nil {
		n++
	}
	return n
}

// Close unmounts what waits, and returns when nothing is left to do.
func (u *Queue) Close() {
	u.mu.Lock()
	u.closed = true
	rest, busy := u.waiting, u.busy
	u.waiting = nil
	u.mu.Unlock()
	for _, m := range rest {
		m.end()
	}
	if busy != nil {
		<-busy.done
	}
}
