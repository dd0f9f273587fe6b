package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/rawfd"
	"github.com/stackrun/stack/runtime/proto"
)

// StartError says at which stage a start stopped. Failure.ExitCode is the container's exit code then.
type StartError struct {
	ID      string
	Failure *proto.Failure
}

func (e *StartError) Error() string {
	return fmt.Sprintf("cannot start container %.12s: %s", e.ID, e.Failure.Error())
}

// HostLacks says that nothing is the matter with the container: the host had no process, no namespace or no open file left for it. By clone(2), namespaces(7) (a limit of /proc/sys/user is
// ENOSPC, EUSERS before Linux 4.9) and open(2). Another call of the start with one of these errors is about what the container asks for, as a tmpfs of its own that is full, and so is the clone of
// init: true, which is made under the container's own limits.
func (e *StartError) HostLacks() bool {
	switch e.Failure.Errno {
	case unix.EMFILE, unix.ENFILE:
		return true
	case unix.ENOSPC, unix.EUSERS, unix.EAGAIN, unix.ENOMEM:
		return e.Failure.Stage != "init" && slices.Contains([]string{"clone", "clone3", "unshare"}, e.Failure.Syscall)
	}
	return false
}

// Started is what a monitor tells of what it has started.
type Started struct {
	proto.Status
	File int // the caller's: of a container its root, of an exec the master of its terminal; -1 = none
}

// lastWordTime is how long the last report of a monitor may take that has ended already.
const lastWordTime = 5 * time.Second

// AwaitStart reads the child's reports up to the one that decides. handed is why it did not get all that it was to be told: one that has failed before takes
// nothing more, but has said why. listening is called when the monitor takes clients; its error is the failure, unless the monitor tells another. notes are what was to be
// told of the start. err is ctx's; else the start has either succeeded, or failed.
func (p *Child) AwaitStart(ctx context.Context, handed error, listening func() error) (_ *Started, _ *proto.Failure, notes []string, err error) {
	stop := context.AfterFunc(ctx, func() { p.Reports.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	broken := func(detail string) (*Started, *proto.Failure, []string, error) {
		return nil, &proto.Failure{Stage: "monitor", Detail: detail, ExitCode: 125}, notes, nil
	}
	var unheard error // of listening
	for {
		rep, fds, err := p.Reports.Next()
		file := -1
		if err == nil && rep.Type == proto.ReportStarted && rep.Status != nil && len(fds) == 1 {
			file, fds = fds[0], nil
		}
		rawfd.CloseAll(fds) // no other is expected
		switch {
		case err == io.EOF && handed != nil:
			return broken(handed.Error())
		case err == io.EOF && unheard == nil:
			return broken("it ended without a word")
		case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() != nil:
			return nil, nil, notes, ctx.Err()
		case err != nil && unheard != nil:
			return broken(unheard.Error())
		case err != nil:
			return broken(err.Error())
		}
		switch rep.Type {
		case proto.ReportListening:
			if listening == nil {
				return broken("unexpected report listening")
			}
			// A monitor whose container fails before its execve takes the socket away after it has told why: that
			// report is what there is to say. It is on its way already.
			if unheard = listening(); unheard != nil {
				p.Reports.file.SetReadDeadline(time.Now().Add(lastWordTime))
			}
		case proto.ReportWarning:
			notes = append(notes, rep.Note)
		case proto.ReportStarted:
			if rep.Status == nil {
				return broken("report started without a status")
			}
			return &Started{*rep.Status, file}, nil, notes, nil
		case proto.ReportFailed:
			if rep.Failure == nil {
				return broken("report failed without a failure")
			}
			return nil, rep.Failure, notes, nil
		default:
			return broken(fmt.Sprintf("unexpected report %q", rep.Type))
		}
	}
}
