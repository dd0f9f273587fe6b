// Package disk says what to do where nothing can be written: which file system is full, or read-only.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// Below that much a file system that has refused to take more is full. Others that say ENOSPC have run out of something else: watches, namespaces.
const (
	fullBytes = 1 << 20
	fullFiles = 16
)

// Advice says, for an err that comes of a file that could not be written, which file system is full or read-only and what to do about it; "" = err is of something
// else, or says so itself (ErrUnavailable). It looks at the file system as it is now.
func Advice(err error) string {
	path, errno := refused(err)
	if path == "" || errors.Is(err, errdefs.ErrUnavailable) {
		return ""
	}
	if errno == unix.EROFS {
		return fmt.Sprintf("the file system of %s is read-only, as the kernel makes one after an error of the disk (dmesg says which): make it writable again, or give another --state-root", path)
	}
	var have unix.Statfs_t
	dir := path
	for unix.Statfs(dir, &have) != nil {
		if dir == filepath.Dir(dir) {
			return ""
		}
		dir = filepath.Dir(dir)
	}
	bytes := int64(have.Bavail) * have.Bsize
	if errno == unix.ENOSPC && bytes >= fullBytes && (have.Files == 0 || have.Ffree >= fullFiles) {
		return ""
	}
	return fmt.Sprintf("the file system of %s is full, %d KiB and %d inodes are free: make room there (`stack gc` removes what nothing has any more), or give another --state-root", dir, bytes>>10, have.Ffree)
}

// refused is the file whose writing has failed for want of room, or of a right that nobody has; "" = none.
func refused(err error) (path string, errno unix.Errno) {
	var one *fs.PathError
	var two *os.LinkError
	if !errors.As(err, &errno) || errno != unix.ENOSPC && errno != unix.EDQUOT && errno != unix.EROFS {
		return "", 0
	}
	switch {
	case errors.As(err, &one) && errors.Is(one, errno) && filepath.IsAbs(one.Path):
		return one.Path, errno
	case errors.As(err, &two) && errors.Is(two, errno) && filepath.IsAbs(two.New):
		return two.New, errno
	}
	return "", 0
}
