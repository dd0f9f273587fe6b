package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stackrun/stack/image/content"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

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

// beginUnsynced notes layers; the returned function syncs in the background and removes the note.
func (s *Store) beginUnsynced(layers []v1.Hash) (done func(), err error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(unsynced{Boot: boot, Layers: layers})
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(s.path("unsynced"), "*.json")
	if err != nil {
		return nil, diskError(s.root, err)
	}
	f.Close()
	note := f.Name()
	if err := atomicfile.Write(note, b, 0o600, atomicfile.Sync); err != nil {
		os.Remove(note)
		return nil, diskError(s.root, err)
	}
	return func() {
		s.syncs.Go(func() {
			if s.syncfs() == nil {
				os.Remove(note)
			}
		})
	}, nil
}

// noteUnsynced is for a layer that is made here, within milliseconds: a name alone, which a file system that keeps the order of
// names has on its disk before that of the layer, without anybody waiting for it. Sync takes the notes away.
func (s *Store) noteUnsynced(layer v1.Hash) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(s.path("unsynced", madePrefix+boot+"."+layer.Algorithm+"-"+layer.Hex), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// madePrefix begins the names of those notes: made.<boot>.<algorithm>-<hex>.
const madePrefix = "made."

// madeNotes lists them, with the layer that each is of.
func (s *Store) madeNotes() (map[string]unsynced, error) {
	paths, err := filepath.Glob(s.path("unsynced", madePrefix+"*"))
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
func (s *Store) Sync() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.syncing == nil {
		s.syncing = time.AfterFunc(syncAfter, s.syncMade)
	} else {
		s.syncing.Reset(syncAfter)
	}
}

func (s *Store) syncMade() {
	notes, err := s.madeNotes()
	if err != nil || len(notes) == 0 || s.syncfs() != nil {
		return
	}
	for note := range notes {
		os.Remove(note)
	}
}

func (s *Store) syncfs() error {
	d, err := os.Open(s.root)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// recoverUnsynced removes the layers that an earlier boot did not live to sync, and syncs those that an earlier
// daemon of this boot did not.
func (s *Store) recoverUnsynced() error {
	notes, err := filepath.Glob(s.path("unsynced", "*.json"))
	if err != nil {
		return err
	}
	made, err := s.madeNotes()
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
			if err := os.RemoveAll(s.layerDir(h)); err != nil {
				errs = append(errs, fmt.Errorf("cannot remove layer %s, which a power cut may have harmed: %w", content.Short(h), err))
			}
		}
		errs = append(errs, os.Remove(note))
	}
	if len(ours) > 0 {
		s.syncs.Go(func() {
			if s.syncfs() == nil {
				for _, note := range ours {
					os.Remove(note)
				}
			}
		})
	}
	return errors.Join(errs...)
}
