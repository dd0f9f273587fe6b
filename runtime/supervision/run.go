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
	devices bool           // it has file systems of devices or of other machines mounted, which are free when it has ended

	done chan struct{} // closed when the monitor has ended, or is free, and the exit is on record
	Exit *process.Exit
	gone chan struct{} // closed when the Supervisor let go of it while it ran

	disowned bool // it is being ended, see disown. Guarded by Supervisor.mu
	freed    bool // monitor and reports are the spare's. Guarded by Supervisor.mu
}

// Status is what the monitor has put down of the run when it began. Read only.
func (l *Run) Status() *proto.Status { return &l.status }

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

// end waits for the end of the run: that its monitor has told the exit, which is on record then, though it is not done with it, see tidied; or that of the monitor's process, and then told is
// nil. The error is that of release.
func (l *Run) end() (told *process.Exit, err error) {
	if rep := l.next(proto.ReportExited); rep != nil && rep.Exit != nil && rep.Kept {
		return (*process.Exit)(rep.Exit), nil
	}
	return nil, identity.AwaitEnd(l.monitor)
}

// tidied waits until the monitor, which has told the exit, has nothing of the run any more: free says that its process waits for the next work, or else it has ended. The error is that of release.
func (l *Run) tidied() (free bool, err error) {
	if l.next(proto.ReportFree) != nil {
		return true, nil
	}
	return false, identity.AwaitEnd(l.monitor)
}

// next is the next report of kind, nil when none is to come.
func (l *Run) next(kind proto.ReportType) *proto.Report {
	for l.reports != nil {
		rep, fds, err := l.reports.Next()
		rawfd.CloseAll(fds) // none is expected
		switch {
		case err == nil && rep.Type == kind:
			return rep
		case err != nil || rep.Type == proto.ReportSettled:
			l.reports.Close() // the rest is in the exit file
			return nil
		}
	}
	return nil
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
