// Package disk says what to do where nothing can be written: which file system is full, or read-only.
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
)

// Below that much a file system that has refused to take more is full. Others that say ENOSPC have run out of something else: watches, namespaces.
const (
	fullBytes = 1 << 20
	fullFiles = 16
)

// Advice says why a file could not be written and what to do about it: which file system is full, is read-only, or has a quota that is used up. It looks
// at the file system as it is now. own are the roots of the instance that wanted to write, which could be elsewhere; the zero value = of none. "" = err
// is of something else, or says so itself (ErrUnavailable).
func Advice(err error, own roots.Roots) string {
	path, errno := refused(err)
	if path == "" || errors.Is(err, errdefs.ErrUnavailable) {
		return ""
	}
	dir, have, ok := existing(path)
	if !ok {
		return ""
	}
	flag := rootFlag(own, path, dir, errno)
	room, other := "make room there", ""
	if flag != "" {
		other = ", or give another " + flag
	}
	if flag == stateFlag {
		room += " (`stack gc` removes what nothing has any more)"
	}
	switch {
	case errno == unix.EROFS && flag != "":
		return fmt.Sprintf("the file system of %s is read-only, as the kernel makes one after an error of the disk (dmesg says which): make it writable again%s", path, other)
	case errno == unix.EROFS:
		return fmt.Sprintf("the file system of %s is read-only: mount it writable, or name a place that can be written to", path)
	case errno == unix.EDQUOT:
		return fmt.Sprintf("a quota on the file system of %s is used up: raise it, or %s%s", dir, room, other)
	}
	bytes := int64(have.Bavail) * have.Bsize
	if bytes >= fullBytes && (have.Files == 0 || have.Ffree >= fullFiles) {
		return ""
	}
	return fmt.Sprintf("the file system of %s is full, %d KiB and %d inodes are free: %s%s", dir, bytes>>10, have.Ffree, room, other)
}

// Advised is err with its Advice as a method, for who finds the place in a file and knows of no roots. An err without is returned as it is.
func Advised(err error, own roots.Roots) error {
	text := Advice(err, own)
	if text == "" {
		return err
	}
	return &advised{err, text}
}

// advised is an error and what to do about it.
type advised struct {
	error
	text string
}

func (e *advised) Unwrap() error  { return e.error }
func (e *advised) Advice() string { return e.text }

// existing is path, or the directory above it that is there, and its file system.
func existing(path string) (dir string, have unix.Statfs_t, ok bool) {
	for dir = path; unix.Statfs(dir, &have) != nil; dir = filepath.Dir(dir) {
		if dir == filepath.Dir(dir) {
			return "", have, false
		}
	}
	return dir, have, true
}

const (
	stateFlag = "--state-root"
	runFlag   = "--run-root"
)

// rootFlag is the flag by which own could be elsewhere than where path, below the existing dir, was refused with errno; "" = that would not help: none of its
// roots is above path, nor on the same file system. That one is mounted read-only elsewhere says nothing of the roots.
func rootFlag(own roots.Roots, path, dir string, errno unix.Errno) string {
	if own == (roots.Roots{}) {
		return ""
	}
	both := [...]struct{ root, flag string }{{own.State, stateFlag}, {own.Run, runFlag}}
	for _, x := range both {
		if path == x.root || strings.HasPrefix(path, x.root+"/") {
			return x.flag
		}
	}
	var at, root unix.Stat_t
	if unix.Stat(dir, &at) != nil {
		return ""
	}
	for _, x := range both {
		if unix.Stat(x.root, &root) == nil && root.Dev == at.Dev && (errno != unix.EROFS || readOnly(x.root)) {
			return x.flag
		}
	}
	return ""
}

// readOnly says whether the file system of dir is mounted read-only.
func readOnly(dir string) bool {
	var have unix.Statfs_t
	return unix.Statfs(dir, &have) == nil && have.Flags&unix.ST_RDONLY != 0
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
