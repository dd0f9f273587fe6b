package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/runtime/cgroup"
	"github.com/stackrun/stack/runtime/child"
	"github.com/stackrun/stack/runtime/event"
	"github.com/stackrun/stack/runtime/guard"
	"github.com/stackrun/stack/runtime/idlock"
	"github.com/stackrun/stack/runtime/logloss"
	"github.com/stackrun/stack/runtime/record"
	"github.com/stackrun/stack/runtime/seccomp"
	"github.com/stackrun/stack/runtime/unmount"
)

// Options of a Driver. The zero value of each field but Roots is right for most.
type Options struct {
	Roots roots.Roots

	// StrictLimits makes a resource limit that the host cannot apply an error of Start. Otherwise it
	// is one of State.Warnings.
	StrictLimits bool

	// Notice tells, once each, what somebody should know and what is no error: a damaged record that was put aside. nil = nobody.
	Notice func(text string)
}

// Driver runs containers. It is safe for concurrent use. Two verbs on one container take turns where they must;
// different containers never wait for each other.
//
// What is true is on the host: the state directory of a container, its run directory, and its processes. A Driver
// holds in memory only handles (pidfds, connections to monitors) and caches that can be made again.
//
// Lock order: a container's id lock, then mu.
type Driver struct {
	records  *record.Records
	cgroups  *cgroup.Parent
	children *child.Pool
	ids      idlock.Locks
	hub      event.Hub
	tell     func(string) // Options.Notice
	losses   *logloss.Listener
	guard    *guard.Guard
	filters  seccomp.Cache
	visits   visits
	unmounts unmount.Queue

	mu     sync.Mutex
	lives  map[string]*live
	closed bool
}

// New makes a Driver for roots and adopts the containers that run there: those of an earlier daemon that has ended or was
// killed. It finishes what that one left half done: a container whose monitor is dead is killed,
// and directories without a record are removed. There must be one Driver per roots that starts containers.
func New(ctx context.Context, opt Options) (*Driver, error) {
	cg, err := cgroup.Open("stack-"+opt.Roots.Instance(), cgroup.Options{Strict: opt.StrictLimits})
	if err != nil {
		return nil, err
	}
	children, err := child.Open()
	if err != nil {
		return nil, err
	}
	records, err := record.Open(opt.Roots)
	if err != nil {
		children.Close()
		return nil, err
	}
	d := &Driver{
		records:  records,
		cgroups:  cg,
		children: children,
		lives:    map[string]*live{},
		tell:     opt.Notice,
	}
	d.losses = logloss.Open(records, d.hub.Publish)
	if d.guard, err = guard.Open(records, cg); err != nil {
		d.losses.Close()
		d.children.Close()
		return nil, fmt.Errorf("cannot watch the containers: %w", err)
	}
	if err := d.recover(ctx); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// Close lets go of every container and leaves it running: the next New adopts it. Calls that
// wait return ErrUnavailable.
func (d *Driver) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	lives := make([]*live, 0, len(d.lives))
	for _, l := range d.lives {
		if !l.freed {
			lives = append(lives, l)
		}
	}
	d.mu.Unlock()
	for _, l := range lives {
		l.release()
	}
	d.unmounts.Close()
	d.hub.Close()
	d.losses.Close()
	d.guard.Close()
	d.cgroups.Prune()
	return d.children.Close()
}

var errClosed = errdefs.With(errdefs.ErrUnavailable, errors.New("the daemon is ending"))

// notice tells what somebody should know.
func (d *Driver) notice(text string) {
	if d.tell != nil {
		d.tell(text)
	}
}

// live is the running container id, or nil.
func (d *Driver) live(id string) *live {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lives[id]
}
