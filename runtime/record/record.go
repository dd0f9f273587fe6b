// Package record has what is on record of containers, as files below both roots: what each is, that it was started, how it runs and how it has ended.
//
// Touches <state>/containers and <run>/containers. The monitor of a container writes there too, see package proto.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/runtime/container"
	"github.com/stackrun/stack/runtime/proto"
)

// The record of a container.
//
//	<state>/containers/<id>/config.json   Config, written once by Create. Its presence is the container's existence.
//	<state>/containers/<id>/run.json      Run, written by a start: with it and without exit.json the container was running
//	<state>/containers/<id>/exit.json     proto.Exit of the last run, written by the monitor, or by the daemon in its place
//	<state>/containers/<id>/.*.reserve    room for the next config.json and run.json, see Reserve
//	<run>/containers/<id>/status.json     proto.Status, written by the monitor
//	<run>/containers/<id>/monitor.sock    the monitor's socket
//	<run>/containers/<id>/stopping        a link to the name of the process that was sent its stop signal
const (
	ConfigName = "config.json" // in the directory of a container below the state root
	runName    = "run.json"
	exitName   = "exit.json"
)

// Records are those of all containers, in memory too as long as their files stay what they are. It is safe for concurrent use, but of one container one changes
// the record at a time.
type Records struct {
	roots    roots.Roots
	Boot     string // this boot of the host, random(4)
	configs  cache[container.Config]
	runs     cache[Run]
	statuses cache[proto.Status]
}

// Open makes the directories of containers in both roots, where they are missing.
func Open(of roots.Roots) (*Records, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	rs := &Records{roots: of, Boot: boot}
	for _, dir := range []string{rs.StateDir(), rs.RunDir()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("cannot make the directory of containers: %w", err)
		}
	}
	return rs, nil
}

// StateDir is the directory of containers below the state root, or what elem names in it.
func (rs *Records) StateDir(elem ...string) string {
	return rs.roots.InState(append([]string{"containers"}, elem...)...)
}

// RunDir is StateDir below the run root.
func (rs *Records) RunDir(elem ...string) string {
	return rs.roots.InRun(append([]string{"containers"}, elem...)...)
}

// Below says whether path lies below the state root.
func (rs *Records) Below(path string) bool { return strings.HasPrefix(path, rs.roots.InState()+"/") }

// Config reads the record of id. ErrNotFound when there is none. The result is shared: read only.
func (rs *Records) Config(id string) (*container.Config, error) {
	if err := container.CheckID(id); err != nil {
		return nil, err
	}
	path := rs.StateDir(id, ConfigName)
	c, err := rs.configs.read(id, path)
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

// Add puts down c, of which there is no record. What an interrupted Add or Remove has left is replaced. ErrInvalidArgument when c cannot be written as JSON.
//
// Preconditions: id's lock is held.
func (rs *Records) Add(c *container.Config) error {
	b, err := json.Marshal(c)
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, err)
	}
	dir := rs.StateDir(c.ID)
	// What an interrupted Create or Delete left is not a container: it has no config.json.
	if err := os.Mkdir(dir, 0o700); errors.Is(err, fs.ErrExist) {
		err = os.RemoveAll(dir)
		if err == nil {
			err = os.Mkdir(dir, 0o700)
		}
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	failpoint.Hit("runtime.create.directory")
	if err := rs.writeConfig(c, b); err != nil {
		os.RemoveAll(dir)
		return err
	}
	failpoint.Hit("runtime.create.recorded")
	return nil
}

// Change puts down c in place of the record of the same container. One that is the same is left as it is, for which a full disk has room too. Errors as Add's.
//
// Preconditions: id's lock is held, there is a record.
func (rs *Records) Change(c *container.Config) error {
	b, err := json.Marshal(c)
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, err)
	}
	if was, err := os.ReadFile(rs.StateDir(c.ID, ConfigName)); err == nil && bytes.Equal(was, b) {
		return nil
	}
	return rs.writeConfig(c, b)
}

// Room for what a start puts down: with addresses and names of others a Config is longer than it was.
const (
	configGrowth = 16 << 10
	runRoom      = 8 << 10
)

// Reserve keeps room for the next Change of id's Config, and for the next Run.
//
// Preconditions: id's lock is held, there is a record.
func (rs *Records) Reserve(id string) error {
	path := rs.StateDir(id, ConfigName)
	info, err := os.Stat(path)
	if err == nil {
		err = atomicfile.Reserve(path, info.Size()+configGrowth)
	}
	if err == nil {
		err = atomicfile.Reserve(rs.StateDir(id, runName), runRoom)
	}
	return err
}

func (rs *Records) writeConfig(c *container.Config, b []byte) error {
	path := rs.StateDir(c.ID, ConfigName)
	// 0600: the environment holds passwords. Not synced: what a power cut takes is made again from the desired state.
	if err := atomicfile.Write(path, b, 0o600, atomicfile.NoSync); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err == nil {
		rs.configs.put(c.ID, &st, c)
	}
	return nil
}

// Remove takes down all records of id. That of its existence goes last: while it is there, somebody knows that the rest is to be removed. Idempotent.
//
// Preconditions: id's lock is held, nothing runs.
func (rs *Records) Remove(id string) error {
	if err := os.RemoveAll(rs.RunDir(id)); err != nil {
		return err
	}
	dir := rs.StateDir(id)
	failpoint.Hit("runtime.delete.rundir")
	// Everything else before config.json, so that half a removal is still the container.
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if e.Name() != ConfigName {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	failpoint.Hit("runtime.delete.emptied")
	_ = unix.Unlink(rs.StateDir(id, ConfigName)) // which is nearly always all that there is; RemoveAll takes the rest, and says what cannot be removed
	_ = unix.Rmdir(dir)
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	rs.configs.forget(id)
	rs.runs.forget(id)
	rs.statuses.forget(id)
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

// Empty says whether no container has a record. It looks no further than the first that has one: of many that are removed each asks.
func (rs *Records) Empty() (bool, error) {
	dir, err := os.Open(rs.StateDir())
	if err != nil {
		return false, fmt.Errorf("cannot list containers: %w", err)
	}
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(16)
		for _, name := range names {
			if container.CheckID(name) != nil {
				continue
			}
			if _, err := os.Lstat(rs.StateDir(name, ConfigName)); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) {
				return false, err
			}
		}
		switch {
		case err == io.EOF:
			return true, nil
		case err != nil:
			return false, fmt.Errorf("cannot list containers: %w", err)
		}
	}
}

// IDs lists the containers that have a record, and the directories that have none.
func (rs *Records) IDs() (ids, debris []string, err error) {
	entries, err := os.ReadDir(rs.StateDir())
	if err != nil {
		return nil, nil, fmt.Errorf("cannot list containers: %w", err)
	}
	for _, e := range entries {
		if !e.IsDir() || container.CheckID(e.Name()) != nil {
			continue
		}
		if _, err := os.Lstat(filepath.Join(rs.StateDir(), e.Name(), ConfigName)); err == nil {
			ids = append(ids, e.Name())
		} else if errors.Is(err, fs.ErrNotExist) {
			debris = append(debris, e.Name())
		} else {
			return nil, nil, fmt.Errorf("cannot list containers: %w", err)
		}
	}
	return ids, debris, nil
}
