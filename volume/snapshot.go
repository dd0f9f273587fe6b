package volume

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/internal/treecopy"
	"github.com/stackrun/stack/internal/treeremoval"
)

const (
	snapshotsDir    = ".snapshots"     // no volume has such a name
	snapshotFile    = ".snapshot.json" // no volume has such a name either
	snapshotVersion = 1
)

// Snapshot is what some volumes of a project had in them at one moment:
//
//	<state>/volumes/.snapshots/<project>/<name>/<volume>       the content, as _data was
//	<state>/volumes/.snapshots/<project>/<name>/.snapshot.json record
//
// It is below the volumes, and so on their file system: where that can, they share blocks. As a volume, it comes and goes by one rename.
type Snapshot struct {
	Project   string    `json:"project"`
	Name      string    `json:"name"`
	Volumes   []Config  `json:"volumes"` // as they were, by ID
	CreatedAt time.Time `json:"createdAt"`
}

// snapshotRecord is .snapshot.json.
type snapshotRecord struct {
	Version int `json:"version"`
	Snapshot
}

// Has says whether volume id is in s.
func (s Snapshot) Has(id string) bool {
	return slices.ContainsFunc(s.Volumes, func(c Config) bool { return c.ID == id })
}

// Snapshot copies what is in the volumes ids of project, all or none. That nobody writes meanwhile is for the caller to see to: what is copied is what is seen of it.
//
// Errors: ErrAlreadyExists, there is one of that name; ErrNotFound, no such volume; ErrNotSupported, a volume whose content is not in a directory of its own; ENOSPC and
// EDQUOT in the tree when the disk is full. Nothing is left of one that fails.
func (d *Driver) Snapshot(ctx context.Context, project, name string, ids []string) (Snapshot, error) {
	s := Snapshot{Project: project, Name: name, CreatedAt: time.Now().UTC()}
	if err := CheckSnapshot(project, name); err != nil {
		return s, fmt.Errorf("cannot make snapshot %q: %w", name, err)
	}
	at := d.snapshotPath(project, name)
	if exists(at) {
		return s, errdefs.With(errdefs.ErrAlreadyExists, fmt.Errorf("cannot make snapshot %s of project %s: there is one of that name; remove it, or name this one otherwise", name, project))
	}
	tmp, err := d.temporary(tempPrefix)
	if err != nil {
		return s, fmt.Errorf("cannot make snapshot %s of project %s: %w", name, project, err)
	}
	defer treeremoval.Remove(tmp) // gone after the rename
	for _, id := range ids {
		c, from, err := d.content(id)
		if err == nil {
			err = copyDir(ctx, from, filepath.Join(tmp, id))
		}
		if err != nil {
			return s, fmt.Errorf("cannot make snapshot %s of project %s: volume %s: %w", name, project, id, err)
		}
		s.Volumes = append(s.Volumes, c)
	}
	failpoint.Hit("volume.snapshot.copied")
	err = d.publish(tmp, at, snapshotFile, snapshotRecord{snapshotVersion, s})
	if errors.Is(err, fs.ErrExist) || errors.Is(err, unix.ENOTEMPTY) {
		err = errdefs.With(errdefs.ErrAlreadyExists, errors.New("somebody else has made one of that name meanwhile"))
	}
	if err != nil {
		return s, fmt.Errorf("cannot make snapshot %s of project %s: %w", name, project, err)
	}
	return s, nil
}

// publish writes record into tmp and renames that to at, once all is on the disk.
func (d *Driver) publish(tmp, at, file string, record any) error {
	text, err := json.MarshalIndent(record, "", "  ")
	if err == nil {
		err = atomicfile.Write(filepath.Join(tmp, file), text, 0o600, atomicfile.Sync)
	}
	if err == nil {
		err = syncFileSystem(tmp)
	}
	if err != nil {
		return err
	}
	failpoint.Hit("volume.snapshot.recorded")
	if err := d.moveTo(tmp, at); err != nil {
		return err
	}
	failpoint.Hit("volume.snapshot.renamed")
	return errors.Join(syncDir(filepath.Dir(at)), syncDir(filepath.Dir(filepath.Dir(at))), syncDir(d.root))
}

// moveTo renames tmp to at, and makes what at is in.
func (d *Driver) moveTo(tmp, at string) error {
	d.mu.Lock() // DeleteSnapshot removes directories that are empty
	defer d.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		return err
	}
	return os.Rename(tmp, at)
}

// Snapshots are those of all projects, by project and time. One whose record cannot be read is left out: its directory stays.
func (d *Driver) Snapshots(context.Context) ([]Snapshot, error) {
	all := []Snapshot{}
	paths, err := filepath.Glob(filepath.Join(d.root, snapshotsDir, "*", "*", snapshotFile))
	if err != nil {
		return nil, fmt.Errorf("cannot list snapshots: %w", err)
	}
	for _, path := range paths {
		s, err := readSnapshot(path)
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case err != nil:
			return nil, fmt.Errorf("cannot list snapshots: %w", err)
		case s.Name != "":
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b Snapshot) int {
		if c := strings.Compare(a.Project, b.Project); c != 0 {
			return c
		}
		if c := a.CreatedAt.Compare(b.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all, nil
}

// readSnapshot reads a record; one that is damaged, or another's, is the zero Snapshot.
func readSnapshot(path string) (Snapshot, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Snapshot{}, err
	}
	var r snapshotRecord
	dir := filepath.Dir(path)
	if err := json.Unmarshal(text, &r); err != nil || r.Name != filepath.Base(dir) || r.Project != filepath.Base(filepath.Dir(dir)) {
		return Snapshot{}, nil
	}
	if r.Version != snapshotVersion {
		return Snapshot{}, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("the record of snapshot %s has version %d, expected %d", dir, r.Version, snapshotVersion))
	}
	return r.Snapshot, nil
}

// snapshot is one; ErrNotFound when there is none.
func (d *Driver) snapshot(project, name string) (Snapshot, error) {
	if err := CheckSnapshot(project, name); err != nil {
		return Snapshot{}, err
	}
	s, err := readSnapshot(filepath.Join(d.snapshotPath(project, name), snapshotFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("project %s has no snapshot %s", project, name))
	}
	if err == nil && s.Name == "" {
		err = fmt.Errorf("its record %s cannot be read", snapshotFile)
	}
	return s, err
}

// DeleteSnapshot removes a snapshot. Missing = success.
func (d *Driver) DeleteSnapshot(_ context.Context, project, name string) error {
	err := CheckSnapshot(project, name)
	if err == nil {
		err = d.discard(d.snapshotPath(project, name))
	}
	if err != nil {
		return fmt.Errorf("cannot remove snapshot %s of project %s: %w", name, project, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if os.Remove(filepath.Join(d.root, snapshotsDir, project)) == nil { // unless it has others
		_ = os.Remove(filepath.Join(d.root, snapshotsDir))
	}
	return nil
}

// discard removes a directory of d's: at once for who looks for it. Missing = success.
func (d *Driver) discard(path string) error {
	gone, err := d.putAside(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return treeremoval.Remove(gone)
}

// putAside renames a directory of d's to what a sweep removes.
func (d *Driver) putAside(path string) (gone string, err error) {
	gone = filepath.Join(d.root, gonePrefix+rand.Text())
	if err := os.Rename(path, gone); err != nil {
		return "", err
	}
	failpoint.Hit("volume.discard.renamed")
	return gone, nil
}

func (d *Driver) snapshotPath(project, name string) string {
	return filepath.Join(d.root, snapshotsDir, project, name)
}

// CheckSnapshot says whether a snapshot of project can have that name; the error is ErrInvalidArgument. Pure: both become names of directories.
func CheckSnapshot(project, name string) error {
	for _, n := range []string{project, name} {
		if !names.MatchString(n) {
			return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%q cannot be a name here: expected a letter or digit, then letters, digits, '_', '.' or '-', 255 at most", n))
		}
	}
	return nil
}

// content is the directory with what is in volume id.
func (d *Driver) content(id string) (Config, string, error) {
	if err := checkName(id); err != nil {
		return Config{}, "", err
	}
	s, err := d.state(id)
	if err != nil {
		return Config{}, "", err
	}
	if err := Copyable(s.Config); err != nil {
		return Config{}, "", err
	}
	if st, err := os.Lstat(s.Path); err != nil || !st.IsDir() {
		return Config{}, "", errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("%s is not a directory", s.Path))
	}
	if s.Problem != "" {
		return Config{}, "", errdefs.With(errdefs.ErrConflict, errors.New(s.Problem))
	}
	return s.Config, s.Path, nil
}

// Copyable says why the content of a volume cannot be copied and put back; nil when it can: it is in a directory of the volume's own. Pure.
func Copyable(c Config) error {
	o, err := parseOptions(c)
	switch {
	case err != nil:
		return err
	case o.device != "":
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("its driver_opts say that it is %s, which is not its own", o.device))
	case len(c.DriverOpts) > 0:
		return errdefs.With(errdefs.ErrNotSupported, errors.New("its driver_opts say that it is a file system, which only its containers mount"))
	}
	return nil
}

// temporary makes a directory for what is being made.
func (d *Driver) temporary(prefix string) (string, error) {
	dir := filepath.Join(d.root, prefix+rand.Text())
	return dir, os.MkdirAll(dir, 0o700) // with all volumes somebody may have removed the root
}

// copyDir makes to, and it like from.
func copyDir(ctx context.Context, from, to string) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.Open(to)
	if err != nil {
		return err
	}
	defer dst.Close()
	err = treecopy.Copy(int(src.Fd()), int(dst.Fd()), treecopy.Options{Go: func() error { return context.Cause(ctx) }})
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("the disk is full: %w", err)
	}
	return err
}

// syncFileSystem writes what has been copied to the disk: a record that is there after a power cut has its files.
func syncFileSystem(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
