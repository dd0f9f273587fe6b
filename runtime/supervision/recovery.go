package supervision

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/process"
)

// Recover adopts the containers that run, and finishes what an earlier daemon has left half done: a container whose monitor is dead is killed, one that went down with
// the host has ended, a damaged record is put aside, and directories and cgroups without a record are removed.
//
// Precondition: nobody else uses the Supervisor yet.
func (sv *Supervisor) Recover(ctx context.Context) error {
	ids, _, err := sv.records.IDs()
	if err != nil {
		return err
	}
	for _, id := range ids {
		there, err := sv.records.Repair(id, sv.notice)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		if err := sv.recoverOne(id); err != nil {
			return fmt.Errorf("cannot adopt container %.12s: %w", id, err)
		}
	}
	_, err = sv.Debris(ctx, true)
	return err
}

// decideTime bounds the wait for a monitor's decision. It takes a moment, but on a host with far too much to do: to end one that only waits for its turn may
// be to end a program that has begun.
const decideTime = 30 * time.Second

// decided waits for a monitor that has not come as far as its status, since the daemon died, or hung up, while it started the container. It has seen that:
// before execve it undoes the start and ends; after it, it puts its status down, and the container is adopted: a program that has begun is not
// started a second time. nil: it has ended. One that does neither is killed, and so is one whose container cannot be found any more: its directory below the run root was removed, or the status that it has put
// down.
// Preconditions: nobody starts id.
func (sv *Supervisor) decided(id string, monitor identity.Monitor) (*Run, error) {
	for deadline := time.Now().Add(decideTime); ; time.Sleep(time.Millisecond) {
		settled := monitor.Settled() // first: what it has put down by then is there below, or was removed
		if l, err := sv.adopt(id); err != nil || l != nil {
			return l, err
		}
		pidfd, err := monitor.Open() // which reaps it when it has ended
		if errors.Is(err, identity.ErrGone) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		lost := settled || !sv.records.HasRunDir(id)
		if lost || time.Now().After(deadline) {
			missing := sv.records.MissingOfRun(id)
			err := errors.Join(identity.Signal(pidfd, unix.SIGKILL), identity.AwaitEnd(pidfd))
			identity.Reap(pidfd)
			pidfd.Close()
			if lost && err == nil && !sv.records.HasExit(id) {
				sv.unseen(id, &process.Exit{FinishedAt: time.Now(), Error: missing + " was removed, by which the container is found; it was killed"})
			}
			return nil, err
		}
		pidfd.Close()
	}
}

func (sv *Supervisor) recoverOne(id string) error {
	l, err := sv.adopt(id)
	if err != nil || l != nil {
		return err
	}
	r, err := sv.records.Run(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // never started
	}
	if err != nil {
		return err
	}
	if r.Boot == sv.records.Boot {
		if l, err := sv.decided(id, r.Monitor); err != nil || l != nil {
			return err
		}
	}
	s, err := sv.records.Status(id)
	if err != nil {
		s = nil
	}
	if _, err := sv.records.Exit(id); errors.Is(err, fs.ErrNotExist) && r.Boot != sv.records.Boot {
		sv.unseen(id, &process.Exit{StartedAt: r.Asked, FinishedAt: time.Now(), Error: "the host went down while the container ran"})
		return nil
	}
	sv.settle(id, s, nil)
	return nil
}

// unseen puts down that container id was killed, as x says, and nobody saw it end. A disk that takes nothing is no reason to look after nobody: State says by itself that such a container has ended.
func (sv *Supervisor) unseen(id string, x *process.Exit) {
	x.Code, x.Signal, x.Unseen = 137, int(unix.SIGKILL), true
	if err := sv.records.WriteExit(id, x); err != nil {
		sv.notice(fmt.Sprintf("cannot record how container %.12s has ended (%s): %v", id, x.Error, err))
	}
}
