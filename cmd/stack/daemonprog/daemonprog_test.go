package daemonprog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

// program is one that says words.
func program(words string) *Program {
	text := "#!/bin/sh\necho " + words + "\n" + strings.Repeat("#", 300<<10) // more than is compared at once
	return &Program{Version: "1", size: int64(len(text)), content: strings.NewReader(text)}
}

// said is what f says when it is run.
func said(t *testing.T, f *os.File) string {
	t.Helper()
	defer f.Close()
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	// A script is opened by its interpreter, for which the descriptor is closed: a program of the machine's own would not be.
	cmd := exec.Command("/bin/sh", "-s")
	cmd.Stdin = bytes.NewReader(b)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func place(t *testing.T, p *Program, state string) *os.File {
	t.Helper()
	f, err := p.Place(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func file(state string) string { return filepath.Join(state, directory, name) }

// only checks that nothing but the program is in its directory.
func only(t *testing.T, state string) {
	t.Helper()
	all, err := os.ReadDir(filepath.Join(state, directory))
	if err != nil || len(all) != 1 || all[0].Name() != name {
		t.Errorf("%v, %v", all, err)
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// TestPlace: it is written once, with a mode and content that let it be run, and is another one for another version.
func TestPlace(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	if got := said(t, place(t, program("one"), state)); got != "one" {
		t.Errorf("%q", got)
	}
	first := inode(t, file(state))
	said(t, place(t, program("one"), state))
	if again := inode(t, file(state)); again != first {
		t.Error("what is there was written again")
	}
	running := place(t, program("one"), state) // a daemon has it
	if got := said(t, place(t, program("another"), state)); got != "another" {
		t.Errorf("%q", got)
	}
	if got := said(t, running); got != "one" {
		t.Errorf("who runs the earlier one has %q", got)
	}
	info, err := os.Stat(file(state))
	if err != nil || info.Mode() != 0o500 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	only(t, state)
}

// TestPlaceReplacesWhatIsNotIt: what a power cut, a killed command, a mistake or somebody else has left there is never run.
func TestPlaceReplacesWhatIsNotIt(t *testing.T) {
	p := program("right")
	text, err := io.ReadAll(p.read())
	if err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(path string) error{
		"cut":    func(path string) error { return os.Truncate(path, p.size/2) },
		"empty":  func(path string) error { return os.Truncate(path, 0) },
		"longer": func(path string) error { return os.WriteFile(path, append(bytes.Clone(text), '\n'), 0o500) },
		"one byte": func(path string) error {
			return os.WriteFile(path, bytes.Replace(text, []byte("right"), []byte("wrong"), 1), 0o500)
		},
		"last byte":  func(path string) error { return os.WriteFile(path, append(bytes.Clone(text[:p.size-1]), '!'), 0o500) },
		"writable":   func(path string) error { return os.Chmod(path, 0o722) },
		"not for us": func(path string) error { return os.Chmod(path, 0o444) },
		"a link":     func(path string) error { return errors.Join(os.Rename(path, path+".x"), os.Symlink(path+".x", path)) },
		"a fifo":     func(path string) error { return errors.Join(os.Remove(path), unix.Mkfifo(path, 0o500)) },
		"half-made": func(path string) error {
			return os.WriteFile(filepath.Join(filepath.Dir(path), unready), text[:10], 0o600)
		},
		"not removed": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(filepath.Join(filepath.Dir(path), unready), nil, 0))
		},
	} {
		t.Run(what, func(t *testing.T) {
			state := t.TempDir()
			place(t, p, state).Close()
			path := file(state)
			os.Chmod(path, 0o700) //nolint:errcheck // to spoil it
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			if got := said(t, place(t, p, state)); got != "right" {
				t.Errorf("%q", got)
			}
			if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
				t.Errorf("%v, %v", info, err)
			}
		})
	}
}

// TestPlaceIsRefused: who could change the program's directory could have a program of his own run by root.
func TestPlaceIsRefused(t *testing.T) {
	for what, c := range map[string]struct {
		prepare func(dir string) error
		want    string
	}{
		"others may write": {func(dir string) error { return errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o777)) }, "others may write"},
		"a link":           {func(dir string) error { return errors.Join(os.Mkdir(dir+"2", 0o700), os.Symlink(dir+"2", dir)) }, "program"},
		"a file":           {func(dir string) error { return os.WriteFile(dir, nil, 0o700) }, "not a directory"},
		"a directory":      {func(dir string) error { return os.MkdirAll(filepath.Join(dir, name, "x"), 0o700) }, "directory"},
	} {
		state := t.TempDir()
		if err := c.prepare(filepath.Join(state, directory)); err != nil {
			t.Fatal(err)
		}
		f, err := program("x").Place(t.Context(), state)
		if err == nil {
			f.Close()
			t.Errorf("%s: it was put there", what)
		} else if !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "cannot put the daemon's program into "+state) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestManyPlaceAtOnce: commands of two versions that start at one time all get their own, and one file is left.
func TestManyPlaceAtOnce(t *testing.T) {
	state := t.TempDir()
	var all sync.WaitGroup
	for i := range 16 {
		words := fmt.Sprint("version ", i%2)
		all.Go(func() {
			f, err := program(words).Place(t.Context(), state)
			if err != nil {
				t.Error(err)
				return
			}
			if got := said(t, f); got != words {
				t.Errorf("%q, want %q", got, words)
			}
		})
	}
	all.Wait()
	only(t, state)
}

// TestPlaceWaitsNoLongerThanItsCaller: a command that was stopped while it writes holds up nobody who has somewhere else to go.
func TestPlaceWaitsNoLongerThanItsCaller(t *testing.T) {
	state := t.TempDir()
	dir := filepath.Join(state, directory)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := program("x").Place(ctx, state); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestPlaceWhereNothingCanRun: it is said before anything is written.
func TestPlaceWhereNothingCanRun(t *testing.T) {
	sandbox.Require(t)
	state := t.TempDir()
	if err := unix.Mount("none", state, "tmpfs", unix.MS_NOEXEC, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(state, 0)
	if _, err := program("x").Place(t.Context(), state); !errors.Is(err, ErrNoExec) {
		t.Errorf("%v", err)
	}
	if all, err := os.ReadDir(filepath.Join(state, directory)); len(all) != 0 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
}

// TestPlaceOnAFullDisk: the error says so, and nothing of it is left.
func TestPlaceOnAFullDisk(t *testing.T) {
	sandbox.Require(t)
	state := t.TempDir()
	if err := unix.Mount("none", state, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(state, 0)
	if _, err := program("x").Place(t.Context(), state); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("%v", err)
	}
	if all, err := os.ReadDir(filepath.Join(state, directory)); len(all) != 0 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
}

// TestCarried: the program in this binary is one, and is run from where it is put and from memory.
func TestCarried(t *testing.T) {
	p, err := Carried()
	if errors.Is(err, fs.ErrNotExist) {
		if !strings.Contains(err.Error(), "make build") {
			t.Errorf("the error does not say what to do: %v", err)
		}
		return
	}
	if err != nil || p.Version == "" || p.Size() < 1<<20 {
		t.Fatalf("%+v, %v", p, err)
	}
	memory, err := p.InMemory()
	if err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]*os.File{"placed": place(t, p, t.TempDir()), "memory": memory} {
		out, err := exec.Command(fmt.Sprintf("/proc/self/fd/%d", f.Fd())).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "not called by hand") {
			t.Errorf("%s: %v, %s", what, err, out)
		}
		f.Close()
	}
}
