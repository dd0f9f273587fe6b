package image

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/internal/errdefs"
)

// diskError makes a full disk say where and how much is left; other errors pass, and those that say so.
func diskError(dir string, err error) error {
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
