// Package store keeps what must survive the daemon: desired projects and allocations. It is an
// embedded transactional store (bbolt) in one file; a transaction is on the disk when it returns.
//
// Keys are grouped in buckets, which come into being with their first key. Used by reconcile and
// network; knows nothing of what the values mean.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
)

// Version of the file's layout. Open refuses a file of a later one.
const Version = 1

// The bucket of the file's own facts; no caller can name it, for names may not begin with a NUL.
var (
	metaBucket = []byte("\x00meta")
	versionKey = []byte("version")
)

// lockWait is how long Open waits for another process's lock: long enough for a daemon that is
// just leaving.
const lockWait = 2 * time.Second

// Store is open until Close. Its methods are safe for concurrent use.
type Store struct {
	path string
	db   *bbolt.DB
	file *os.File // db's
	kept int64    // so much of file has its place on the disk, see keepRoom
}

// Open opens the store at path, making it (mode 0600) and its directory when they are not there.
// One process has it open at a time: errdefs.ErrUnavailable when another does.
func Open(path string) (*Store, error) {
	return open(path, lockWait)
}

func open(path string, wait time.Duration) (_ *Store, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("cannot open the store %s: %w", path, err)
	}
	var file *os.File
	// bbolt maps the file and trusts its pages: a damaged one is a panic, one cut off a fault.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			// bbolt has not come to it. The mapping that it leaves keeps the open file alive, and with it the lock.
			unix.Flock(int(file.Fd()), unix.LOCK_UN) //nolint:errcheck // the file is given up
			file.Close()
			err = corrupt(path, fmt.Errorf("%v", p))
		}
	}()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout: wait, FreelistType: bbolt.FreelistMapType,
		OpenFile: func(name string, flag int, perm fs.FileMode) (f *os.File, err error) {
			file, err = os.OpenFile(name, flag, perm)
			return file, err
		},
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, errdefs.With(errdefs.ErrUnavailable, fmt.Errorf("cannot open the store %s: another process has it locked; a daemon with the same state root is running: use it, stop it, or choose another --state-root", path))
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return nil, corrupt(path, err)
	case err != nil && tooSmall(file): // bbolt has no name for this error
		return nil, corrupt(path, err)
	case err != nil:
		return nil, fmt.Errorf("cannot open the store %s: %w", path, err)
	}
	s := &Store{path: path, db: db, file: file}
	if err := s.checkPages(); err != nil {
		db.Close()
		return nil, corrupt(path, err)
	}
	if err := s.checkVersion(); err != nil {
		db.Close()
		return nil, err
	}
	return s, nil
}

// tooSmall says that a file has not even the four pages that a new store begins with: it was cut off. It works on a closed file.
func tooSmall(file *os.File) bool {
	if file == nil {
		return false
	}
	info, err := os.Stat(file.Name())
	return err == nil && info.Size() < 4*int64(os.Getpagesize())
}

// damagedError is of a file whose content makes no sense.
type damagedError struct {
	path string
	why  error
}

func (e *damagedError) Error() string {
	return fmt.Sprintf("cannot open the store %s: the file is damaged (%v); move it away to start with an empty one: containers, volumes and images are kept, and `stack up` in each project's directory records it anew", e.path, e.why)
}

func corrupt(path string, why error) error { return &damagedError{path, why} }

// Damage is what Recover found.
type Damage struct {
	Aside string // where the damaged file is kept
	Err   error  // what is wrong with it
}

// Recover is Open, but that a damaged file is put aside, under a name with the time, and an empty store takes its place. Damage is nil when
// the file was whole. A power cut does no such damage (see TestPowerCut): this is for disks that lose what they have said to have kept.
func Recover(path string) (*Store, *Damage, error) {
	s, err := Open(path)
	var damaged *damagedError
	if !errors.As(err, &damaged) {
		return s, nil, err
	}
	d := &Damage{Aside: path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000"), Err: damaged.why}
	if err := os.Rename(path, d.Aside); err != nil {
		return nil, nil, fmt.Errorf("cannot put the damaged store aside: %w", err)
	}
	if err := atomicfile.SyncDir(filepath.Dir(path)); err != nil {
		return nil, nil, fmt.Errorf("cannot put the damaged store aside: %w", err)
	}
	s, err = Open(path)
	return s, d, err
}

// checkPages reads the whole file once, so that damage is told here and not as a crash later. The
// store holds projects, not logs: this is a matter of a millisecond.
func (s *Store) checkPages() error {
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	return s.db.View(func(tx *bbolt.Tx) error {
		// First, for reading a page beyond the end of a mapped file is a SIGBUS.
		if tx.Size() > info.Size() {
			return fmt.Errorf("%d bytes of %d are there", info.Size(), tx.Size())
		}
		var first error
		for err := range tx.Check() {
			if first == nil { // the rest must be received too: the sender waits
				first = err
			}
		}
		return first
	})
}

func (s *Store) checkVersion() error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		s.keepRoom(tx.Size())
		if meta := tx.Bucket(metaBucket); meta != nil {
			if v := string(meta.Get(versionKey)); v != fmt.Sprint(Version) {
				return fmt.Errorf("cannot open the store %s: it has layout version %q and this program knows version %d: use the version of stack that wrote it: %w", s.path, v, Version, errdefs.ErrNotSupported)
			}
			return nil
		}
		if k, _ := tx.Cursor().First(); k != nil {
			return fmt.Errorf("cannot open the store %s: it is a bbolt file of another program: %w", s.path, errdefs.ErrInvalidArgument)
		}
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		return meta.Put(versionKey, fmt.Append(nil, Version))
	})
}

// Close releases the file. It waits for transactions under way.
func (s *Store) Close() error { return s.db.Close() }

// Put sets key to v.
func (s *Store) Put(bucket, key string, v []byte) error {
	return s.Update(func(tx *Tx) error { return tx.Put(bucket, key, v) })
}

// Get returns the value of key, or an error that is errdefs.ErrNotFound.
func (s *Store) Get(bucket, key string) (v []byte, err error) {
	err = s.View(func(tx *Tx) error {
		v, err = tx.Get(bucket, key)
		return err
	})
	return v, err
}

// Delete removes key. A key that is not there is success.
func (s *Store) Delete(bucket, key string) error {
	return s.Update(func(tx *Tx) error { return tx.Delete(bucket, key) })
}

// Each calls fn for every key of bucket in byte order, as they are when Each begins, until fn returns an error. fn may
// read and write the store.
func (s *Store) Each(bucket string, fn func(key string, v []byte) error) error {
	type pair struct {
		key string
		v   []byte
	}
	var all []pair
	// fn runs after the transaction: a second one of the same goroutine waits for whoever makes the file larger, who waits
	// for the first one to end (bbolt, DB.mmap).
	if err := s.View(func(tx *Tx) error {
		return tx.Each(bucket, func(key string, v []byte) error {
			all = append(all, pair{key, v})
			return nil
		})
	}); err != nil {
		return err
	}
	for _, p := range all {
		if err := fn(p.key, p.v); err != nil {
			return err
		}
	}
	return nil
}

// View runs fn on one consistent state of the store. fn uses the store by its Tx alone: another call of the store's could
// wait for fn to end.
func (s *Store) View(fn func(*Tx) error) error {
	return s.db.View(func(tx *bbolt.Tx) error { return fn(&Tx{s, tx}) })
}

// Update runs fn as one transaction: all of its writes happen, and are on the disk, or, when fn
// returns an error, none. Updates run one at a time. fn uses the store by its Tx alone, as of View.
func (s *Store) Update(fn func(*Tx) error) error {
	failpoint.Hit("store.update.begin")
	err := s.db.Update(func(tx *bbolt.Tx) error {
		s.keepRoom(tx.Size())
		return fn(&Tx{s, tx})
	})
	failpoint.Hit("store.update.committed")
	if err != nil && (errors.Is(err, bolterrors.ErrDatabaseNotOpen) || isDiskError(err)) {
		return fmt.Errorf("cannot write the store %s: %w", s.path, err)
	}
	return err
}

func isDiskError(err error) bool {
	var path *os.PathError
	var sys *os.SyscallError
	return errors.As(err, &path) || errors.As(err, &sys)
}

// Tx is a transaction, usable only within the function that it was given to.
type Tx struct {
	store *Store
	tx    *bbolt.Tx
}

// Put sets key to v. Only within Update.
func (t *Tx) Put(bucket, key string, v []byte) error {
	if err := checkNames(bucket, key); err != nil {
		return err
	}
	b, err := t.tx.CreateBucketIfNotExists([]byte(bucket))
	if err != nil {
		return fmt.Errorf("cannot write %s/%s to the store %s: %w", bucket, key, t.store.path, err)
	}
	if err := b.Put([]byte(key), v); err != nil {
		return fmt.Errorf("cannot write %s/%s to the store %s: %w", bucket, key, t.store.path, err)
	}
	return nil
}

// Get returns a copy of the value of key, or an error that is errdefs.ErrNotFound.
func (t *Tx) Get(bucket, key string) ([]byte, error) {
	if err := checkNames(bucket, key); err != nil {
		return nil, err
	}
	if b := t.tx.Bucket([]byte(bucket)); b != nil {
		if v := b.Get([]byte(key)); v != nil {
			return append(make([]byte, 0, len(v)), v...), nil // v is only valid within the transaction
		}
	}
	return nil, fmt.Errorf("%s %q is not in the store: %w", bucket, key, errdefs.ErrNotFound)
}

// Delete removes key. A key that is not there is success. Only within Update.
func (t *Tx) Delete(bucket, key string) error {
	if err := checkNames(bucket, key); err != nil {
		return err
	}
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	if err := b.Delete([]byte(key)); err != nil {
		return fmt.Errorf("cannot delete %s/%s from the store %s: %w", bucket, key, t.store.path, err)
	}
	return nil
}

// Each calls fn for every key of bucket in byte order until it returns an error. v is a copy.
func (t *Tx) Each(bucket string, fn func(key string, v []byte) error) error {
	if err := checkNames(bucket, "*"); err != nil {
		return err
	}
	b := t.tx.Bucket([]byte(bucket))
	if b == nil {
		return nil
	}
	return b.ForEach(func(k, v []byte) error {
		return fn(string(k), append(make([]byte, 0, len(v)), v...))
	})
}

func checkNames(bucket, key string) error {
	if bucket == "" || bucket[0] == 0 || key == "" {
		return fmt.Errorf("bucket %q, key %q: names in the store may not be empty: %w", bucket, key, errdefs.ErrInvalidArgument)
	}
	return nil
}
