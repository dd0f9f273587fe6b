package atomicfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/stackrun/stack/internal/atomicfile"
)

func TestWriteReplacesContentAndMode(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), "state.json")
	for i, want := range []struct {
		data string
		perm fs.FileMode
		sync atomicfile.Durability
	}{{"one", 0o644, atomicfile.NoSync}, {"two two", 0o600, atomicfile.Sync}, {"", 0o640, atomicfile.Sync}} {
		if err := atomicfile.Write(path, []byte(want.data), want.perm, want.sync); err != nil {
			t.Fatalf("write %d: %v", i, err)
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want.data || info.Mode().Perm() != want.perm {
			t.Errorf("write %d: got %q %v, want %q %v", i, got, info.Mode().Perm(), want.data, want.perm)
		}
	}
}

func TestFailureLeavesTheOldFileAndNoOther(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "target")
	if err := os.MkdirAll(filepath.Join(path, "in-the-way"), 0o755); err != nil {
		t.Fatal(err)
	}
	err := atomicfile.Write(path, []byte("x"), 0o644, atomicfile.Sync) // rename onto a directory that is not empty
	if err == nil {
		t.Fatal("Write onto a directory succeeded")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "target" {
		t.Errorf("left behind: %v", entries)
	}
	if err := atomicfile.Write(filepath.Join(dir, "no", "file"), nil, 0o644, atomicfile.NoSync); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: got %v, want fs.ErrNotExist", err)
	}
}

func TestReadersNeverSeeAPart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	a, b := bytes.Repeat([]byte("a"), 1<<16), bytes.Repeat([]byte("b"), 1<<16)
	if err := atomicfile.Write(path, a, 0o644, atomicfile.NoSync); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, a) && !bytes.Equal(got, b) {
				t.Errorf("read %d bytes, error %v: neither of the two contents", len(got), err)
				return
			}
		}
	})
	for i := range 200 {
		if err := atomicfile.Write(path, [][]byte{a, b}[i%2], 0o644, atomicfile.NoSync); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	wg.Wait()
}

func TestSweepRemovesWhatAKilledWriteLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]*")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".index.json.tmp-123", "index.json", ".hidden", "a.tmp-1"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := atomicfile.Sweep(dir); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{".hidden", "a.tmp-1", "index.json"}; !slices.Equal(left, want) {
		t.Errorf("left %q, expected %q", left, want)
	}
	if err := atomicfile.Sweep(filepath.Join(dir, "nosuch")); err != nil {
		t.Errorf("a directory that is not there: %v", err)
	}
}
