package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/failpoint"
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

// Scratch is a directory below images/tmp that belongs to one attempt. Nothing looks at it until it is renamed to
// where it belongs.
type Scratch struct {
	Dir  string // its path
	lock *os.File
}

// Scratch makes a scratch directory, for the caller to drop.
func (d *Dir) Scratch() (*Scratch, error) {
	for {
		dir, err := os.MkdirTemp(d.Path("tmp"), "")
		if err != nil {
			return nil, d.Explain(err)
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
		return &Scratch{Dir: dir, lock: lock}, nil
	}
}

// Drop removes the directory, unless it was renamed away, and unlocks it.
func (t *Scratch) Drop() {
	treeremoval.Remove(t.Dir)
	t.lock.Close()
}

// sweep removes what crashes left in tmp.
func (d *Dir) sweep() error {
	_, err := d.Leftovers(true)
	errs := []error{err}
	// The index is written under this lock only.
	lock, err := d.Lock()
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	defer lock.Close()
	errs = append(errs, atomicfile.Sweep(d.root))
	return errors.Join(errs...)
}

// Leftovers names the attempts in tmp that nobody makes any more and, with remove, removes them.
func (d *Dir) Leftovers(remove bool) (names []string, err error) {
	entries, err := os.ReadDir(d.Path("tmp"))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, e := range entries {
		path := filepath.Join(d.Path("tmp"), e.Name())
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

// Lock locks the index and the snapshots. Closing it unlocks.
func (d *Dir) Lock() (io.Closer, error) { return flock(d.Path("lock"), unix.LOCK_EX) }

// KeepLayers keeps all layers that are there, or are made, from being taken away until it is closed.
func (d *Dir) KeepLayers() (io.Closer, error) { return flock(d.Path("pulls"), unix.LOCK_SH) }

// TakeLayers is for taking layers away, until it is closed. errdefs.ErrConflict while somebody keeps them.
func (d *Dir) TakeLayers() (io.Closer, error) {
	f, err := flock(d.Path("pulls"), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, errLocked) {
		return nil, errdefs.With(errdefs.ErrConflict, errors.New("cannot remove layers while images are being pulled, saved or pushed: try again when that is done"))
	}
	return f, err
}

// Discard takes a directory out of sight in one step and then removes it.
func (d *Dir) Discard(dir string) error {
	tmp, err := d.Hide(dir)
	if tmp != nil {
		tmp.Drop()
	}
	return err
}

// Hide takes a directory out of sight in one step: into a scratch directory, which is for the caller to drop and for the next Store if this one
// does not live to do it. nil: there was no such directory.
func (d *Dir) Hide(dir string) (*Scratch, error) {
	tmp, err := d.Scratch()
	if err != nil {
		return nil, err
	}
	err = os.Rename(dir, filepath.Join(tmp.Dir, "gone"))
	failpoint.Hit("image.discard.renamed")
	if err == nil {
		return tmp, nil
	}
	tmp.Drop()
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return nil, err
}
