package supervision

import (
	"context"
	"os"

	"github.com/stackrun/stack/internal/rawfd"
	"github.com/stackrun/stack/runtime/child"
	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

// Run is one run of a container: handles to its monitor. Immutable but for Exit, which is set before
// Over is closed, and what the Supervisor guards.
type Run struct {
	ID      string
	status  proto.Status
	monitor *os.File       // pidfd
	reports *child.Reports // of a monitor that was started here; nil: adopted
	root    *os.File       // of the container, where its unmounting takes time, see unmounts; else nil

	done chan struct{} // closed when the monitor has ended and the exit is on record
	Exit *process.Exit
	gone chan struct{} // closed when the Supervisor let go of it while it ran

	disowned bool // it is being ended, see disown. Guarded by Supervisor.mu
	freed    bool // monitor and reports are the spare's. Guarded by Supervisor.mu
}

// Init is the first process of the container.
func (l *Run) Init() identity.Process { return identity.InitOf(&l.status) }

// release stops watching; the container runs on.
func (l *Run) release() {
	l.hangUp()
	if l.root != nil {
		l.root.Close()
	}
}

// hangUp lets go of the monitor.
func (l *Run) hangUp() {
	l.monitor.Close()
	if l.reports != nil {
		l.reports.Close()
	}
}

// end waits for the end of the run: that of the monitor's process, or that it is free, and the process waits for the next; then its exit is what it has told. The
// error is that of release.
func (l *Run) end() (told *process.Exit, err error) {
	for l.reports != nil {
		rep, fds, err := l.reports.Next()
		rawfd.CloseAll(fds) // none is expected
		if err == nil && rep.Type == proto.ReportExited && rep.Free && rep.Exit != nil {
			return (*process.Exit)(rep.Exit), nil
		}
		if err != nil || rep.Type == proto.ReportSettled {
			l.reports.Close() // the rest is in the exit file
			break
		}
	}
	return nil, identity.AwaitEnd(l.monitor)
}

// Over is closed when the run has ended, its exit is on record and what it had is cleaned up.
func (l *Run) Over() <-chan struct{} { return l.done }

// Left is closed when the Supervisor was closed while it ran.
func (l *Run) Left() <-chan struct{} { return l.gone }

// Wait returns the exit when the run is over. ErrUnavailable when the Supervisor is closed first, or ctx's error.
func (l *Run) Wait(ctx context.Context) (process.Exit, error) {
	select {
	case <-l.done:
		return *l.Exit, nil
	default:
	}
	select {
	case <-l.done:
		return *l.Exit, nil
	case <-l.gone:
		return process.Exit{}, ErrClosed
	case <-ctx.Done():
		return process.Exit{}, ctx.Err()
	}
}
