package image

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/treeremoval"
)

// Locks, in the order in which they may be taken:
//
//	pulls   shared while layers are made that no record names yet, or given on; exclusive while layers are taken away
//	lock    exclusive around reading and writing index.json, and around making or counting snapshots
//	tmp/X   exclusive while X is being made: what is not locked there was left by a crash
//
// They are flock(2) locks on files that are never removed, but for tmp/X: each open has its own, so they hold between
// goroutines as between processes, and the kernel drops them when their holder dies.

// flock opens path and locks it. how is unix.LOCK_SH or LOCK_EX, with LOCK_NB to get errLocked in place of waiting.
// Closing the file unlocks it.
func flock(path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flockFile(f, how); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

var errLocked = errors.New("locked by another")

func flockFile(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		switch {
		case err == nil:
			return nil
		case err == unix.EINTR:
		case err == unix.EWOULDBLOCK:
			return errLocked
		default:
			return fmt.Errorf("cannot lock %s: %w", f.Name(), err)
		}
	}
}

// scratch is a directory below images/tmp that belongs to one attempt. Nothing looks at it until it is renamed to
// where it belongs.
type scratch struct {
	dir  string
	lock *os.File
}

func (s *Store) scratch() (*scratch, error) {
	for {
		dir, err := os.MkdirTemp(s.path("tmp"), "")
		if err != nil {
			return nil, diskError(s.root, err)
		}
		lock, err := os.Open(dir)
		if err != nil {
			// A store that opened in this very moment took it for a leftover.
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			return nil, err
		}
		if err := flockFile(lock, unix.LOCK_EX|unix.LOCK_NB); err != nil {
			lock.Close()
			if errors.Is(err, errLocked) {
				continue
			}
			return nil, err
		}
		if _, err := os.Lstat(dir); err != nil {
			lock.Close()
			continue
		}
		return &scratch{dir: dir, lock: lock}, nil
	}
}

// drop removes the directory, unless it was renamed away, and unlocks it.
func (t *scratch) drop() {
	treeremoval.Remove(t.dir)
	t.lock.Close()
}

// sweep removes what crashes left in tmp.
func (s *Store) sweep() error {
	_, err := s.leftovers(true)
	errs := []error{err}
	// The index is written under this lock only.
	lock, err := flock(s.path("lock"), unix.LOCK_EX)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	defer lock.Close()
	errs = append(errs, atomicfile.Sweep(s.root))
	return errors.Join(errs...)
}

// leftovers names the attempts in tmp that nobody makes any more and, with remove, removes them.
func (s *Store) leftovers(remove bool) (names []string, err error) {
	entries, err := os.ReadDir(s.path("tmp"))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(s.path("tmp"), e.Name())
		f, err := os.Open(path)
		if err != nil {
			continue // gone meanwhile
		}
		if flockFile(f, unix.LOCK_EX|unix.LOCK_NB) == nil {
			names = append(names, "unfinished "+path)
			if remove {
				errs = append(errs, treeremoval.Remove(path))
			}
		}
		f.Close()
	}
	return names, errors.Join(errs...)
}

// notWhilePulling takes the pulls lock for taking layers away.
func (s *Store) notWhilePulling() (*os.File, error) {
	f, err := flock(s.path("pulls"), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, errLocked) {
		return nil, errdefs.With(errdefs.ErrConflict, errors.New("cannot remove layers while images are being pulled, saved or pushed: try again when that is done"))
	}
	return f, err
}
