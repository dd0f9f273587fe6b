package rootfs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestResolve: links mean what they mean inside, whatever they say.
func TestResolve(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{"usr/bin", "run/lock", "a/b"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{
		"bin": "usr/bin", "var": "/a", "a/run": "/run", "up": "../../../../usr", "loop": "loop2", "loop2": "loop", "dangling": "/gone/far", "toFile": "file", "a/b/out": "../../../../..",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, c := range []struct {
		name, want string
		exists     int
		err        error
	}{
		{"/", ".", 0, nil}, {"..", ".", 0, nil}, {"/../../..", ".", 0, nil}, {"", ".", 0, nil},
		{"bin", "usr/bin", 2, nil}, {"/bin/new", "usr/bin/new", 2, nil}, {"bin/..", "usr", 1, nil},
		{"var/run/lock", "run/lock", 2, nil}, {"/var/run/x/y", "run/x/y", 1, nil}, {"up/bin", "usr/bin", 2, nil},
		{"a/b/out/usr", "usr", 1, nil}, {"new/../bin", "usr/bin", 2, nil}, {"new/x/../y", "new/y", 0, nil}, {"a/new/..", "a", 1, nil},
		{"dangling", "gone/far", 0, nil}, {"dangling/x", "gone/far/x", 0, nil}, {"toFile", "file", 1, nil},
		{"loop", "", 0, unix.ELOOP}, {"file/x", "", 0, unix.ENOTDIR}, {"toFile/x", "", 0, unix.ENOTDIR},
		{strings.Repeat("a/../", 100) + "bin", "usr/bin", 2, nil},
	} {
		got, exists, err := r.Resolve(c.name)
		if !errors.Is(err, c.err) || c.err == nil && (err != nil || got != c.want || exists != c.exists) {
			t.Errorf("%q is %q, of which %d exist (%v); expected %q, %d, %v", c.name, got, exists, err, c.want, c.exists, c.err)
		}
	}
	if got, exists, err := r.ResolveParent("var/run"); got != "a/run" || exists != 2 || err != nil {
		t.Errorf("without the last link var/run is %q, %d, %v", got, exists, err)
	}
}

// TestLinksAreNotFollowed: a name that was resolved and is a link by now is refused.
func TestLinksAreNotFollowed(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "canary"), []byte("of the host"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "d")); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	a := Attributes{UID: os.Getuid(), GID: os.Getgid(), Mode: 0o600}
	_, _, openErr := r.OpenFile("d/canary")
	_, mkdirErr := r.Mkdir("d/made", a)
	for what, err := range map[string]error{
		"File": r.File("d/canary", strings.NewReader("x"), a), "Mkdir": mkdirErr, "OpenFile": openErr, "Symlink": r.Symlink("d/l", "x", a), "Link": r.Link("l", "d/canary"),
		"Node": r.Node("d/n", unix.S_IFIFO, 0, a), "Set": r.Set("d/canary", a), "Remove": r.Remove("d/canary"),
	} {
		if err == nil {
			t.Errorf("%s went through the link", what)
		}
	}
	if b, err := os.ReadFile(filepath.Join(outside, "canary")); err != nil || string(b) != "of the host" {
		t.Errorf("the host's file is %q: %v", b, err)
	}
}
