package atomicfile_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

// small is a directory with a file system of its own, of size bytes.
func small(t *testing.T, size string) string {
	t.Helper()
	sandbox.Require(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves no room in dir.
func fill(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// TestWriteOnAFullDisk: what was reserved takes the next Write, and that alone; nothing but the file is left.
func TestWriteOnAFullDisk(t *testing.T) {
	dir := small(t, "256k")
	path := filepath.Join(dir, "config.json")
	old, next := bytes.Repeat([]byte("o"), 3<<10), bytes.Repeat([]byte("n"), 30<<10)
	if err := atomicfile.Write(path, old, 0o600, atomicfile.NoSync); err != nil {
		t.Fatal(err)
	}
	reserve := func() {
		if err := atomicfile.Reserve(path, 32<<10); err != nil {
			t.Fatal(err)
		}
	}
	kept := filepath.Join(dir, ".config.json.reserve")
	var before, after unix.Stat_t
	reserve()
	// With room for another file the reserve is not the one: a power cut would leave its name with zeros for content.
	if err := errors.Join(unix.Stat(kept, &before), atomicfile.Write(path, old, 0o600, atomicfile.NoSync), unix.Stat(path, &after)); err != nil || before.Ino == after.Ino {
		t.Errorf("the reserve is taken without need: %v", err)
	}
	if err := unix.Stat(kept, &after); err != unix.ENOENT {
		t.Errorf("the reserve is still there: %v", err)
	}
	reserve()
	reserve()
	fill(t, dir)
	if err := atomicfile.Write(path, next, 0o640, atomicfile.Sync); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, next) {
		t.Errorf("it has %d bytes, %v", len(got), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
	fill(t, dir) // what the reserve was too long by
	if err := atomicfile.Write(path, old, 0o600, atomicfile.NoSync); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("without a reserve: %v", err)
	}
	if err := atomicfile.Reserve(path, 32<<10); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a reserve that there is no room for: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, next) {
		t.Errorf("it has %d bytes, %v", len(got), err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("there are %v, %v", left, err)
	}
}
