// Package atomicfile replaces a file in one step: whoever reads it sees the old bytes or the
// new ones, never a part.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/cleanup"
	"github.com/stackrun/stack/internal/failpoint"
)

// Durability says what a power cut may take.
type Durability bool

const (
	// NoSync leaves the order of data and rename to the kernel: enough for files that do not
	// outlive the boot.
	NoSync Durability = false
	// Sync makes the new content and its name reach the disk before Write returns.
	Sync Durability = true
)

// tempInfix stands between the file's name and chance in the name of a temporary file.
const tempInfix = ".tmp-"

// Write replaces path with data and permission bits perm, whatever the umask is. The temporary
// file lives in path's own directory, for rename(2) does not cross file systems, and its name
// begins with a dot and the file's name. When Write fails, path is as it was and no temporary
// file is left.
//
// With Sync, fsync(2) of the file comes before the rename and that of the directory after it: "Calling fsync() does
// not necessarily ensure that the entry in the directory containing the file has also reached disk."
//
// A disk that is full is not the end of it: then data goes where Reserve has kept room for path. Either way that is used up.
func Write(path string, data []byte, perm fs.FileMode, sync Durability) error {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	f, err := os.CreateTemp(dir, "."+name+tempInfix+"*")
	if err == nil {
		err = replace(f, path, data, perm, sync)
	}
	kept := reserve(path)
	if err == nil {
		unix.Unlink(kept) // mostly there is none
	} else if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		if f, rerr := os.OpenFile(kept, os.O_WRONLY, 0); rerr == nil {
			// That its name is on the disk says nothing of its content, as it does of a file that is new: ext4 writes at a rename what has no place yet
			// (auto_da_alloc), and this has. After a power cut there would be zeros.
			err = errors.Join(f.Truncate(int64(len(data))), replace(f, path, data, perm, Sync))
		}
	}
	if err == nil && sync {
		err = SyncDir(dir)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// replace makes f, which is closed, what path is, with data as its content. When it fails f is removed.
func replace(f *os.File, path string, data []byte, perm fs.FileMode, sync Durability) error {
	undo := cleanup.Make(func() { os.Remove(f.Name()) }, func() { f.Close() })
	defer undo.Clean()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(perm); err != nil {
		return err
	}
	if sync {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	// Close may be where a full disk or a network file system first says so.
	if err := f.Close(); err != nil {
		return err
	}
	failpoint.Hit("atomicfile.written")
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	failpoint.Hit("atomicfile.renamed")
	undo.Release()
	return nil
}

// Sweep removes the temporary files that a Write left in dir when its process was killed. Nobody may Write there meanwhile.
// A directory that is not there holds none.
func Sweep(dir string) error {
	left, err := filepath.Glob(filepath.Join(escape(dir), ".*"+tempInfix+"*"))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot remove what an interrupted write left: %w", err)
		}
	}
	return nil
}

// escape makes Glob take path as it is.
func escape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// SyncDir makes the names in dir reach the disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
