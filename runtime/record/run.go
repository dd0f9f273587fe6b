package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

// Run is what a start records of a run. It tells a container that was never started from one whose
// end nobody saw, because the host went down or the monitor was killed.
type Run struct {
	Boot      string    `json:"boot"` // /proc/sys/kernel/random/boot_id
	Asked     time.Time `json:"asked"`
	StartedAt time.Time `json:"startedAt,omitzero"` // where it is known: while it runs Status has it, afterwards Exit
	Warnings  []string  `json:"warnings,omitempty"`

	// The monitor, zero for the moment between the record and the spawn.
	Monitor identity.Monitor `json:"monitor"`
}

// Exit reads exit.json. fs.ErrNotExist when there is none.
func (rs *Records) Exit(id string) (*process.Exit, error) {
	e := new(proto.Exit)
	err := readJSON(rs.StateDir(id, exitName), e)
	if errors.Is(err, fs.ErrNotExist) {
		err = readJSON(rs.RunDir(id, proto.ExitName), e)
	}
	if err != nil {
		return nil, err
	}
	return (*process.Exit)(e), nil
}

// HasExit says whether Exit has something to read.
func (rs *Records) HasExit(id string) bool {
	var st unix.Stat_t
	return unix.Lstat(rs.StateDir(id, exitName), &st) == nil || unix.Lstat(rs.RunDir(id, proto.ExitName), &st) == nil
}

// KeepExit brings an exit that the monitor could write to the run directory only, which does not outlive the host's boot, to where it belongs. What fails is
// tried again by the next daemon.
func (rs *Records) KeepExit(id string, e *process.Exit) {
	aside := rs.RunDir(id, proto.ExitName)
	var st unix.Stat_t
	if unix.Lstat(aside, &st) == nil && rs.WriteExit(id, e) == nil {
		_ = unix.Unlink(aside)
	}
}

// WriteExit puts down how the last run of id has ended.
func (rs *Records) WriteExit(id string, e *process.Exit) error {
	b, err := json.Marshal(proto.Exit(*e))
	if err != nil {
		return err
	}
	return atomicfile.Write(rs.StateDir(id, exitName), b, 0o600, atomicfile.NoSync)
}

// Status reads status.json. fs.ErrNotExist when there is none. The result is shared: read only.
func (rs *Records) Status(id string) (*proto.Status, error) {
	return rs.statuses.read(id, rs.RunDir(id, proto.StatusName))
}

// ofRun are the files of a container that runs, until its exit is on record.
var ofRun = []string{proto.StatusName, proto.SocketName}

// OfRun says whether name is one of those.
func OfRun(name string) bool { return slices.Contains(ofRun, name) }

// stoppingName is a link of a container that was sent its stop signal, to the name of the process that got it. It lies with what is of a run, but is believed by that name
// alone: a program from before there was such a note starts a container and leaves it.
const stoppingName = "stopping"

// stoppingNote is what the link of init's run says.
func stoppingNote(init identity.Process) string { return fmt.Sprintf("%d:%d", init.Pid, init.Start) }

// MarkStopping puts down that init, of the run of id, is being sent its stop signal: a daemon that follows this one sees it run, and has to know that it is to end.
func (rs *Records) MarkStopping(id string, init identity.Process) error {
	if rs.Stopping(id, init) {
		return nil
	}
	link := rs.RunDir(id, stoppingName)
	err := unix.Symlink(stoppingNote(init), link)
	if err == unix.EEXIST { // of a run before
		_ = unix.Unlink(link)
		err = unix.Symlink(stoppingNote(init), link)
	}
	if err != nil {
		return &fs.PathError{Op: "symlink", Path: link, Err: err}
	}
	return nil
}

// Stopping says whether MarkStopping has been called of init, of the run of id.
func (rs *Records) Stopping(id string, init identity.Process) bool {
	var b [64]byte
	n, err := unix.Readlink(rs.RunDir(id, stoppingName), b[:])
	return err == nil && string(b[:n]) == stoppingNote(init)
}

// HasRunDir says whether id has its directory below the run root, which Begin makes.
func (rs *Records) HasRunDir(id string) bool {
	var st unix.Stat_t
	return unix.Lstat(rs.RunDir(id), &st) != unix.ENOENT
}

// MissingOfRun is the path of one of those that is not there, "" = all are.
func (rs *Records) MissingOfRun(id string) string {
	for _, name := range ofRun {
		var st unix.Stat_t
		if path := rs.RunDir(id, name); unix.Lstat(path, &st) == unix.ENOENT {
			return path
		}
	}
	return ""
}

// Run reads run.json. fs.ErrNotExist when there is none. The result is shared: read only.
func (rs *Records) Run(id string) (*Run, error) { return rs.runs.read(id, rs.StateDir(id, runName)) }

// WriteRun puts down what is known of the run of id.
func (rs *Records) WriteRun(id string, r *Run) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.Write(rs.StateDir(id, runName), b, 0o600, atomicfile.NoSync)
}

// Begin puts down that id is about to run: an empty run directory, and a run without an exit.
//
// Preconditions: id's lock is held, it does not run.
func (rs *Records) Begin(id string, r *Run) error {
	dir := rs.RunDir(id)
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		for _, n := range append(slices.Clone(ofRun), stoppingName) {
			if err := unix.Unlink(rs.RunDir(id, n)); err != nil && err != unix.ENOENT {
				return fmt.Errorf("unlink %s: %w", rs.RunDir(id, n), err)
			}
		}
	} else if err != nil {
		return err
	}
	if err := rs.WriteRun(id, r); err != nil {
		return err
	}
	// The end of the last run is known until then: a full disk takes no Run.
	for _, exit := range []string{rs.RunDir(id, proto.ExitName), rs.StateDir(id, exitName)} {
		if err := unix.Unlink(exit); err != nil && err != unix.ENOENT {
			return fmt.Errorf("unlink %s: %w", exit, err)
		}
	}
	return nil
}

// Undo takes back Begin, and what the monitor has put down. With x the run is on record as ended; without, as never started.
//
// Preconditions: id's lock is held, the monitor has ended.
func (rs *Records) Undo(id string, x *process.Exit) error {
	var errs []error
	for _, n := range append(slices.Clone(ofRun), proto.ExitName) {
		if err := unix.Unlink(rs.RunDir(id, n)); err != nil && err != unix.ENOENT {
			errs = append(errs, err)
		}
	}
	if x != nil {
		errs = append(errs, rs.WriteExit(id, x))
		return errors.Join(errs...)
	}
	for _, n := range []string{exitName, runName} { // the monitor has told an exit too
		if err := unix.Unlink(rs.StateDir(id, n)); err != nil && err != unix.ENOENT {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// ExitPath is where the monitor of id is to put down the exit.
func (rs *Records) ExitPath(id string) string { return rs.StateDir(id, exitName) }
