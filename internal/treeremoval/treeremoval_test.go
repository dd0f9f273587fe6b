package treeremoval_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/internal/treecopy"
	"github.com/stackrun/stack/internal/treeremoval"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func gone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there: %v", path, err)
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	tree, beside := filepath.Join(dir, "tree"), filepath.Join(dir, "beside")
	must(t, treeremoval.Remove(tree), os.MkdirAll(filepath.Join(tree, "a/b"), 0o700), os.Mkdir(beside, 0o700), os.WriteFile(filepath.Join(beside, "f"), nil, 0o600))
	must(t, os.Symlink(beside, filepath.Join(tree, "link")), os.Symlink("..", filepath.Join(tree, "a/up")), unix.Mkfifo(filepath.Join(tree, "fifo"), 0o600), os.WriteFile(filepath.Join(tree, "a/b/f"), nil, 0))
	for i := range 3000 { // more than is read at once
		must(t, os.WriteFile(filepath.Join(tree, "a", fmt.Sprint(i)), nil, 0o600))
	}
	must(t, treeremoval.Remove(tree))
	gone(t, tree)
	link := filepath.Join(dir, "link")
	must(t, os.Symlink(beside, link), treeremoval.Remove(link))
	gone(t, link)
	if _, err := os.Lstat(filepath.Join(beside, "f")); err != nil {
		t.Errorf("a link was followed: %v", err)
	}
}

// TestRemoveADeepTree: with fewer descriptors than it has levels.
func TestRemoveADeepTree(t *testing.T) {
	tree := filepath.Join(t.TempDir(), "tree")
	must(t, os.Mkdir(tree, 0o700))
	fd, err := treecopy.OpenDir(unix.AT_FDCWD, tree)
	must(t, err)
	for range 3000 {
		must(t, unix.Mkdirat(fd, "d", 0o700), unix.Mkdirat(fd, "e", 0o700))
		next, err := treecopy.OpenDir(fd, "d")
		must(t, err, unix.Close(fd))
		fd = next
	}
	must(t, unix.Close(fd))
	var was unix.Rlimit
	must(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &was))
	must(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 300, Max: was.Max}))
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &was) //nolint:errcheck // it was so before
	must(t, treeremoval.Remove(tree))
	gone(t, tree)
}

// TestRemoveLeavesWhatIsMounted: a disk that somebody has mounted in the tree keeps what is on it, also where it is a part of the same file system; all else goes.
func TestRemoveLeavesWhatIsMounted(t *testing.T) {
	sandbox.Require(t)
	dir := t.TempDir()
	tree, beside := filepath.Join(dir, "tree"), filepath.Join(dir, "beside")
	at := filepath.Join(tree, "a/disk")
	must(t, os.MkdirAll(at, 0o700), os.MkdirAll(filepath.Join(tree, "z/z"), 0o700), os.Mkdir(beside, 0o700), os.WriteFile(filepath.Join(beside, "f"), nil, 0o600))
	must(t, unix.Mount(beside, at, "", unix.MS_BIND, ""))
	defer unix.Unmount(at, unix.MNT_DETACH) //nolint:errcheck // when it has failed
	err := treeremoval.Remove(tree)
	var path *os.PathError
	if !errors.Is(err, unix.EBUSY) || !errors.As(err, &path) || path.Path != at {
		t.Errorf("%v", err)
	}
	gone(t, filepath.Join(tree, "z"))
	if _, err := os.Lstat(filepath.Join(beside, "f")); err != nil {
		t.Errorf("what is on the disk was removed: %v", err)
	}
	must(t, unix.Unmount(at, 0), treeremoval.Remove(tree))
	gone(t, tree)
}
