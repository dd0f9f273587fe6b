package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/cleanup"
)

// reserveSuffix ends the name of what is kept for a file.
const reserveSuffix = ".reserve"

// reserve is what is kept for path.
func reserve(path string) string {
	dir, name := filepath.Split(path)
	return filepath.Join(dir, "."+name+reserveSuffix)
}

// Reserve keeps size bytes of the disk, and a file's name, for the next Write of path, if that finds the disk full. What is kept
// already, and is as large, is success. On a file system that cannot keep room (fallocate(2), EOPNOTSUPP) it does nothing but find out whether a file
// can be made.
//
// Precondition: path is written by one at a time.
func Reserve(path string, size int64) error {
	name := reserve(path)
	var have unix.Stat_t
	if unix.Stat(name, &have) == nil && have.Size >= size {
		return nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("cannot keep room for %s: %w", path, err)
	}
	undo := cleanup.Make(func() { os.Remove(name) }, func() { f.Close() })
	defer undo.Clean()
	for {
		err = unix.Fallocate(int(f.Fd()), 0, 0, size)
		if err != unix.EINTR {
			break
		}
	}
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return nil // undone
	case err != nil:
		return fmt.Errorf("cannot keep room for %s: %w", path, &os.PathError{Op: "fallocate", Path: name, Err: err})
	}
	undo.Release()
	return f.Close()
}
