package sysctl

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/stackrun/stack/internal/atomicfile"
)

// Host are settings of the host's own that networks need. The old value is recorded before the first change and
// put back when the last network is gone. Safe for concurrent use.
//
// The record lies where it outlives the networks' own: who removes those, and leaves the kernel as it is, leaves the settings too.
type Host struct {
	path, before string // of the record, and where programs before had it
	epoch        string

	mu  sync.Mutex
	was map[string]setting
}

type setting struct{ Old, New string }

// recorded is what is in the record.
type recorded struct {
	Epoch   string             `json:"epoch"` // in which the settings were changed: with another boot, or in another network namespace, they are not what we made them
	Changed map[string]setting `json:"changed"`
}

// OpenHost reads what a predecessor has changed in epoch, and recorded in the file at path or, an older program, in that at before.
func OpenHost(path, before, epoch string) (*Host, error) {
	h := &Host{path: path, before: before, epoch: epoch, was: map[string]setting{}}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("cannot read the changed sysctls: %w", err)
	}
	var have recorded
	// It is not synced: one that cannot be read is of a boot that a power cut has ended.
	if err == nil && json.Unmarshal(b, &have) == nil && have.Epoch == epoch && have.Changed != nil {
		h.was = have.Changed
		return h, nil
	}
	b, err = os.ReadFile(before) // as it is after a downgrade too
	if errors.Is(err, os.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the changed sysctls: %w", err)
	}
	if err := json.Unmarshal(b, &h.was); err != nil {
		return nil, fmt.Errorf("cannot read the changed sysctls in %s: %w", before, err)
	}
	return h, nil
}

// need sets name to value unless it has it.
func (h *Host) need(name, value string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	b, err := os.ReadFile(Root + name)
	if err != nil {
		return fmt.Errorf("cannot read sysctl %s: %w", strings.ReplaceAll(name, "/", "."), err)
	}
	old := strings.TrimSpace(string(b))
	if old == value {
		return nil
	}
	if _, changed := h.was[name]; !changed {
		h.was[name] = setting{old, value}
		if err := h.record(); err != nil {
			delete(h.was, name)
			// It is not set without: nobody could put the host back as it was. A program that dies before it has removed its networks leaves nothing but the record.
			return fmt.Errorf("cannot set sysctl %s of the host to %s: that it was %s has to be on record first, so that it is put back when the last network is gone: %w", strings.ReplaceAll(name, "/", "."), value, old, err)
		}
	}
	return Write(name, value)
}

// Restore puts everything back that still has the value we gave it.
func (h *Host) Restore() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	for name, s := range h.was {
		b, err := os.ReadFile(Root + name)
		if err == nil && strings.TrimSpace(string(b)) == s.New {
			err = Write(name, s.Old)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) { // an interface may have gone
			errs = append(errs, err)
			continue
		}
		delete(h.was, name)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	for _, path := range []string{h.path, h.before} {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot remove a record: %w", err)
		}
	}
	return nil
}

// record writes down what was changed. Precondition: mu is held.
func (h *Host) record() error {
	b, err := json.Marshal(recorded{Epoch: h.epoch, Changed: h.was})
	if err != nil {
		return fmt.Errorf("cannot record %s: %w", filepath.Base(h.path), err)
	}
	// What it says is of this boot, so nothing is synced.
	if err := atomicfile.Write(h.path, b, 0o600, atomicfile.NoSync); err != nil {
		return err
	}
	if err := os.Remove(h.before); err != nil && !errors.Is(err, os.ErrNotExist) { // all that it says is in there
		return fmt.Errorf("cannot remove a record: %w", err)
	}
	return nil
}
