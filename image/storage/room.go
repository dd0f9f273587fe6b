package storage

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/internal/errdefs"
)

// Explain makes a full disk say where and how much is left; other errors pass, and those that say so.
func Explain(dir string, err error) error {
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) || errors.Is(err, errdefs.ErrUnavailable) {
		return err
	}
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil {
		return fmt.Errorf("no space left on %s: %w", dir, err)
	}
	return errdefs.With(errdefs.ErrUnavailable, fmt.Errorf(
		"no space left on %s: %s and %d inodes are free; free some, or give another --state-root: %w",
		dir, content.SizeText(int64(fs.Bavail)*fs.Bsize), fs.Ffree, err))
}

// Room checks that the file system of the store has need bytes.
func (d *Dir) Room(need int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(d.root, &fs); err != nil {
		return err
	}
	if free := int64(fs.Bavail) * fs.Bsize; free < need {
		return errdefs.With(errdefs.ErrUnavailable, errNoRoom{d.root, need, free})
	}
	return nil
}

type errNoRoom struct {
	path       string
	need, free int64
}

func (e errNoRoom) Error() string {
	return "no space left on " + e.path + ": " + content.SizeText(e.free) + " are free and the layers alone have " + content.SizeText(e.need) +
		" compressed; free some, or give another --state-root"
}

func (e errNoRoom) Unwrap() error { return unix.ENOSPC }

// Explain is diskError for the directory.
func (d *Dir) Explain(err error) error { return Explain(d.root, err) }
