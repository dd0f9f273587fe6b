// Package visit copies files into containers and out of them, and looks at them, whatever state those are in.
//
// Touches the files of the container that it is asked about, from outside: nothing runs in it.
package visit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/thread"
	"github.com/stackrun/stack/runtime/boot"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/idlock"
	"github.com/stackrun/stack/runtime/proto"
	"github.com/stackrun/stack/runtime/record"
	"github.com/stackrun/stack/runtime/supervision"
	"github.com/stackrun/stack/runtime/unmount"
)

// A visit is a look at the files of a container from outside, by a descriptor of its root (docs/adr/0064-copying.md).
//
// Of a container that runs it is the root of its mount namespace, as its processes see it. It ends with the container: whoever
// starts it anew waits for that, for an overlay must not be mounted twice. Of one that does not run it is what the driver mounts for the purpose, in a mount namespace that
// goes with the last descriptor of it; meanwhile the container's lock is held, so that nobody starts it. Who wants to waits for a copy that gets on, and ends one that
// does not: its client has stopped, and need not come back.
//
// Nothing of a visit outlives this process: there are descriptors, and no process and no mount that others could see.
type visit struct {
	root  *os.File
	end   []func()     // in this order
	moved atomic.Int64 // bytes that its client has taken or given
}

// counted is w, of whose bytes v takes note.
func (v *visit) counted(w io.Writer) io.Writer { return &countedWriter{w, &v.moved} }

type countedWriter struct {
	io.Writer
	n *atomic.Int64
}

func (w *countedWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	w.n.Add(int64(n))
	return n, err
}

func (v *visit) close() {
	v.root.Close()
	for _, f := range v.end {
		f()
	}
}

// errVisitOver is why a visit ends that nobody has ended.
var (
	errVisitOver   = errdefs.With(errdefs.ErrConflict, errors.New("the container ended meanwhile"))
	errVisitWanted = errdefs.With(errdefs.ErrConflict, errors.New("the container is to be started or changed, and the copy did not get on"))
)

// Visitor opens the files of containers. All of its parts are needed.
type Visitor struct {
	Records  *record.Records
	Runs     *supervision.Supervisor
	Locks    *idlock.Locks
	Guests   *idlock.Guests
	Unmounts *unmount.Queue
}

// open opens the root of container id; bare is without what is mounted in it. The context that it returns ends when the visit must.
func (vr *Visitor) open(ctx context.Context, id string, bare bool) (context.Context, *visit, error) {
	c, err := vr.Records.Config(id)
	if err != nil {
		return nil, nil, err
	}
	l, err := vr.Runs.Find(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if l != nil {
		return vr.visitRunning(ctx, l, bare)
	}
	unlock, err := vr.Locks.Lock(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	if l, err = vr.Runs.FindLocked(ctx, id); l != nil || err != nil {
		unlock()
		if err != nil {
			return nil, nil, err
		}
		return vr.visitRunning(ctx, l, bare)
	}
	v, err := vr.visitStill(ctx, c, bare)
	if err != nil {
		unlock()
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	unlock = vr.Locks.Watched(id, unlock, func(seen int64) int64 {
		now := v.moved.Load()
		if now == seen {
			cancel(errVisitWanted)
		}
		return now
	})
	v.end = append(v.end, func() { cancel(nil) }, unlock)
	return ctx, v, nil
}

// visitRunning goes by the init's pidfd: a pid may be another's by the time.
func (vr *Visitor) visitRunning(ctx context.Context, l *supervision.Run, bare bool) (context.Context, *visit, error) {
	leave := vr.Guests.Enter(l.ID)
	pidfd, err := l.Init().Open()
	if err != nil {
		leave()
		if errors.Is(err, identity.ErrGone) {
			err = errVisitOver
		}
		return nil, nil, err
	}
	defer pidfd.Close()
	v := &visit{}
	err = thread.Apart(func() error {
		// A thread that shares its root with others cannot have another one.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		conn, err := pidfd.SyscallConn()
		if err != nil {
			return err
		}
		if cerr := conn.Control(func(fd uintptr) { err = unix.Setns(int(fd), unix.CLONE_NEWNS) }); cerr != nil {
			return cerr
		}
		if err == unix.ESRCH {
			return errVisitOver
		}
		if err != nil {
			return os.NewSyscallError("setns", err)
		}
		var fd int
		if bare {
			// A clone of this one mount, attached nowhere: what is mounted below is not in it.
			fd, err = unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		} else {
			fd, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		}
		if err != nil {
			return os.NewSyscallError("open", err)
		}
		v.root = os.NewFile(uintptr(fd), "/")
		return nil
	})
	if err != nil {
		leave()
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		select {
		case <-l.Over():
			cancel(errVisitOver)
		case <-l.Left():
			cancel(supervision.ErrClosed)
		case <-over:
		}
	}()
	v.end = append(v.end, func() { close(over); cancel(nil) }, leave)
	return ctx, v, nil
}

// Preconditions of visitStill: the container's lock is held, it does not run.
func (vr *Visitor) visitStill(ctx context.Context, c *container.Config, bare bool) (*visit, error) {
	if err := vr.Unmounts.Await(ctx, c.ID); err != nil {
		return nil, err
	}
	b := &proto.Bootstrap{ID: c.ID, Spec: c.Spec, Root: c.Root, Mounts: c.Mounts, RunDir: vr.Records.StateDir(c.ID)}
	var s *boot.Still
	err := thread.Apart(func() (err error) {
		s, err = boot.OpenStill(b, !bare)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("its root cannot be mounted: %w", err)
	}
	return &visit{root: os.NewFile(uintptr(s.Root), "/"), end: []func(){s.Leave}}, nil
}
