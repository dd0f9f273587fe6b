package archive_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/archive"
)

func sumOf(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

// TestCompare: what a tree has, what it has not, and what is in the way; whose a file would be. No link leads out of the tree.
func TestCompare(t *testing.T) {
	sandbox.Require(t)
	top := t.TempDir()
	in := func(name string) string { return filepath.Join(top, "root", name) }
	must(t, os.MkdirAll(in("d/e"), 0o755))
	must(t, os.WriteFile(in("d/f"), []byte("text"), 0o644))
	must(t, os.Chown(in("d/f"), 7, 8))
	must(t, os.Chown(in("d"), 5, 6))
	at := time.Unix(1e9, 12345)
	must(t, os.Chtimes(in("d/f"), at, at))
	must(t, os.Symlink("f", in("d/l")))
	must(t, os.Symlink("/d", in("abs"))) // in the tree, not on the host
	must(t, os.WriteFile(filepath.Join(top, "secret"), []byte("text"), 0o644))
	must(t, os.Symlink("../../../../../../.."+top, in("out")))
	must(t, unix.Mkfifo(in("pipe"), 0o644))
	root, err := archive.Root(in(""))
	must(t, err)
	defer root.Close()
	same, own := archive.Difference{UID: 5, GID: 6}, archive.Difference{UID: 7, GID: 8}
	differs := func(d archive.Difference) archive.Difference { d.Differs = true; return d }
	inTheWay := func(d archive.Difference) archive.Difference { d.Differs, d.InTheWay = true, true; return d }
	for _, c := range []struct {
		what string
		f    archive.Facts
		want archive.Difference
	}{
		{"the same", archive.Facts{Path: "/d/f", Size: 4, Sum: sumOf("text")}, own},
		{"by an absolute link", archive.Facts{Path: "abs/f", Size: 4, Sum: sumOf("text")}, own},
		{"another text", archive.Facts{Path: "/d/f", Size: 4, Sum: sumOf("tent")}, differs(own)},
		{"another size", archive.Facts{Path: "/d/f", Size: 5, Sum: sumOf("text")}, differs(own)},
		{"the same by its time", archive.Facts{Path: "/d/f", Size: 4, Time: at}, own},
		{"another time", archive.Facts{Path: "/d/f", Size: 4, Time: at.Add(1)}, differs(own)},
		{"not there", archive.Facts{Path: "/d/g", Size: 4}, differs(same)},
		{"not there, nor its directory", archive.Facts{Path: "/d/x/y/z"}, differs(same)},
		{"below a file", archive.Facts{Path: "/d/f/z"}, differs(same)},
		{"a directory", archive.Facts{Path: "/d/e", Dir: true}, same},
		{"a directory by a link", archive.Facts{Path: "/abs", Dir: true}, archive.Difference{}},
		{"a directory where a file should be", archive.Facts{Path: "/d/e", Size: 4}, inTheWay(same)},
		{"a file where a directory should be", archive.Facts{Path: "/d/f", Dir: true}, inTheWay(same)},
		{"a link", archive.Facts{Path: "/d/l", Link: "f"}, same},
		{"another link", archive.Facts{Path: "/d/l", Link: "g"}, differs(same)},
		{"a link where a file should be", archive.Facts{Path: "/d/l", Size: 4, Sum: sumOf("text")}, differs(same)},
		{"a pipe", archive.Facts{Path: "/pipe", Size: 0}, differs(archive.Difference{})},
		{"outside", archive.Facts{Path: "/out/secret", Size: 4, Sum: sumOf("text")}, differs(archive.Difference{})},
		{"upwards", archive.Facts{Path: "/../../secret", Size: 4, Sum: sumOf("text")}, differs(archive.Difference{})},
	} {
		got, err := archive.Compare(t.Context(), root, []archive.Facts{c.f})
		if err != nil || len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %+v, %v; want %+v", c.what, got, err, c.want)
		}
	}
	for _, path := range []string{"/", "", strings.Repeat("/x", 4096)} {
		if _, err := archive.Compare(t.Context(), root, []archive.Facts{{Path: path}}); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%.20q: %v", path, err)
		}
	}
}

// TestRemove: what is named goes, a directory when it is empty, and nothing out of the tree.
func TestRemove(t *testing.T) {
	sandbox.Require(t)
	top := t.TempDir()
	in := func(name string) string { return filepath.Join(top, "root", name) }
	for _, name := range []string{"d/f", "d/own", "e/f", "e/g/h"} {
		must(t, os.MkdirAll(filepath.Dir(in(name)), 0o755))
		must(t, os.WriteFile(in(name), nil, 0o644))
	}
	must(t, os.WriteFile(filepath.Join(top, "secret"), nil, 0o644))
	must(t, os.Symlink(top, in("out")))
	must(t, os.Symlink("d", in("link")))
	root, err := archive.Root(in(""))
	must(t, err)
	defer root.Close()
	got, err := archive.Remove(t.Context(), root, []archive.Facts{
		{Path: "/e/g/h"}, {Path: "/e/g", Dir: true}, {Path: "/e/f"}, {Path: "/e", Dir: true}, // all of it
		{Path: "/d/f"}, {Path: "/d", Dir: true}, // not what the container has besides
		{Path: "/d/none"}, {Path: "/no/ne"}, {Path: "/d"}, {Path: "/d/own", Dir: true}, {Path: "/out/secret"}, {Path: "/../secret"},
		{Path: "/link"}, // itself
	})
	must(t, err)
	var there []bool
	for _, d := range got {
		there = append(there, d.Differs)
	}
	if want := []bool{true, true, true, true, true, false, false, false, false, false, false, false, true}; !slices.Equal(there, want) {
		t.Errorf("removed %v, want %v", there, want)
	}
	for name, want := range map[string]bool{"root/e": false, "root/d/own": true, "root/d/f": false, "secret": true, "root/link": false} {
		if _, err := os.Lstat(filepath.Join(top, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, os.Mkdir(in("ro"), 0o755))
	must(t, unix.Mount("none", in("ro"), "tmpfs", 0, ""))
	must(t, os.WriteFile(in("ro/f"), nil, 0o644))
	must(t, unix.Mount("none", in("ro"), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	var ro *archive.ReadOnlyError
	if _, err := archive.Remove(t.Context(), root, []archive.Facts{{Path: "/ro/f"}}); !errors.As(err, &ro) || ro.Path != "/ro" || ro.Root {
		t.Errorf("of a read-only mount: %v", err)
	}
	if got, err := archive.Remove(t.Context(), root, []archive.Facts{{Path: "/ro", Dir: true}}); err != nil || got[0].Differs {
		t.Errorf("a mount point: %+v, %v; expected that it stays", got, err)
	}
	must(t, unix.Unmount(in("ro"), 0))
	must(t, os.Mkdir(in("proc"), 0o755))
	must(t, unix.Mount("proc", in("proc"), "proc", 0, ""))
	defer unix.Unmount(in("proc"), 0)
	for what, do := range map[string]func() error{
		"compare": func() error {
			_, err := archive.Compare(t.Context(), root, []archive.Facts{{Path: fmt.Sprintf("/proc/%d/stat", os.Getpid())}})
			return err
		},
		"remove": func() error {
			_, err := archive.Remove(t.Context(), root, []archive.Facts{{Path: "/proc/kmsg"}})
			return err
		},
	} {
		if err := do(); !errors.Is(err, errdefs.ErrNotSupported) {
			t.Errorf("%s in what is the kernel's: %v", what, err)
		}
	}
}
