package wish

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/driver"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

// Book keeps what users have asked for of projects, in the store. Safe for concurrent use; a change is made by one at a time.
type Book struct {
	store   driver.Store
	writing sync.Mutex // held while a record is changed: a kill may come while somebody else has the project's pass
	decoded Cache
}

// Open is what is in s.
func Open(s driver.Store) *Book { return &Book{store: s} }

// Each calls do with the record of every project as it is written, until that fails. raw is valid until do returns.
func (b *Book) Each(do func(project string, raw []byte) error) error {
	return b.store.Each(bucket, do)
}

// Records calls do with every record that can be read, until that fails. The others are told to whoever needs them.
func (b *Book) Records(do func(project string, r *Record) error) error {
	return b.Each(func(project string, raw []byte) error {
		r, err := b.decoded.Decode(project, raw)
		if err != nil {
			return nil
		}
		return do(project, r)
	})
}

// Forget deletes the record of project. None = success.
func (b *Book) Forget(project string) error { return b.store.Delete(bucket, project) }

// bucket holds a Record by project.
const bucket = "projects"

// Of is what a user has asked for of project, nil when nothing.
func (b *Book) Of(project string) (*Record, error) {
	raw, err := b.raw(project)
	if raw == nil {
		return nil, err
	}
	r, err := b.decoded.Decode(project, raw)
	if err != nil {
		return nil, fmt.Errorf("cannot read the record of project %s: %w", project, err)
	}
	return r, nil
}

// raw is the text of the record of project, nil when there is none.
func (b *Book) raw(project string) ([]byte, error) {
	raw, err := b.store.Get(bucket, project)
	if errors.Is(err, errdefs.ErrNotFound) {
		b.decoded.Forget(project)
		return nil, nil
	}
	return raw, err
}

// Known is File for those who only look. The result is shared: read only.
func (b *Book) Known(project string) (*spec.Project, error) {
	raw, err := b.raw(project)
	if raw == nil {
		return nil, err
	}
	p, err := b.decoded.File(project, raw)
	if err != nil {
		return nil, fmt.Errorf("cannot read the record of project %s: %w", project, err)
	}
	return p, nil
}

// File is the last applied file of a project, nil when there is none.
func (b *Book) File(project string) (*spec.Project, error) {
	r, err := b.Of(project)
	if r == nil {
		return nil, err
	}
	return FileOf(project, r)
}

// RawFile is File as it is written, for those who keep it.
func (b *Book) RawFile(project string) ([]byte, error) {
	r, err := b.Of(project)
	if r == nil {
		return nil, err
	}
	return r.Raw(), nil
}

// FileOf is the file in r, the record of project.
func FileOf(project string, r *Record) (*spec.Project, error) {
	p, err := r.File()
	if err != nil {
		return nil, fmt.Errorf("cannot read the record of project %s: %w", project, err)
	}
	return p, nil
}

// Change changes the record of project, if there is one. What changes nothing writes nothing.
func (b *Book) Change(project string, change func(*Record)) error {
	b.writing.Lock()
	defer b.writing.Unlock()
	raw, err := b.raw(project)
	if raw == nil {
		return err
	}
	r, err := b.decoded.Decode(project, raw)
	if err != nil {
		return fmt.Errorf("cannot read the record of project %s: %w", project, err)
	}
	change(r)
	return b.put(project, r, raw)
}

// put writes r unless it is what was. Precondition: writing is held.
func (b *Book) put(project string, r *Record, was []byte) error {
	raw, err := r.Encode()
	if err != nil {
		return fmt.Errorf("cannot record project %s: %w", project, err)
	}
	if string(raw) == string(was) {
		return nil
	}
	return b.store.Put(bucket, project, raw)
}

// Begin records that a command is being carried out, together with what it wishes for from its beginning. starts are those that it is to
// make. Whoever begins must finish.
func (b *Book) Begin(project, verb string, options any, starts plan.Debts, change func(*Record)) error {
	raw, err := json.Marshal(options)
	if err != nil {
		return fmt.Errorf("cannot record project %s: %w", project, err)
	}
	return b.Change(project, func(r *Record) {
		r.Pass = &Pass{Verb: verb, Options: raw, Starts: starts}
		if change != nil {
			change(r)
		}
	})
}

// End records that the command has ended, however it did, and what it has come to. It returns failed if that is not nil.
func (b *Book) End(project string, failed error, change func(*Record)) error {
	err := b.Change(project, func(r *Record) {
		if change != nil {
			change(r)
		}
		r.Pass = nil
	})
	if failed != nil {
		return failed
	}
	return err
}

// BeginUp records the file of an up, which is the last applied one from here on, and says whether there was another before. An up that
// changes nothing, which options = nil says, leaves no trace of its own. services are those that are brought up; starts are those that it is to make;
// change is made beside.
func (b *Book) BeginUp(p *spec.Project, services []string, scale map[string]int, change func(*Record), options any, starts plan.Debts) (known bool, _ error) {
	b.writing.Lock()
	defer b.writing.Unlock()
	var r *Record
	raw, err := b.store.Get(bucket, p.Name)
	switch {
	case err == nil:
		// One that cannot be read is written anew: what is in it is known by now.
		if r, err = b.decoded.Decode(p.Name, raw); err != nil {
			r = New()
		}
		known = true
	case errors.Is(err, errdefs.ErrNotFound):
		r = New()
	default:
		return false, err
	}
	if err := r.Apply(p, services, scale); err != nil {
		return known, fmt.Errorf("cannot record project %s: %w", p.Name, err)
	}
	change(r)
	if options != nil {
		text, err := json.Marshal(options)
		if err != nil {
			return known, fmt.Errorf("cannot record project %s: %w", p.Name, err)
		}
		r.Pass = &Pass{Verb: "up", Options: text, Starts: starts}
	}
	return known, b.put(p.Name, r, raw)
}

// Off marks containers as not wished for. A command that is to end them does so before the first of them ends, so that nobody brings back what it has ended, whatever
// becomes of it. When it fails, or its caller ends it, those that run on are Spared.
func Off(ids []plan.ID) func(*Record) {
	return func(r *Record) {
		for _, id := range ids {
			r.off[id] = true
		}
		r.Settle(ids...)
	}
}

// Killed is Off of containers that a user kills, with when their runs began: a command that is under way and has started them, or found them running, does not start them again either,
// whichever daemon carries it to its end.
func Killed(runs map[plan.ID]time.Time) func(*Record) {
	return func(r *Record) {
		Off(slices.Collect(maps.Keys(runs)))(r)
		if r.Pass == nil {
			return
		}
		for id, run := range runs {
			debt := r.Pass.Starts[id]
			debt.Killed = run
			r.promise(id, debt)
		}
	}
}

// Spared takes Off back of containers that the command has left running, which nobody has a reason to do without now.
func Spared(ids []plan.ID) func(*Record) {
	return func(r *Record) {
		for _, id := range ids {
			delete(r.off, id)
			if r.Pass != nil && !r.Pass.Starts[id].Killed.IsZero() {
				debt := r.Pass.Starts[id]
				debt.Killed = time.Time{}
				r.promise(id, debt)
			}
		}
	}
}

// On marks containers as wished for.
func On(ids []plan.ID) func(*Record) {
	return func(r *Record) {
		for _, id := range ids {
			r.services[id.Name] = true
			delete(r.off, id)
		}
		r.Settle(ids...)
	}
}
