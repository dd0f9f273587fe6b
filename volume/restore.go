package volume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/internal/treeremoval"
)

const (
	restorePrefix  = ".restoring-"   // content that is to take the place of volumes'
	restoreFile    = ".restore.json" // it is whole, and what is to be done with it; no volume has such a name
	restoreVersion = 1
	replacedDir    = "replaced" // beside a new _data: the one that it takes the place of
)

// restoreRecord is .restore.json. From the moment at which it is there the volumes are going to have the new content, all of them: what a daemon does not live to
// do, the next one does before anybody looks at a volume. Where it cannot be done, because somebody has mounted something on a volume, say, what was done of it is
// taken back, and the record goes.
//
//	.restoring-<random>/<volume>/_data        the new content
//	.restoring-<random>/<volume>/volume.json  the volume's record, where it is made anew
//	.restoring-<random>/<volume>/replaced     the old content
type restoreRecord struct {
	Version int      `json:"version"`
	Volumes []string `json:"volumes"`
}

// source is content that a volume is to have.
type source struct {
	dir string
	to  Config
}

// Restore gives volumes ids the content that they had at the snapshot name of project, all or none of them. One that is gone is made again. Precondition: nothing runs that
// has one of them, for it would keep the old content and write where nobody reads. Errors as Snapshot's; ErrNotFound: there is no such snapshot, or it has no such volume.
func (d *Driver) Restore(ctx context.Context, project, name string, ids []string) error {
	s, err := d.snapshot(project, name)
	if err != nil {
		return fmt.Errorf("cannot restore: %w", err)
	}
	var all []source
	for _, id := range ids {
		i := slices.IndexFunc(s.Volumes, func(c Config) bool { return c.ID == id })
		if i < 0 {
			return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot restore volume %s: snapshot %s does not have it", id, name))
		}
		all = append(all, source{filepath.Join(d.snapshotPath(project, name), id), s.Volumes[i]})
	}
	if err := d.replace(ctx, all); err != nil {
		return fmt.Errorf("cannot restore from snapshot %s of project %s: %w", name, project, err)
	}
	return nil
}

// Clone gives volume to what is in volume from; one that is not there is made. Preconditions: nothing writes to from meanwhile, nothing runs that has to.
// Errors as Snapshot's.
func (d *Driver) Clone(ctx context.Context, from string, to Config) error {
	_, dir, err := d.content(from)
	if err == nil {
		err = checkName(to.ID)
	}
	if err == nil {
		if to.Driver == "" {
			to.Driver = driverLocal
		}
		err = d.replace(ctx, []source{{dir, to}})
	}
	if err != nil {
		return fmt.Errorf("cannot clone volume %s: %w", from, err)
	}
	return nil
}

// replace gives each volume its source's content.
func (d *Driver) replace(ctx context.Context, all []source) error {
	dir, err := d.temporary(restorePrefix)
	if err != nil {
		return err
	}
	whole := false
	defer func() {
		if !whole {
			treeremoval.Remove(dir)
		}
	}()
	r := restoreRecord{Version: restoreVersion}
	for _, s := range all {
		if err := d.takes(s.to); err != nil {
			return fmt.Errorf("volume %s: %w", s.to.ID, err)
		}
		if have, err := os.Lstat(filepath.Join(d.root, s.to.ID, dataDir)); err == nil && !have.IsDir() {
			return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("volume %s: its %s is not a directory, but what somebody has put there", s.to.ID, dataDir))
		}
		at := filepath.Join(dir, s.to.ID)
		if err := os.Mkdir(at, 0o700); err != nil {
			return err
		}
		if err := copyDir(ctx, s.dir, filepath.Join(at, dataDir)); err != nil {
			return fmt.Errorf("volume %s: %w", s.to.ID, err)
		}
		if err := writeRecord(at, record{Version: recordVersion, Config: s.to, CreatedAt: time.Now().UTC()}); err != nil {
			return err
		}
		r.Volumes = append(r.Volumes, s.to.ID)
	}
	failpoint.Hit("volume.restore.copied")
	if err := syncFileSystem(dir); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = atomicfile.Write(filepath.Join(dir, restoreFile), text, 0o600, atomicfile.Sync)
	}
	if err != nil {
		return err
	}
	whole = true
	failpoint.Hit("volume.restore.recorded")
	return d.finish(dir)
}

// takes says why no content can be put into the volume that c is of; nil when it can. What is there under that name may have been made since, as something else.
func (d *Driver) takes(c Config) error {
	if err := Copyable(c); err != nil {
		return err
	}
	now, err := d.state(c.ID)
	switch {
	case errors.Is(err, errdefs.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return Copyable(now.Config)
}

// finishRestores carries those to their end that a daemon was about to, or back. What stands in the way of one is told and stands in the way of no other volume; the
// error is ErrNotSupported, for the record of a later version. Precondition: nothing runs that has one of their volumes, for what has begun such a restore has stopped it.
func (d *Driver) finishRestores() error {
	dirs, err := filepath.Glob(filepath.Join(d.root, restorePrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if exists(filepath.Join(dir, restoreFile)) {
			if err := d.finish(dir); errors.Is(err, errdefs.ErrNotSupported) {
				return err
			} else if err != nil {
				d.notice(fmt.Sprintf("a restore of volumes could not be carried to its end: %v", err))
			}
		}
	}
	return nil
}

// finish puts what is in dir where it belongs, all of it: when one volume cannot have its new content, all get back what they had. What is there already is done.
func (d *Driver) finish(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, restoreFile))
	if err != nil {
		return err
	}
	var r restoreRecord
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("the record of a restore, %s, cannot be read: %w", dir, err)
	}
	if r.Version != restoreVersion {
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("the record of a restore, %s, has version %d, expected %d", dir, r.Version, restoreVersion))
	}
	failed, back := d.moveAll(dir, r.Volumes)
	if back != nil {
		return errors.Join(failed, fmt.Errorf("and what was done cannot be taken back, which is tried again when the daemon starts: %w", back))
	}
	if err := syncDir(d.root); err != nil {
		return errors.Join(failed, err)
	}
	gone, err := d.putAside(dir)
	if err == nil {
		// The volumes are as they are to be. What stays is the sweeper's.
		if err := treeremoval.Remove(gone); err != nil {
			d.notice(fmt.Sprintf("what volumes had before a restore could not be removed wholly: %v", err))
		}
	}
	return errors.Join(failed, err)
}

// moveAll moves the contents in dir to the volumes ids. failed: one could not be moved, and all are as they were, or back says why not.
func (d *Driver) moveAll(dir string, ids []string) (failed, back error) {
	d.mu.Lock() // a Create that mends would put an empty directory in the place of one that is on its way
	defer d.mu.Unlock()
	for i, id := range ids {
		if failed = checkName(id); failed == nil {
			failed = d.moveIn(filepath.Join(dir, id), filepath.Join(d.root, id))
		}
		if failed != nil {
			failed = fmt.Errorf("volume %s: %w", id, failed)
			for _, id := range slices.Backward(ids[:i+1]) {
				if checkName(id) == nil {
					back = errors.Join(back, moveBack(filepath.Join(dir, id), filepath.Join(d.root, id)))
				}
			}
			return failed, back
		}
	}
	return nil, nil
}

// moveIn moves the content in from to the volume at to, or makes that of it.
func (d *Driver) moveIn(from, to string) error {
	staged := filepath.Join(from, dataDir)
	if !exists(staged) {
		return nil // done before
	}
	if !exists(to) {
		if err := os.Rename(from, to); err != nil {
			return err
		}
		failpoint.Hit("volume.restore.moved")
		return nil
	}
	data, old := filepath.Join(to, dataDir), filepath.Join(from, replacedDir)
	if exists(data) && !exists(old) {
		if err := os.Rename(data, old); err != nil {
			return err
		}
		failpoint.Hit("volume.restore.out")
	}
	if err := os.Rename(staged, data); err != nil {
		return err
	}
	failpoint.Hit("volume.restore.moved")
	return errors.Join(syncDir(to), syncDir(from))
}

// moveBack is the contrary of moveIn, however far that has come.
func moveBack(from, to string) error {
	staged, data, old := filepath.Join(from, dataDir), filepath.Join(to, dataDir), filepath.Join(from, replacedDir)
	switch {
	case !exists(from): // the volume was made anew
		return os.Rename(to, from)
	case !exists(old): // nothing was moved, or there was nothing
		if exists(staged) {
			return nil
		}
		return os.Rename(data, staged)
	}
	if !exists(staged) {
		if err := os.Rename(data, staged); err != nil {
			return err
		}
	}
	if err := os.Rename(old, data); err != nil {
		return err
	}
	return errors.Join(syncDir(to), syncDir(from))
}
