// Package unmount lets go of the mounts of containers that have ended, when nobody waits for it.
package unmount

import (
	"context"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/container"
)

// Queue are the mounts of containers that have ended, for which the kernel lets whoever drops the last reference wait:
//
// With that to a mount namespace it waits until all processors have passed a point (synchronize_rcu_expedited in namespace_unlock, fs/namespace.c), 0.2 ms of a
// container's life of 4. With that to an overlay it brings to the disk whatever its upper directory's file system has not written yet, of all who write there
// (sync_filesystem in generic_shutdown_super, fs/super.c): milliseconds on a quiet disk, seconds beside a database's import. Without this both references are the
// init's, and whoever waits for its end waits for the disk. So the driver has both while the container runs, and drops them after the end, when nobody waits but who wants to mount the
// same directories again: the namespace at once, and the root a moment later, together with those of others that end meanwhile, of
// which the first brings to the disk what all have written.
//
// A daemon that is killed has closed its descriptors by that: then it is the init's end again, or the daemon's.
type Queue struct {
	mu      sync.Mutex
	waiting []*unmount    // in the order of their ends; what is being let go of is among them
	last    time.Time     // when one came
	come    chan struct{} // to the worker; nil = there is none
	closed  bool
}

// Roots wait for company until no other container has ended for usualWait, and not longer than longestWait, nor when there are as many as company. Then all go that wait. What is removed
// of such a container keeps its place on the disk until then. Each takes a processor 0.1 to 0.2 ms, and whoever starts a container meanwhile waits for the journal of the disk: so company is a row of containers, and not a part of one.
const (
	usualWait   = 100 * time.Millisecond
	longestWait = time.Second
	company     = 256 // descriptors
)

type unmount struct {
	id    string
	since time.Time
	root  io.Closer
	begun bool          // somebody closes root, or is about to. Guarded by Queue.mu
	gone  chan struct{} // closed when the namespace is
	done  chan struct{} // and the root
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

// Later closes what holds the mount namespace of the container id, which has ended, and then its root, aside. namespace may be nil.
func (u *Queue) Later(id string, namespace, root io.Closer) {
	m := &unmount{id: id, since: time.Now(), root: root, gone: make(chan struct{}), done: make(chan struct{})}
	leave := func() {
		if namespace != nil {
			namespace.Close()
		}
		close(m.gone)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		leave()
		root.Close()
		return
	}
	go leave() // at once: no disk, and no other container's, is waited for
	u.waiting, u.last = append(u.waiting, m), m.since
	if u.come == nil {
		u.come = make(chan struct{}, 1)
		go u.work(u.come)
		return
	}
	u.wake()
}

// wake has the worker look. Precondition: mu is held.
func (u *Queue) wake() {
	select {
	case u.come <- struct{}{}:
	default: // it has not looked since, or there is none
	}
}

// work lets go of the roots, one after the other: each takes a thread, and the disk is one. It returns when nothing is left.
func (u *Queue) work(come <-chan struct{}) {
	for {
		u.mu.Lock()
		if len(u.waiting) == 0 {
			u.come = nil
			u.mu.Unlock()
			return
		}
		now := time.Now()
		wait := min(usualWait-now.Sub(u.last), longestWait-now.Sub(u.waiting[0].since))
		if wait <= 0 || len(u.waiting) >= company || u.closed {
			all := slices.Clone(u.waiting)
			u.mu.Unlock()
			for _, m := range all {
				u.finish(m)
			}
			continue
		}
		u.mu.Unlock()
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-come:
			timer.Stop()
		}
	}
}

// finish lets go of m, or waits until somebody else has.
func (u *Queue) finish(m *unmount) {
	u.mu.Lock()
	mine := !m.begun
	m.begun = true
	u.mu.Unlock()
	if !mine {
		<-m.done
		return
	}
	<-m.gone
	m.root.Close()
	close(m.done)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.waiting = slices.DeleteFunc(u.waiting, func(w *unmount) bool { return w == m })
}

// Await returns when nothing of id is mounted any more by a container that has ended, or with ctx's error. One that still waits for its turn has it now.
//
// Precondition: id's lock is held.
func (u *Queue) Await(ctx context.Context, id string) error {
	u.mu.Lock()
	i := slices.IndexFunc(u.waiting, func(m *unmount) bool { return m.id == id })
	if i < 0 {
		u.mu.Unlock()
		return nil
	}
	m := u.waiting[i]
	u.mu.Unlock()
	go u.finish(m)
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Unfinished is how many containers have something mounted still.
func (u *Queue) Unfinished() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.waiting)
}

// Close unmounts what waits, and returns when nothing is left to do.
func (u *Queue) Close() {
	u.mu.Lock()
	u.closed = true
	rest := slices.Clone(u.waiting)
	u.wake()
	u.mu.Unlock()
	for _, m := range rest {
		u.finish(m)
	}
}
