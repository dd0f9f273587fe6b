package standalone

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/driver"
)

// Book keeps what users have asked for of containers that belong to no file, in the store. Safe for concurrent use; a change is made by one at a time.
type Book struct {
	store driver.Store
	log   *slog.Logger

	changing sync.Mutex // held while a record is changed
}

// Open is what is in s. What cannot be read is told to log.
func Open(s driver.Store, log *slog.Logger) *Book { return &Book{store: s, log: log} }

// Forget deletes the record of container id. None = success.
func (b *Book) Forget(id string) error { return b.store.Delete(bucket, id) }

// bucket holds a Record by id.
const bucket = "standalone"

// get is the record of container id, nil when there is none.
func (b *Book) get(id string) (*Record, error) {
	raw, err := b.store.Get(bucket, id)
	if errors.Is(err, errdefs.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("cannot read the record of container %s: %w", objectid.Short(id), err)
	}
	return r, nil
}

// All are all of them. Those that cannot be read are told and left out: their containers are as they are.
func (b *Book) All() (map[string]*Record, error) {
	all := map[string]*Record{}
	err := b.store.Each(bucket, func(id string, raw []byte) error {
		r, err := Decode(raw)
		if err != nil {
			b.log.Warn("cannot read the record of a container", "container", objectid.Short(id), "error", err)
			r = nil
		}
		all[id] = r
		return nil
	})
	return all, err
}

// Put records r.
func (b *Book) Put(r *Record) error {
	raw, err := r.Encode()
	if err != nil {
		return fmt.Errorf("cannot record container %s: %w", r.Name, err)
	}
	return b.store.Put(bucket, r.ID, raw)
}

// Change changes the record of container id, if there is one; change says whether it has.
func (b *Book) Change(id string, change func(*Record) bool) error {
	b.changing.Lock()
	defer b.changing.Unlock()
	r, err := b.get(id)
	if err != nil || r == nil {
		return err
	}
	if !change(r) {
		return nil
	}
	return b.Put(r)
}

// BeginRemoval records that container id, which belongs to no file and has the traits t, is being removed. One that goes with its end needs no word: whoever finds half of it goes on.
func (b *Book) BeginRemoval(id string, t *Traits, volumes bool) error {
	if t.AutoRemove {
		return nil
	}
	return b.Change(id, func(r *Record) bool {
		r.Removing = &Removal{Volumes: volumes || r.Removing != nil && r.Removing.Volumes}
		return true
	})
}
