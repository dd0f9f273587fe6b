package book

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/stackrun/stack/internal/store"
	"github.com/stackrun/stack/reconcile/history"
)

// Kept is how many entries a project has at most.
const Kept = 50

// Each project has a bucket of its own of each kind, so that reading one does not read all.
const (
	bucketPlans    = "plans/"    // number → Entry
	bucketProjects = "projects/" // key → a project as JSON, however many entries name it
	bucketStarts   = "starts/"   // container → Start
)

// Book is the history of every project of one state root. Its methods are safe for concurrent use.
//
// A Book whose file cannot be used answers every call with the reason: there is nothing else that depends on it.
type Book struct {
	db  *store.Store
	err error

	mu      sync.Mutex
	open    map[[2]string]bool           // project and key of entries that are under way
	pending map[[2]string]*history.Start // by project and container
	writing bool
	idle    sync.Cond // writing has become false
}

// Open opens the book at path, making it when it is not there.
func Open(path string) *Book {
	b := &Book{open: map[[2]string]bool{}, pending: map[[2]string]*history.Start{}}
	b.idle.L = &b.mu
	if b.db, b.err = store.Open(path); b.err != nil {
		b.err = fmt.Errorf("cannot use the history: %w", b.err)
	}
	return b
}

// Err is why the book cannot be used, nil when it can.
func (b *Book) Err() error { return b.err }

// Close writes what is pending and releases the file.
func (b *Book) Close() error {
	if b.err != nil {
		return nil
	}
	b.mu.Lock()
	for b.writing {
		b.idle.Wait()
	}
	b.mu.Unlock()
	return b.db.Close()
}

func entryKey(number int) string { return fmt.Sprintf("%010d", number) }

// projectKey is what a project's JSON is kept under.
func projectKey(project []byte) string {
	sum := sha256.Sum256(project)
	return hex.EncodeToString(sum[:16])
}

// Begin records that e is about to be carried out: it is on the disk when Begin returns. before may be nil, and after, of what asks for no file. It gives e its number, and keys.
func (b *Book) Begin(project string, e *history.Entry, before, after []byte) error {
	if b.err != nil {
		return b.err
	}
	return b.db.Update(func(tx *store.Tx) error {
		all, err := entries(tx, project)
		if err != nil {
			return err
		}
		e.Number = 1
		if len(all) > 0 {
			e.Number = all[len(all)-1].Number + 1
		}
		for _, file := range []struct {
			text []byte
			key  *string
		}{{after, &e.Project}, {before, &e.Before}} {
			if file.text == nil {
				continue
			}
			*file.key = projectKey(file.text)
			if err := tx.Put(bucketProjects+project, *file.key, file.text); err != nil {
				return err
			}
		}
		all = append(all, *e)
		if n := len(all) - Kept; n > 0 {
			for _, old := range all[:n] {
				if err := tx.Delete(bucketPlans+project, entryKey(old.Number)); err != nil {
					return err
				}
			}
			if err := dropProjects(tx, project, all[n:]); err != nil {
				return err
			}
		}
		b.mu.Lock()
		b.open[[2]string{project, entryKey(e.Number)}] = true
		b.mu.Unlock()
		return putJSON(tx, bucketPlans+project, entryKey(e.Number), e)
	})
}

// dropProjects removes the projects that no entry of kept names.
func dropProjects(tx *store.Tx, project string, kept []history.Entry) error {
	used := map[string]bool{}
	for _, e := range kept {
		used[e.Project], used[e.Before] = true, true
	}
	var gone []string
	if err := tx.Each(bucketProjects+project, func(key string, _ []byte) error {
		if !used[key] {
			gone = append(gone, key)
		}
		return nil
	}); err != nil {
		return err
	}
	for _, key := range gone {
		if err := tx.Delete(bucketProjects+project, key); err != nil {
			return err
		}
	}
	return nil
}

// End records how e, which Begin has numbered, ended, and how the containers that it started came to run.
func (b *Book) End(project string, e *history.Entry, starts []*history.Start) error {
	if b.err != nil {
		return b.err
	}
	key := entryKey(e.Number)
	err := b.db.Update(func(tx *store.Tx) error {
		for _, s := range starts {
			if err := putJSON(tx, bucketStarts+project, s.Container, s); err != nil {
				return err
			}
		}
		return putJSON(tx, bucketPlans+project, key, e)
	})
	b.mu.Lock()
	delete(b.open, [2]string{project, key})
	b.mu.Unlock()
	return err
}

// List is the entries of project, oldest first.
func (b *Book) List(project string) ([]history.Entry, error) {
	if b.err != nil {
		return nil, b.err
	}
	var all []history.Entry
	err := b.db.View(func(tx *store.Tx) (err error) {
		all, err = entries(tx, project)
		return err
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range all {
		if e := &all[i]; e.Outcome == "" {
			e.Outcome = history.Interrupted
			if b.open[[2]string{project, entryKey(e.Number)}] {
				e.Outcome = history.UnderWay
			}
		}
	}
	return all, err
}

// Project is the JSON of a project that an entry names.
func (b *Book) Project(project, key string) (raw []byte, err error) {
	if b.err != nil {
		return nil, b.err
	}
	return b.db.Get(bucketProjects+project, key)
}

// Starts is how the containers of project came to run, by name.
func (b *Book) Starts(project string) (map[string]*history.Start, error) {
	if b.err != nil {
		return nil, b.err
	}
	found := map[string]*history.Start{}
	err := b.db.View(func(tx *store.Tx) error {
		return tx.Each(bucketStarts+project, func(name string, raw []byte) error {
			s := new(history.Start)
			if json.Unmarshal(raw, s) == nil { // another version's is none
				found[name] = s
			}
			return nil
		})
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, s := range b.pending {
		if key[0] == project {
			found[key[1]] = s
		}
	}
	return found, err
}

// Keep records s soon. It does not wait for the disk: of many that come at once as many as are there are written together.
func (b *Book) Keep(project string, s history.Start) {
	if b.err != nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending[[2]string{project, s.Container}] = &s
	if !b.writing {
		b.writing = true
		go b.write()
	}
}

func (b *Book) write() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.pending) > 0 {
		batch := b.pending
		b.pending = map[[2]string]*history.Start{}
		b.mu.Unlock()
		_ = b.db.Update(func(tx *store.Tx) error { // lost, it is only not told
			for key, s := range batch {
				if err := putJSON(tx, bucketStarts+key[0], key[1], s); err != nil {
					return err
				}
			}
			return nil
		})
		b.mu.Lock()
	}
	b.writing = false
	b.idle.Broadcast()
}

// Forget removes all of project's.
func (b *Book) Forget(project string) error {
	if b.err != nil {
		return b.err
	}
	return b.db.Update(func(tx *store.Tx) error {
		for _, bucket := range []string{bucketPlans, bucketProjects, bucketStarts} {
			var keys []string
			if err := tx.Each(bucket+project, func(key string, _ []byte) error {
				keys = append(keys, key)
				return nil
			}); err != nil {
				return err
			}
			for _, key := range keys {
				if err := tx.Delete(bucket+project, key); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func entries(tx *store.Tx, project string) ([]history.Entry, error) {
	var all []history.Entry
	err := tx.Each(bucketPlans+project, func(_ string, raw []byte) error {
		var e history.Entry
		if json.Unmarshal(raw, &e) == nil {
			all = append(all, e)
		}
		return nil
	})
	slices.SortFunc(all, func(a, b history.Entry) int { return a.Number - b.Number })
	return all, err
}

func putJSON(tx *store.Tx, bucket, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Put(bucket, key, raw)
}
