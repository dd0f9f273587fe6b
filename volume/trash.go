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
	"github.com/stackrun/stack/internal/failpoint"
)

// trashDir has the volumes that were removed and are kept for a while, each whole, as <volume>@<when it was removed>; no volume has such a name. That
// it is there is one rename, and so is that it is back.
const trashDir = ".trash"

// trashTime is how names in the trash say when, in UTC.
const trashTime = "20060102T150405.000000000Z"

// Removed is a volume in the trash.
type Removed struct {
	Config    Config
	RemovedAt time.Time
	Until     time.Time // it is removed for good by the next who looks after that
}

// throwAway moves volume id into the trash, if it is kept there: a named one with content of its own. Not kept or not there = false.
func (d *Driver) throwAway(id string) (bool, error) {
	if d.keep <= 0 {
		return false, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s, err := d.state(id)
	if err != nil || s.Config.Anonymous || s.unrecorded() || Copyable(s.Config) != nil {
		return false, nil //nolint:nilerr // Delete says what is wrong with it
	}
	if err := os.MkdirAll(filepath.Join(d.root, trashDir), 0o700); err != nil {
		return false, err
	}
	err = os.Rename(filepath.Join(d.root, id), filepath.Join(d.root, trashDir, id+"@"+time.Now().UTC().Format(trashTime)))
	if err == nil {
		failpoint.Hit("volume.trash.renamed")
		err = errors.Join(syncDir(filepath.Join(d.root, trashDir)), syncDir(d.root))
	}
	return err == nil, err
}

// trashed is one entry of the trash.
type trashed struct {
	id, path string
	at       time.Time
}

// trash are the entries, the latest first. What has another name is none.
func (d *Driver) trash() ([]trashed, error) {
	entries, err := os.ReadDir(filepath.Join(d.root, trashDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list removed volumes: %w", err)
	}
	var all []trashed
	for _, e := range entries {
		id, text, ok := strings.Cut(e.Name(), "@")
		at, err := time.Parse(trashTime, text)
		if ok && err == nil && checkName(id) == nil {
			all = append(all, trashed{id, filepath.Join(d.root, trashDir, e.Name()), at})
		}
	}
	slices.SortFunc(all, func(a, b trashed) int { return b.at.Compare(a.at) })
	return all, nil
}

// Removed are the volumes in the trash, the latest first.
func (d *Driver) Removed(context.Context) ([]Removed, error) {
	all, err := d.trash()
	out := []Removed{}
	for _, t := range all {
		text, err := os.ReadFile(filepath.Join(t.path, recordFile))
		var r record
		if err != nil || json.Unmarshal(text, &r) != nil || r.Config.ID != t.id {
			r.Config = Config{ID: t.id} // it can be brought back all the same
		}
		out = append(out, Removed{r.Config, t.at, t.at.Add(d.keep)})
	}
	return out, err
}

// Undelete brings back the volume id that was removed last. ErrNotFound: none of that name is in the trash; ErrAlreadyExists: there is a volume of that name.
func (d *Driver) Undelete(_ context.Context, id string) error {
	all, err := d.trash()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(t trashed) bool { return t.id == id })
	if i < 0 {
		return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot bring back volume %s: none of that name is kept", id))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if exists(filepath.Join(d.root, id)) { // a rename would put it in the place of an empty directory
		return errdefs.With(errdefs.ErrAlreadyExists, fmt.Errorf("cannot bring back volume %s: there is a volume of that name; remove it first", id))
	}
	if err := os.Rename(all[i].path, filepath.Join(d.root, id)); err != nil {
		return fmt.Errorf("cannot bring back volume %s: %w", id, err)
	}
	failpoint.Hit("volume.undelete.renamed")
	_ = os.Remove(filepath.Join(d.root, trashDir)) // unless there are others
	return syncDir(d.root)
}

// expired are the paths of what has been in the trash for long enough: all of it where nothing is kept any more.
func (d *Driver) expired() ([]string, error) {
	all, err := d.trash()
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, t := range all {
		if d.keep <= 0 || time.Since(t.at) >= d.keep {
			paths = append(paths, t.path)
		}
	}
	return paths, nil
}

// empty removes what expired says.
func (d *Driver) empty() error {
	paths, err := d.expired()
	for _, path := range paths {
		err = errors.Join(err, d.discard(path))
	}
	_ = os.Remove(filepath.Join(d.root, trashDir)) // unless there are others
	return err
}
