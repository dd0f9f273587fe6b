package disk_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/disk"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

// TestAdvice is for what the kernel says of a file system that is full, or read-only, and for nothing else that it says in the same words.
func TestAdvice(t *testing.T) {
	sandbox.Require(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	full := os.WriteFile(filepath.Join(dir, "a"), make([]byte, 128<<10), 0o600)
	if got := disk.Advice(fmt.Errorf("cannot write: %w", full)); !strings.Contains(got, "the file system of "+dir) || !strings.Contains(got, "is full, 0 KiB") || !strings.Contains(got, "stack gc") {
		t.Errorf("of %v: %q", full, got)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	frozen := os.Mkdir(filepath.Join(dir, "b"), 0o700)
	if got := disk.Advice(fmt.Errorf("cannot write: %w", frozen)); !strings.Contains(got, "the file system of "+dir) || !strings.Contains(got, "is read-only") {
		t.Errorf("of %v: %q", frozen, got)
	}
	for _, err := range []error{
		nil, errdefs.With(errdefs.ErrUnavailable, full), errors.New("no space left on device"), unix.ENOSPC,
		&fs.PathError{Op: "write", Path: "/proc/self/ns", Err: unix.ENOENT},
		&fs.PathError{Op: "inotify_add_watch", Path: t.TempDir(), Err: unix.ENOSPC}, // there is room
	} {
		if got := disk.Advice(err); got != "" {
			t.Errorf("of %v: %q", err, got)
		}
	}
}
