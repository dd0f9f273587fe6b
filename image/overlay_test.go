package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"archive/tar"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/mount"
)

// mounted mounts what Prepare gave and returns where.
func mounted(t testing.TB, mounts []mount.Mount) string {
	t.Helper()
	m := mounts[0]
	target := t.TempDir()
	opts := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(m.Lower, ":"), m.Upper, m.Work)
	if err := unix.Mount("overlay", target, "overlay", 0, opts); err != nil {
		t.Fatalf("cannot mount %s: %v", opts, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, 0); err != nil {
			t.Error(err)
		}
	})
	return target
}

// onTmpfs gives the store a tmpfs of its own: an upper directory cannot be on another overlay, which a CI's
// temporary directory may be.
func onTmpfs(t testing.TB) *Store {
	t.Helper()
	s := newStore(t)
	dir := s.roots.State
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return openStore(t, s.roots)
}

func pullAndMount(t testing.TB, layers ...v1.Layer) string {
	t.Helper()
	sandbox.Require(t)
	h := newHub(t)
	h.push(t, "app:1", imageOf(t, layers...))
	s := onTmpfs(t)
	ctx := context.Background()
	info, err := s.Pull(ctx, h.host+"/app:1", v1.Platform{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := s.Prepare(ctx, "c1", info.ID)
	if err != nil {
		t.Fatal(err)
	}
	return mounted(t, mounts)
}

func expectFiles(t *testing.T, root string, want map[string]string) {
	t.Helper()
	for path, content := range want {
		b, err := os.ReadFile(filepath.Join(root, path))
		if content == "" {
			if !os.IsNotExist(err) && !strings.Contains(fmt.Sprint(err), "not a directory") {
				t.Errorf("%s is there (%v), expected nothing", path, err)
			}
			continue
		}
		if err != nil || string(b) != content {
			t.Errorf("%s holds %q, %v; expected %q", path, b, err, content)
		}
	}
}

func expectOwner(t *testing.T, path string, mode, uid, gid uint32) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Error(err)
		return
	}
	if st.Mode&0o7777 != mode || st.Uid != uid || st.Gid != gid {
		t.Errorf("%s has mode %o and owner %d:%d, expected %o %d:%d", path, st.Mode&0o7777, st.Uid, st.Gid, mode, uid, gid)
	}
}

func TestOverlay(t *testing.T) {
	root := pullAndMount(t,
		layerOf(t, dirEntry("a", 0o755), fileEntry("a/keep", "1"), fileEntry("a/gone", "1"), dirEntry("o", 0o755), fileEntry("o/old", "1"),
			dirEntry("tree", 0o755), fileEntry("tree/x", "1"), fileEntry("f", "1"), fileEntry("l", "1"), linkEntry("l2", "l")),
		layerOf(t, dirEntry("a", 0o755), fileEntry("a/.wh.gone", ""), fileEntry(".wh.tree", ""), fileEntry("f", "2"),
			dirEntry("o", 0o755), fileEntry("o/.wh..wh..opq", ""), fileEntry("o/new", "2")),
		layerOf(t, dirEntry("tree", 0o755), fileEntry("tree/y", "3")))
	expectFiles(t, root, map[string]string{
		"a/keep": "1", "a/gone": "", "o/old": "", "o/new": "2", "tree/x": "", "tree/y": "3", "f": "2", "l": "1", "l2": "1",
	})
	var a, b unix.Stat_t
	if err := unix.Stat(root+"/l", &a); err != nil {
		t.Fatal(err)
	}
	if err := unix.Stat(root+"/l2", &b); err != nil {
		t.Fatal(err)
	}
	if a.Ino != b.Ino || a.Nlink != 2 {
		t.Errorf("l and l2 are inodes %d and %d with %d links, expected one with 2", a.Ino, b.Ino, a.Nlink)
	}
	// The container can change and remove what layers have.
	if err := os.Remove(root + "/a/keep"); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(root+"/f", []byte("changed"), 0o644); err != nil {
		t.Error(err)
	}
	expectFiles(t, root, map[string]string{"a/keep": "", "f": "changed"})
}

// TestOverlayRoot: the root's mode and owner are those of the topmost layer that speaks of it, and 0755 otherwise.
func TestOverlayRoot(t *testing.T) {
	rootEntry := entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o711, Uid: 5, Gid: 6}}
	root := pullAndMount(t, layerOf(t, rootEntry, fileEntry("a", "1")), layerOf(t, fileEntry("b", "2")))
	expectOwner(t, root, 0o711, 5, 6)
}

// TestPatch: a layer without entries for its parents leaves them as lower layers have them.
func TestPatch(t *testing.T) {
	private := entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "home/me/", Mode: 0o700, Uid: 1000, Gid: 1000}}
	sticky := entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}}
	root := pullAndMount(t,
		layerOf(t, dirEntry("home", 0o750), private, sticky, fileEntry("bin/a", "tool"), fileEntry("bin/b", "tool")),
		layerOf(t, fileEntry("home/me/.profile", "2"), fileEntry("tmp/f", "2"), linkEntry("usr/bin/a", "bin/a")),
		layerOf(t, fileEntry("home/me/x/y", "3"), fileEntry("home/me/.wh.none", "")))
	expectOwner(t, root+"/home", 0o750, 0, 0)
	expectOwner(t, root+"/home/me", 0o700, 1000, 1000)
	expectOwner(t, root+"/home/me/x", 0o755, 0, 0)
	expectOwner(t, root+"/tmp", 0o1777, 0, 0)
	expectFiles(t, root, map[string]string{
		"home/me/.profile": "2", "home/me/x/y": "3", "tmp/f": "2", "usr/bin/a": "tool", "bin/a": "tool", "bin/b": "tool",
	})
}

// TestPatchRespectsUpperLayers: what a later layer says of a directory or of a linked name stays its word.
func TestPatchRespectsUpperLayers(t *testing.T) {
	root := pullAndMount(t,
		layerOf(t, dirEntry("d", 0o700), fileEntry("d/a", "1"), dirEntry("e", 0o711), fileEntry("e/old", "1")),
		layerOf(t, fileEntry("d/b", "2"), linkEntry("x", "d/a"), linkEntry("y", "d/a"), fileEntry("e/mid", "2")),
		layerOf(t, dirEntry("d", 0o755), fileEntry("x", "3"), fileEntry(".wh.y", ""), fileEntry(".wh.e", "")),
		layerOf(t, fileEntry("e/new", "4")))
	expectOwner(t, root+"/d", 0o755, 0, 0)
	// e was removed and came back without an entry: nothing below speaks of it any more.
	expectOwner(t, root+"/e", 0o755, 0, 0)
	expectFiles(t, root, map[string]string{"d/a": "1", "d/b": "2", "x": "3", "y": "", "e/old": "", "e/mid": "", "e/new": "4"})
}

func TestSameLayerTwice(t *testing.T) {
	one := layerOf(t, fileEntry("a", "1"), fileEntry("b", "1"))
	root := pullAndMount(t, one, layerOf(t, fileEntry("a", "2"), fileEntry(".wh.b", "")), one)
	expectFiles(t, root, map[string]string{"a": "1", "b": "1"})
}

func TestNoLayers(t *testing.T) {
	root := pullAndMount(t)
	expectOwner(t, root, 0o755, 0, 0)
}

// TestThroughLowerLink: what a layer puts below a name that is a link in a lower layer is behind the link.
func TestThroughLowerLink(t *testing.T) {
	root := pullAndMount(t,
		layerOf(t, dirEntry("run", 0o700), fileEntry("run/old", "1"), fileEntry("run/gone", "1"), dirEntry("usr", 0o755), dirEntry("usr/lib", 0o755),
			fileEntry("usr/lib/libc", "1"), symlinkEntry("lib", "usr/lib"), dirEntry("var", 0o711), symlinkEntry("var/run", "/run")),
		layerOf(t, fileEntry("var/run/app/pid", "2"), fileEntry("var/run/first", "2"), fileEntry("lib/x/libx", "2"), fileEntry("var/run/.wh.gone", "")),
		layerOf(t, fileEntry("var/run/second", "3"), fileEntry("run/first", "3"), dirEntry("var/run/own", 0o700)))
	for _, link := range []string{"var/run", "lib"} {
		if _, err := os.Readlink(filepath.Join(root, link)); err != nil {
			t.Errorf("%s is no link any more: %v", link, err)
		}
	}
	expectFiles(t, root, map[string]string{
		"run/old": "1", "run/gone": "", "run/app/pid": "2", "run/first": "3", "run/second": "3", "usr/lib/libc": "1", "usr/lib/x/libx": "2",
	})
	expectOwner(t, root+"/run", 0o700, 0, 0)
	expectOwner(t, root+"/run/own", 0o700, 0, 0)
	expectOwner(t, root+"/var", 0o711, 0, 0)
	// An entry for the directory itself replaces the link.
	root = pullAndMount(t,
		layerOf(t, dirEntry("run", 0o700), dirEntry("var", 0o755), symlinkEntry("var/run", "/run")),
		layerOf(t, dirEntry("var/run", 0o750), fileEntry("var/run/f", "2")))
	expectFiles(t, root, map[string]string{"var/run/f": "2", "run/f": ""})
	expectOwner(t, root+"/var/run", 0o750, 0, 0)
}
