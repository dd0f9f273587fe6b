package storage

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// TestFullDiskIsToldOnce however many look at the error on its way.
func TestFullDiskIsToldOnce(t *testing.T) {
	dir := t.TempDir()
	err := Explain(dir, fmt.Errorf("cannot do it: %w", Explain(dir, &os.PathError{Op: "mkdir", Path: "x", Err: unix.ENOSPC})))
	if n := strings.Count(err.Error(), "free some"); n != 1 || !errors.Is(err, unix.ENOSPC) || !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("told %d times: %v", n, err)
	}
}

// TestSweep: what is being made is spared, what a crash left is not.
func TestSweep(t *testing.T) {
	root := filepath.Join(t.TempDir(), "images")
	open := func() *Dir {
		d, err := Open(root)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	live, err := open().Scratch()
	if err != nil {
		t.Fatal(err)
	}
	open()
	if _, err := os.Lstat(live.Dir); err != nil {
		t.Errorf("swept under its maker: %v", err)
	}
	live.lock.Close() // as the kernel does for a process that is killed
	open()
	if _, err := os.Lstat(live.Dir); err == nil {
		t.Error("left over")
	}
}
