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
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
	"github.com/stackrun/stack/internal/roots"
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
var names = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$`)

// Driver holds named volumes, each a directory of the state root:
//
//	<state>/volumes/<name>/_data        the content
//	<state>/volumes/<name>/volume.json  record
//
// A volume exists when its directory does: both come and go by one rename.
type Driver struct {
	root string

	mu sync.Mutex // Create and Delete of the same name do not meet
}

// record is volume.json.
type record struct {
	Version   int       `json:"version"`
	Config    Config    `json:"config"`
	CreatedAt time.Time `json:"createdAt"`
}

// New opens the volumes of r and removes what a daemon that died left half-made.
func New(r roots.Roots) (*Driver, error) {
	d := &Driver{root: r.InState("volumes")}
	// 0700: what a container writes has the owners and modes that it likes. A user of the host who could reach a set-user-ID
	// file there by its name would run it as root (CVE-2021-41091 of Docker, the same mistake).
	if err := os.MkdirAll(d.root, 0o700); err != nil {
		return nil, fmt.Errorf("cannot open the volumes: %w", err)
	}
	if err := os.Chmod(d.root, 0o700); err != nil { // one that was there
		return nil, fmt.Errorf("cannot open the volumes: %w", err)
	}
	entries, err := os.ReadDir(d.root)
	if err != nil {
		return nil, fmt.Errorf("cannot open the volumes: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tempPrefix) || strings.HasPrefix(e.Name(), gonePrefix) {
			if err := os.RemoveAll(filepath.Join(d.root, e.Name())); err != nil {
				return nil, fmt.Errorf("cannot remove a half-made volume: %w", err)
			}
		}
	}
	return d, nil
}

// Create makes the volume c, or finds it as it is. ErrConflict when one of that name has
// another driver or other options; labels of an existing volume are left alone.
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
	case err == nil:
		if have.Config.Driver != c.Driver || !maps.Equal(have.Config.DriverOpts, c.DriverOpts) {
			return State{}, errdefs.With(errdefs.ErrConflict, fmt.Errorf(
				"cannot create volume %q: it exists with driver %s and options %v, the file says %s and %v (remove the volume, or give the new one another name)",
				c.ID, have.Config.Driver, have.Config.DriverOpts, c.Driver, c.DriverOpts))
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

// make writes the volume under a temporary name and renames it into place.
func (d *Driver) make(r record) error {
	tmp := filepath.Join(d.root, tempPrefix+rand.Text())
	defer os.RemoveAll(tmp) // gone after the rename
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	data := filepath.Join(tmp, dataDir)
	if err := os.Mkdir(data, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(data, 0o755); err != nil { // whatever the umask
		return err
	}
	failpoint.Hit("volume.create.directory")
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := writeSynced(filepath.Join(tmp, recordFile), text); err != nil {
		return err
	}
	if err := syncDir(tmp); err != nil {
		return err
	}
	failpoint.Hit("volume.create.recorded")
	if err := os.Rename(tmp, filepath.Join(d.root, r.Config.ID)); err != nil {
		return err
	}
	failpoint.Hit("volume.create.renamed")
	return syncDir(d.root)
}

// Delete removes the volume and all it holds. Missing = success. Whether somebody uses it is for the caller to know.
func (d *Driver) Delete(ctx context.Context, id string) error {
	if err := checkName(id); err != nil {
		return fmt.Errorf("cannot remove volume %q: %w", id, err)
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
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("cannot remove volume %q: %w", id, err)
	}
	return nil
}

// List is every volume, by name.
func (d *Driver) List(ctx context.Context) ([]State, error) {
	entries, err := os.ReadDir(d.root)
	if err != nil {
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
	text, err := os.ReadFile(filepath.Join(d.root, id, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("there is no volume %q", id))
	}
	if err != nil {
		return State{}, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return State{}, fmt.Errorf("record of volume %q: %w", id, err)
	}
	if r.Version != recordVersion {
		return State{}, errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("record of volume %q has version %d, expected %d", id, r.Version, recordVersion))
	}
	o, err := parseOptions(r.Config)
	if err != nil {
		return State{}, fmt.Errorf("volume %q: %w", id, err)
	}
	s := State{Config: r.Config, CreatedAt: r.CreatedAt, Path: o.device}
	if s.Path == "" {
		s.Path = filepath.Join(d.root, id, dataDir)
	}
	return s, nil
}

func checkName(id string) error {
	if !names.MatchString(id) {
		return errdefs.With(errdefs.ErrInvalidArgument,
			errors.New("a volume's name is a letter or digit, then letters, digits, '_', '.' or '-', 255 at most"))
	}
	return nil
}

func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncDir(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
