package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/identity"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/runtime/proto"
)

// A container's record.
//
//	<state>/containers/<id>/config.json   Config, written once by Create. Its presence is the container's existence.
//	<state>/containers/<id>/run.json      run, written by Start: with it and without exit.json the container was running
//	<state>/containers/<id>/exit.json     proto.Exit of the last run, written by the monitor, or by us in its place
//	<run>/containers/<id>/status.json     proto.Status, written by the monitor
//	<run>/containers/<id>/monitor.sock    the monitor's socket
const (
	configName = "config.json"
	runName    = "run.json"
	exitName   = "exit.json"
)

// run is what Start records of a run. It tells a container that was never started from one whose
// end nobody saw, because the host went down or the monitor was killed.
type run struct {
	Boot      string    `json:"boot"` // /proc/sys/kernel/random/boot_id
	Asked     time.Time `json:"asked"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	Warnings  []string  `json:"warnings,omitempty"`

	// The monitor, zero for the moment between the record and the spawn.
	Monitor identity.Monitor `json:"monitor"`
}

func (d *Driver) stateDir(elem ...string) string {
	return d.roots.InState(append([]string{"containers"}, elem...)...)
}

func (d *Driver) runDir(elem ...string) string {
	return d.roots.InRun(append([]string{"containers"}, elem...)...)
}

// recordCache saves reading and decoding the record that each container has of one kind. All are replaced by renaming: a record is the same while it is
// the same file.
type recordCache[T any] struct {
	mu sync.Mutex
	m  map[string]cachedRecord[T]
}

type cachedRecord[T any] struct {
	ino   uint64
	size  int64
	mtime unix.Timespec
	value *T
}

// get is the record of id in the file of which st is the stat; nil when it is not known.
func (rc *recordCache[T]) get(id string, st *unix.Stat_t) *T {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if have, ok := rc.m[id]; ok && have.ino == st.Ino && have.size == st.Size && have.mtime == st.Mtim {
		return have.value
	}
	return nil
}

func (rc *recordCache[T]) put(id string, st *unix.Stat_t, value *T) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if rc.m == nil {
		rc.m = map[string]cachedRecord[T]{}
	}
	rc.m[id] = cachedRecord[T]{st.Ino, st.Size, st.Mtim, value}
}

func (rc *recordCache[T]) forget(id string) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	delete(rc.m, id)
}

// read is the record of id at path. The result is shared: read only. The error is a *fs.PathError when the file cannot be read.
func (rc *recordCache[T]) read(id, path string) (*T, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		rc.forget(id)
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if have := rc.get(id, &st); have != nil {
		return have, nil
	}
	// A file that is put there from here on has another stat: what is read is never taken for an older one.
	value := new(T)
	if err := readJSON(path, value); err != nil {
		return nil, err
	}
	rc.put(id, &st, value)
	return value, nil
}

// config reads the record of id. ErrNotFound when there is none. The result is shared: read only.
func (d *Driver) config(id string) (*container.Config, error) {
	if err := container.CheckID(id); err != nil {
		return nil, err
	}
	path := d.stateDir(id, configName)
	c, err := d.configs.read(id, path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return nil, container.NotFound(id)
	case err != nil:
		return nil, fmt.Errorf("cannot read container %.12s: %w", id, err)
	case c.ID != id || c.Spec == nil:
		return nil, fmt.Errorf("cannot read container %.12s: %s: %w: %q", id, path, errForeign, c.ID)
	}
	return c, nil
}

// readExit reads exit.json. fs.ErrNotExist when there is none.
func (d *Driver) readExit(id string) (*process.Exit, error) {
	e := new(proto.Exit)
	err := readJSON(d.stateDir(id, exitName), e)
	if errors.Is(err, fs.ErrNotExist) {
		err = readJSON(d.runDir(id, proto.ExitName), e)
	}
	if err != nil {
		return nil, err
	}
	return fromProto(e), nil
}

// exitRecorded says whether readExit has something to read.
func (d *Driver) exitRecorded(id string) bool {
	var st unix.Stat_t
	return unix.Lstat(d.stateDir(id, exitName), &st) == nil || unix.Lstat(d.runDir(id, proto.ExitName), &st) == nil
}

// keepExit brings an exit that the monitor could write to the run directory only, which does not outlive the host's boot, to where it belongs. What fails is
// tried again by the next daemon.
func (d *Driver) keepExit(id string, e *process.Exit) {
	aside := d.runDir(id, proto.ExitName)
	var st unix.Stat_t
	if unix.Lstat(aside, &st) == nil && d.writeExit(id, e) == nil {
		_ = unix.Unlink(aside)
	}
}

func (d *Driver) writeExit(id string, e *process.Exit) error {
	b, err := json.Marshal(proto.Exit(*e))
	if err != nil {
		return err
	}
	return atomicfile.Write(d.stateDir(id, exitName), b, 0o600, atomicfile.NoSync)
}

func fromProto(e *proto.Exit) *process.Exit {
	x := process.Exit(*e)
	return &x
}

// readStatus reads status.json. fs.ErrNotExist when there is none. The result is shared: read only.
func (d *Driver) readStatus(id string) (*proto.Status, error) {
	return d.statuses.read(id, d.runDir(id, proto.StatusName))
}

// readRun reads run.json. fs.ErrNotExist when there is none. The result is shared: read only.
func (d *Driver) readRun(id string) (*run, error) { return d.runs.read(id, d.stateDir(id, runName)) }

func (d *Driver) writeRun(id string, r *run) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.Write(d.stateDir(id, runName), b, 0o600, atomicfile.NoSync)
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("cannot read %s: %w", path, err)
	}
	return nil
}

// bootID tells this boot of the host from every other, random(4).
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("cannot tell this boot from another: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// ids lists the containers that have a record, and the directories that have none.
func (d *Driver) listIDs() (ids, debris []string, err error) {
	entries, err := os.ReadDir(d.stateDir())
	if err != nil {
		return nil, nil, fmt.Errorf("cannot list containers: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || container.CheckID(e.Name()) != nil {
			continue
		}
		if _, err := os.Lstat(filepath.Join(d.stateDir(), e.Name(), configName)); err == nil {
			ids = append(ids, e.Name())
		} else if errors.Is(err, fs.ErrNotExist) {
			debris = append(debris, e.Name())
		} else {
			return nil, nil, fmt.Errorf("cannot list containers: %w", err)
		}
	}
	return ids, debris, nil
}
