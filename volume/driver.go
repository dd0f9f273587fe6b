package volume

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/internal/lazyregexp"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/treeremoval"
)

const (
	dataDir    = "_data"       // what containers see
	recordFile = "volume.json" // Config and the time of creation
	tempPrefix = ".making-"    // a volume that is being made
	gonePrefix = ".removing-"  // a volume that is being removed

	recordVersion = 1
)

// names are what docker's volume names are. They cannot hold a slash nor start with a dot, so a
// name cannot leave the root nor meet the prefixes above.
var names = lazyregexp.New(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$`)

// Driver holds named volumes, each a directory of the state root:
//
//	<state>/volumes/<name>/_data        the content
//	<state>/volumes/<name>/volume.json  record
//	<state>/volumes/.snapshots/<project>/<name>  snapshots (snapshot.go)
//
// A volume exists when <name> does: all of it comes and goes by one rename. What of it other hands have taken away since
// is the Problem of its State.
type Driver struct {
	root   string
	socket string        // of the Docker Engine API, this daemon's
	keep   time.Duration // how long removed volumes are kept; 0 = not at all

	notice func(text string) // told of what stands in nobody's way

	mu sync.Mutex // Create and Delete of the same name do not meet
}

// record is volume.json.
type record struct {
	Version   int       `json:"version"`
	Config    Config    `json:"config"`
	CreatedAt time.Time `json:"createdAt"`
}

// New opens the volumes of r and removes what a daemon that died left half-made. keep is how long volumes that are removed can be brought back; 0 = they
// cannot. What cannot be removed, an immutable file or what has something mounted on it, stays: notice is told of it, and the next sweep tries it again.
func New(r roots.Roots, keep time.Duration, notice func(text string)) (*Driver, error) {
	d := &Driver{root: r.InState("volumes"), socket: r.Socket(), keep: keep, notice: notice}
	// 0700: what a container writes has the owners and modes that it likes. A user of the host who could reach a set-user-ID
	// file there by its name would run it as root (CVE-2021-41091 of Docker, the same mistake).
	if err := os.MkdirAll(d.root, 0o700); err != nil {
		return nil, fmt.Errorf("cannot open the volumes: %w", err)
	}
	if err := os.Chmod(d.root, 0o700); err != nil { // one that was there
		return nil, fmt.Errorf("cannot open the volumes: %w", err)
	}
	if err := d.finishRestores(); err != nil {
		return nil, fmt.Errorf("cannot open the volumes: %w", err)
	}
	if _, err := d.Sweep(context.Background(), true); err != nil {
		notice(err.Error())
	}
	return d, nil
}

// Sweep names what is left of volumes that were being made or removed, and what has been in the trash for long enough, and, with remove, removes it.
// What cannot be removed keeps nothing else from it. Precondition: none is being made or removed.
func (d *Driver) Sweep(ctx context.Context, remove bool) (names []string, err error) {
	entries, err := os.ReadDir(d.root)
	if err != nil {
		return nil, fmt.Errorf("cannot list volumes: %w", err)
	}
	var failed []error
	for _, e := range entries {
		path := filepath.Join(d.root, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), tempPrefix), strings.HasPrefix(e.Name(), gonePrefix):
		case strings.HasPrefix(e.Name(), restorePrefix) && !exists(filepath.Join(path, restoreFile)): // else it is finished, not removed
		default:
			continue
		}
		names = append(names, path)
		if remove {
			if err := treeremoval.Remove(path); err != nil {
				failed = append(failed, fmt.Errorf("cannot remove what is left of a volume: %w", err))
			}
		}
	}
	old, err := d.expired()
	if err == nil && remove && len(old) > 0 {
		err = d.empty()
	}
	return append(names, old...), errors.Join(append(failed, err)...)
}

// Create makes the volume c, or finds it as it is. ErrConflict when one of that name has
// another driver or other options; labels of an existing volume are left alone. One with a Problem is mended: what is left of its data stays,
// a directory that is gone is made again, empty, and a record that is gone is made from c.
func (d *Driver) Create(ctx context.Context, c Config) (State, error) {
	if err := checkName(c.ID); err != nil {
		return State{}, fmt.Errorf("cannot create volume %q: %w", c.ID, err)
	}
	if c.Driver == "" {
		c.Driver = driverLocal
	}
	if _, err := parseOptions(c); err != nil {
		return State{}, fmt.Errorf("cannot create volume %q: %w", c.ID, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	have, err := d.state(c.ID)
	switch {
	case err == nil && have.unrecorded():
		return d.mend(c, have)
	case err == nil:
		if have.Config.Driver != c.Driver || !maps.Equal(have.Config.DriverOpts, c.DriverOpts) {
			// Not their values: o may have a password.
			return State{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf(
				"cannot create volume %q: it exists with driver %s and other options than are asked for (%s); remove the volume, or give the new one another name",
				c.ID, have.Config.Driver, differing(have.Config, c)))
		}
		if have.Problem != "" {
			return d.mend(c, have)
		}
		return have, nil
	case !errors.Is(err, errdefs.ErrNotFound):
		return State{}, fmt.Errorf("cannot create volume %q: %w", c.ID, err)
	}
	if err := d.make(record{Version: recordVersion, Config: c, CreatedAt: time.Now().UTC()}); err != nil {
		return State{}, fmt.Errorf("cannot create volume %q: %w", c.ID, err)
	}
	return d.state(c.ID)
}

// differing names what b has other than a.
func differing(a, b Config) string {
	var keys []string
	if a.Driver != b.Driver {
		keys = append(keys, "driver")
	}
	for _, key := range slices.Sorted(maps.Keys(b.DriverOpts)) {
		if v, ok := a.DriverOpts[key]; !ok || v != b.DriverOpts[key] {
			keys = append(keys, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(a.DriverOpts)) {
		if _, ok := b.DriverOpts[key]; !ok {
			keys = append(keys, key)
		}
	}
	return strings.Join(keys, ", ")
}

// make writes the volume under a temporary name and renames it into place.
func (d *Driver) make(r record) error {
	if err := os.MkdirAll(d.root, 0o700); err != nil { // with all volumes somebody may have removed it
		return err
	}
	tmp := filepath.Join(d.root, tempPrefix+rand.Text())
	defer treeremoval.Remove(tmp) // gone after the rename
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	if err := makeData(tmp); err != nil {
		return err
	}
	failpoint.Hit("volume.create.directory")
	if err := writeRecord(tmp, r); err != nil {
		return err
	}
	failpoint.Hit("volume.create.recorded")
	if err := os.Rename(tmp, filepath.Join(d.root, r.Config.ID)); err != nil {
		return err
	}
	failpoint.Hit("volume.create.renamed")
	return syncDir(d.root)
}

// makeData makes the directory that containers see, in the volume's own.
func makeData(dir string) error {
	data := filepath.Join(dir, dataDir)
	if err := os.Mkdir(data, 0o755); err != nil {
		return err
	}
	return os.Chmod(data, 0o755) // whatever the umask
}

func writeRecord(dir string, r record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, recordFile), text, 0o600, atomicfile.Sync)
}

// Delete removes the volume and all it holds; for as long as New says, Undelete brings it back, unless it is anonymous or what it holds is not its own.
// Missing = success. Whether somebody uses it is for the caller to know.
func (d *Driver) Delete(ctx context.Context, id string) error {
	if err := checkName(id); err != nil {
		return fmt.Errorf("cannot remove volume %q: %w", id, err)
	}
	if kept, err := d.throwAway(id); err != nil {
		return fmt.Errorf("cannot remove volume %q: %w", id, err)
	} else if kept {
		return d.empty() // of what has been there for long enough
	}
	d.mu.Lock()
	gone := filepath.Join(d.root, gonePrefix+rand.Text())
	err := os.Rename(filepath.Join(d.root, id), gone)
	d.mu.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot remove volume %q: %w", id, err)
	}
	failpoint.Hit("volume.delete.renamed")
	// Outside the lock: a large volume takes its time, and nobody finds it any more.
	if err := treeremoval.Remove(gone); err != nil {
		return fmt.Errorf("cannot remove volume %q: %w", id, err)
	}
	return nil
}

func checkName(id string) error {
	if !names.MatchString(id) {
		return errdefs.With(errdefs.ErrInvalidArgument,
			errors.New("a volume's name is a letter or digit, then letters, digits, '_', '.' or '-', 255 at most"))
	}
	return nil
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
