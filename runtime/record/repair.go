package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

// damagedSuffix ends the name of a directory that was put aside. It holds a dot, so that it is no container's id and no verb finds it.
const damagedSuffix = ".damaged"

// errForeign is a record of something else than its name says.
var errForeign = errors.New("it is the record of another container")

// isDamaged says whether err means that a record can be read and makes no sense, now or ever.
func isDamaged(err error) bool {
	var syntax *json.SyntaxError
	var value *json.UnmarshalTypeError
	return errors.As(err, &syntax) || errors.As(err, &value) || errors.Is(err, errForeign)
}

// Repair makes the records of id such that all can be read. They are not synced when they are written, so a power cut may leave one empty
// or in part; the one container must not keep the daemon from the others. One without a configuration is put aside, under another name, for
// people to look at; a run of which nothing is known has ended with the host. false: id is no container any more.
// tell is told of each.
//
// Precondition: nobody else uses id.
func (rs *Records) Repair(id string, tell func(string)) (there bool, err error) {
	if _, err := rs.Config(id); isDamaged(err) {
		aside := rs.StateDir(id + damagedSuffix)
		if err := errors.Join(os.RemoveAll(aside), os.Rename(rs.StateDir(id), aside)); err != nil {
			return false, fmt.Errorf("cannot put a damaged container aside: %w", err)
		}
		tell(fmt.Sprintf("the record of container %.12s is damaged and was put aside (%v); it is kept in %s, and `stack up` makes the container anew", id, err, aside))
		return false, nil
	}
	status, err := rs.Status(id)
	if isDamaged(err) {
		if err := unix.Unlink(rs.RunDir(id, proto.StatusName)); err != nil {
			return false, fmt.Errorf("unlink %s: %w", rs.RunDir(id, proto.StatusName), err)
		}
	}
	was := Run{} // of no boot that there was
	alive := err == nil && identity.MonitorOf(status).Alive()
	if alive {
		was = Run{Boot: rs.Boot, StartedAt: status.StartedAt, Monitor: identity.MonitorOf(status)}
	}
	_, runErr := rs.Run(id)
	_, exitErr := rs.Exit(id)
	if isDamaged(runErr) {
		tell(fmt.Sprintf("the record of the last run of container %.12s is damaged and was made anew: %v", id, runErr))
		if err := insteadOf(rs.StateDir(id, runName), rs.WriteRun(id, &was), tell); err != nil {
			return false, err
		}
	}
	switch {
	case alive && isDamaged(exitErr): // its monitor will write another
		return true, unix.Unlink(rs.StateDir(id, exitName))
	case !alive && (isDamaged(exitErr) || isDamaged(runErr) && errors.Is(exitErr, fs.ErrNotExist)):
		tell(fmt.Sprintf("how container %.12s has ended is lost, its record is damaged; it counts as killed", id))
		lost := &process.Exit{Code: 137, Signal: int(unix.SIGKILL), FinishedAt: time.Now(), Unseen: true, Error: "the record of its end was damaged, as a power cut does"}
		return true, insteadOf(rs.StateDir(id, exitName), rs.WriteExit(id, lost), tell)
	}
	return true, nil
}

// insteadOf has a damaged record go when what was to take its place could not be written, err says why: on a full disk the one container must not keep the daemon from the others
// either. Without it the container counts as one that has not run, or whose end nobody has seen.
func insteadOf(path string, err error, tell func(string)) error {
	if err == nil {
		return nil
	}
	tell(err.Error())
	if gone := unix.Unlink(path); gone != nil && gone != unix.ENOENT {
		return errors.Join(err, fmt.Errorf("unlink %s: %w", path, gone))
	}
	return nil
}
