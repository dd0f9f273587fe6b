package volume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
)

// List is every volume, by name. One without a readable record is listed too, with a Problem and a Config that has
// nothing but its ID.
func (d *Driver) List(ctx context.Context) ([]State, error) {
	entries, err := os.ReadDir(d.root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // somebody may have removed all volumes
		return nil, fmt.Errorf("cannot list volumes: %w", err)
	}
	var all []State
	for _, e := range entries {
		if checkName(e.Name()) != nil {
			continue
		}
		s, err := d.state(e.Name())
		if errors.Is(err, errdefs.ErrNotFound) { // removed meanwhile
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot list volumes: %w", err)
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b State) int { return strings.Compare(a.Config.ID, b.Config.ID) })
	return all, nil
}

// state reads one volume; ErrNotFound when there is none.
func (d *Driver) state(id string) (State, error) {
	dir := filepath.Join(d.root, id)
	s := State{Config: Config{ID: id}, Path: filepath.Join(dir, dataDir)}
	text, err := os.ReadFile(filepath.Join(dir, recordFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if st, err := os.Lstat(dir); err != nil || !st.IsDir() {
			return State{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("there is no volume %q", id))
		}
		s.Problem = "its record " + recordFile + " is gone"
		return s, nil
	case err != nil:
		return State{}, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil || r.Config.ID != id {
		s.Problem = "its record " + recordFile + " cannot be read"
		return s, nil
	}
	if r.Version != recordVersion {
		return State{}, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("record of volume %q has version %d, expected %d", id, r.Version, recordVersion))
	}
	s.Config, s.CreatedAt = r.Config, r.CreatedAt
	switch o, err := parseOptions(r.Config); {
	case err != nil: // of this volume alone: the others are listed
		s.Problem = "its record " + recordFile + " cannot be used: " + err.Error()
	case o.device != "":
		s.Path = o.device // the user's own: missing is for Check and Mounts to refuse, and for nobody to make
	case !isDir(s.Path):
		s.Problem = "its directory " + dataDir + " is gone"
	}
	return s, nil
}

// unrecorded says that there is a directory of that name and nothing that says what volume it is.
func (s State) unrecorded() bool { return s.CreatedAt.IsZero() }

func isDir(path string) bool {
	st, err := os.Stat(path) // a link of root's own to a larger disk is a directory too
	return err == nil && st.IsDir()
}

// mend makes what is missing of volume c. Precondition: d.mu is held; have is its state, with a Problem.
func (d *Driver) mend(c Config, have State) (State, error) {
	dir := filepath.Join(d.root, c.ID)
	if data := filepath.Join(dir, dataDir); !isDir(data) {
		if _, err := os.Lstat(data); err == nil {
			return State{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot mend volume %q: %s is not a directory; move it away", c.ID, data))
		}
		if err := makeData(dir); err != nil {
			return State{}, fmt.Errorf("cannot mend volume %q: %w", c.ID, err)
		}
	}
	if have.unrecorded() {
		if err := writeRecord(dir, record{Version: recordVersion, Config: c, CreatedAt: time.Now().UTC()}); err != nil {
			return State{}, fmt.Errorf("cannot mend volume %q: %w", c.ID, err)
		}
	}
	return d.state(c.ID)
}
