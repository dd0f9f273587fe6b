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
	"github.com/stackrun/stack/internal/roots"
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
	own := roots.Roots{State: filepath.Join(dir, "state"), Run: "/run/stack"}
	if err := os.Mkdir(filepath.Join(dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	full := os.WriteFile(filepath.Join(dir, "a"), make([]byte, 128<<10), 0o600)
	if got := disk.Advice(fmt.Errorf("cannot write: %w", full), own); !strings.Contains(got, "the file system of "+dir) || !strings.Contains(got, "is full, 0 KiB") || !strings.Contains(got, "stack gc") {
		t.Errorf("of %v: %q", full, got)
	}
	var with interface{ Advice() string }
	if err := disk.Advised(full, own); !errors.As(err, &with) || with.Advice() != disk.Advice(full, own) || !errors.Is(err, unix.ENOSPC) || err.Error() != full.Error() {
		t.Errorf("%v became %v", full, err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	frozen := os.Mkdir(filepath.Join(dir, "b"), 0o700)
	if got := disk.Advice(fmt.Errorf("cannot write: %w", frozen), own); !strings.Contains(got, "the file system of "+dir) || !strings.Contains(got, "is read-only") {
		t.Errorf("of %v: %q", frozen, got)
	}
	for _, err := range []error{
		nil, errdefs.With(errdefs.ErrUnavailable, full), errors.New("no space left on device"), unix.ENOSPC,
		&fs.PathError{Op: "write", Path: "/proc/self/ns", Err: unix.ENOENT},
		&fs.PathError{Op: "inotify_add_watch", Path: t.TempDir(), Err: unix.ENOSPC}, // there is room
	} {
		if got := disk.Advice(err, own); got != "" {
			t.Errorf("of %v: %q", err, got)
		}
		if got := disk.Advised(err, own); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// TestAdviceOfOtherDisks: of a file system that none of the instance's roots is on nothing is said that would move, or make room in, another.
func TestAdviceOfOtherDisks(t *testing.T) {
	sandbox.Require(t)
	dir := t.TempDir()
	home, run, theirs, frozen := filepath.Join(dir, "home"), filepath.Join(dir, "run"), filepath.Join(dir, "theirs"), filepath.Join(dir, "frozen")
	for _, at := range []string{home, run, theirs, frozen} {
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if at == frozen {
			if err = unix.Mount(home, at, "", unix.MS_BIND, ""); err == nil {
				err = unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
			}
		} else {
			err = unix.Mount("tmpfs", at, "tmpfs", 0, "size=64k")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, at := range []string{home, run, theirs, frozen} {
			if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}
	})
	r := roots.Roots{State: filepath.Join(home, "state"), Run: filepath.Join(run, "stack")}
	for _, at := range []string{r.State, r.Run} {
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	fill := func(dir string) error { return os.WriteFile(filepath.Join(dir, "a"), make([]byte, 128<<10), 0o600) }
	quota := func(dir string) error {
		return &fs.PathError{Op: "write", Path: filepath.Join(dir, "q"), Err: unix.EDQUOT}
	}
	for _, tt := range []struct {
		name string
		err  error
		want string // in it
		say  string // of --state-root, --run-root and gc, what is said
	}{
		{"quota of the state", quota(r.State), "a quota on the file system of " + r.State + " is used up", "--state-root gc"},
		{"quota of another", quota(theirs), "a quota on the file system of " + theirs + " is used up", ""},
		{"full state", fill(r.State), "is full, 0 KiB", "--state-root gc"},
		{"full beside the state", fill(home), "is full, 0 KiB", "--state-root gc"},
		{"full run", fill(r.Run), "is full, 0 KiB", "--run-root"},
		{"full other", fill(theirs), "is full, 0 KiB", ""},
		{"read-only mount of what the state is on", os.Mkdir(filepath.Join(frozen, "b"), 0o700), "the file system of " + frozen + "/b is read-only", ""},
		{"read-only, below the state", &fs.PathError{Op: "mkdir", Path: r.InState("b"), Err: unix.EROFS}, "dmesg", "--state-root"},
	} {
		got := disk.Advice(tt.err, r)
		var say []string
		for _, word := range []string{"--state-root", "--run-root", "gc"} {
			if strings.Contains(got, word) {
				say = append(say, word)
			}
		}
		if !strings.Contains(got, tt.want) || strings.Join(say, " ") != tt.say || tt.say == "" && strings.Contains(got, "dmesg") || errors.Is(tt.err, unix.EDQUOT) && strings.Contains(got, "full") {
			t.Errorf("%s, %v: %q", tt.name, tt.err, got)
		}
	}
}
