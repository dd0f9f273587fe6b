package idmap

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

// mounted mounts a file system for as long as t runs.
func mounted(t *testing.T, kind, data string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount(kind, dir, kind, 0, data); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// clone is a detached mount of what is at path, with what is mounted below.
func clone(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func ownerAt(t *testing.T, fd int, name string) Owner {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		t.Fatal(err)
	}
	return Owner{int(st.Uid), int(st.Gid)}
}

// mappable is an empty file system that can be mapped.
func mappable(t *testing.T) string {
	t.Helper()
	dir := mounted(t, "tmpfs", "")
	sandbox.Since(t, 6, 3, "map a tmpfs")
	return dir
}

func TestMap(t *testing.T) {
	sandbox.Require(t)
	sandbox.LeavesNothing(t)
	dir := mappable(t)
	for name, id := range map[string]int{"own": 1234, "other": 4321} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o666), os.Chown(path, id, id+1)); err != nil {
			t.Fatal(err)
		}
	}
	tree := clone(t, dir)
	if err := Map(tree, Owner{1234, 1235}, Owner{33, 44}, true); err != nil {
		t.Fatal(err)
	}
	if got := ownerAt(t, tree, "own"); got != (Owner{33, 44}) {
		t.Errorf("what is the owner's is seen as %v", got)
	}
	if got := ownerAt(t, tree, "other"); got != (Owner{65534, 65534}) {
		t.Errorf("what is somebody else's is seen as %v", got)
	}
	if err := unix.Fchownat(tree, "own", 0, 0, 0); err != unix.EOVERFLOW {
		t.Errorf("given to root: %v", err)
	}
	if err := Map(tree, Owner{1, 1}, Owner{2, 2}, true); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second time: %v", err)
	}
	if err := Check(dir, true); err != nil {
		t.Errorf("to try it: %v", err)
	}
	if got := ownerAt(t, unix.AT_FDCWD, filepath.Join(dir, "own")); got != (Owner{1234, 1235}) {
		t.Errorf("on the host it is %v now", got)
	}
	var work sync.WaitGroup
	for range 8 { // each has a process of its own
		work.Go(func() {
			if err := Check(dir, true); err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
}

func TestCannot(t *testing.T) {
	sandbox.Require(t)
	sandbox.LeavesNothing(t)
	dir := mappable(t)
	below := filepath.Join(dir, "proc")
	if err := errors.Join(os.Mkdir(below, 0o755), unix.Mount("proc", below, "proc", 0, "")); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(below, 0) //nolint:errcheck // the next unmount tells
	for path, name := range map[string]string{below: "proc", dir: "tmpfs"} {
		if err := Check(path, true); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "("+name+")") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Check(dir, false); err != nil {
		t.Errorf("without what is mounted below: %v", err)
	}
	if err := Check(filepath.Join(dir, "nothing"), true); !errors.Is(err, unix.ENOENT) {
		t.Errorf("what is not there: %v", err)
	}
}
