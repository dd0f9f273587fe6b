package layer

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/internal/atomicfile"
)

// A pulled layer is used before its files have reached the disk: waiting for hundreds of megabytes would double the
// time of a pull. So that a power cut never leaves a layer whose files are empty, a pull first writes down which
// layers it is about to make, with the boot it runs in; syncfs(2) runs behind it, and then the note goes away. A note of
// an earlier boot means that its layers are in doubt, and they are removed. A crash of ours alone harms nothing: the
// page cache is the kernel's.
type unsynced struct {
	Boot   string    `json:"boot"`
	Layers []v1.Hash `json:"layers"`
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}

// BeginUnsynced notes layers; the returned function syncs in the background and removes the note.
func (l *Store) BeginUnsynced(layers []v1.Hash) (done func(), err error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(unsynced{Boot: boot, Layers: layers})
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(l.dir.Path("unsynced"), "*.json")
	if err != nil {
		return nil, l.dir.Explain(err)
	}
	f.Close()
	note := f.Name()
	if err := atomicfile.Write(note, b, 0o600, atomicfile.Sync); err != nil {
		os.Remove(note)
		return nil, l.dir.Explain(err)
	}
	return func() {
		l.syncs.Go(func() {
			if l.syncfs() == nil {
				os.Remove(note)
			}
		})
	}, nil
}

// NoteUnsynced is for a layer that is made here, within milliseconds: a name alone, which a file system that keeps the order of
// names has on its disk before that of the layer, without anybody waiting for it. Sync takes the notes away.
func (l *Store) NoteUnsynced(layer v1.Hash) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(l.dir.Path("unsynced", madePrefix+boot+"."+layer.Algorithm+"-"+layer.Hex), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// madePrefix begins the names of those notes: made.<boot>.<algorithm>-<hex>.
const madePrefix = "made."

// madeNotes lists them, with the layer that each is of.
func (l *Store) madeNotes() (map[string]unsynced, error) {
	paths, err := filepath.Glob(l.dir.Path("unsynced", madePrefix+"*"))
	notes := make(map[string]unsynced, len(paths))
	for _, path := range paths {
		boot, layer, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), madePrefix), ".")
		algorithm, hex, _ := strings.Cut(layer, "-")
		notes[path] = unsynced{Boot: boot, Layers: []v1.Hash{{Algorithm: algorithm, Hex: hex}}}
	}
	return notes, err
}

// syncAfter spares the next build, which may follow at once, the meeting with what brings the last one to the disk.
const syncAfter = 5 * time.Second

// Sync brings the layers that were made here to the disk, in a while. A store that is closed before has left that to the next one.
func (l *Store) Sync() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.syncing == nil {
		l.syncing = time.AfterFunc(syncAfter, l.syncMade)
	} else {
		l.syncing.Reset(syncAfter)
	}
}

func (l *Store) syncMade() {
	notes, err := l.madeNotes()
	if err != nil || len(notes) == 0 || l.syncfs() != nil {
		return
	}
	for note := range notes {
		os.Remove(note)
	}
}

func (l *Store) syncfs() error {
	d, err := os.Open(l.dir.Path())
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// recoverUnsynced removes the layers that an earlier boot did not live to sync, and syncs those that an earlier
// daemon of this boot did not.
func (l *Store) recoverUnsynced() error {
	notes, err := filepath.Glob(l.dir.Path("unsynced", "*.json"))
	if err != nil {
		return err
	}
	made, err := l.madeNotes()
	if err != nil || len(notes)+len(made) == 0 {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	var errs []error
	var ours []string
	for _, note := range notes {
		b, err := os.ReadFile(note)
		var u unsynced
		if err != nil || json.Unmarshal(b, &u) != nil {
			// Written before any layer of it, and itself cut off: no layer was made.
			errs = append(errs, os.Remove(note))
			continue
		}
		made[note] = u
	}
	for note, u := range made {
		if u.Boot == boot {
			ours = append(ours, note)
			continue
		}
		for _, h := range u.Layers {
			if err := os.RemoveAll(l.Dir(h)); err != nil {
				errs = append(errs, fmt.Errorf("cannot remove layer %s, which a power cut may have harmed: %w", content.Short(h), err))
			}
		}
		errs = append(errs, os.Remove(note))
	}
	if len(ours) > 0 {
		l.syncs.Go(func() {
			if l.syncfs() == nil {
				for _, note := range ours {
					os.Remove(note)
				}
			}
		})
	}
	return errors.Join(errs...)
}
