package image

import (
	"archive/tar"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/layertest"
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
	dir := rootsOf(s).State
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return openStore(t, rootsOf(s))
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
		layerOf(t, layertest.Dir("a", 0o755), layertest.File("a/keep", "1"), layertest.File("a/gone", "1"), layertest.Dir("o", 0o755), layertest.File("o/old", "1"),
			layertest.Dir("tree", 0o755), layertest.File("tree/x", "1"), layertest.File("f", "1"), layertest.File("l", "1"), layertest.Link("l2", "l")),
		layerOf(t, layertest.Dir("a", 0o755), layertest.File("a/.wh.gone", ""), layertest.File(".wh.tree", ""), layertest.File("f", "2"),
			layertest.Dir("o", 0o755), layertest.File("o/.wh..wh..opq", ""), layertest.File("o/new", "2")),
		layerOf(t, layertest.Dir("tree", 0o755), layertest.File("tree/y", "3")))
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
	rootEntry := layertest.Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o711, Uid: 5, Gid: 6}}
	root := pullAndMount(t, layerOf(t, rootEntry, layertest.File("a", "1")), layerOf(t, layertest.File("b", "2")))
	expectOwner(t, root, 0o711, 5, 6)
}

// TestPatch: a layer without entries for its parents leaves them as lower layers have them.
func TestPatch(t *testing.T) {
	private := layertest.Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "home/me/", Mode: 0o700, Uid: 1000, Gid: 1000}}
	sticky := layertest.Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}}
	root := pullAndMount(t,
		layerOf(t, layertest.Dir("home", 0o750), private, sticky, layertest.File("bin/a", "tool"), layertest.File("bin/b", "tool")),
		layerOf(t, layertest.File("home/me/.profile", "2"), layertest.File("tmp/f", "2"), layertest.Link("usr/bin/a", "bin/a")),
		layerOf(t, layertest.File("home/me/x/y", "3"), layertest.File("home/me/.wh.none", "")))
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
		layerOf(t, layertest.Dir("d", 0o700), layertest.File("d/a", "1"), layertest.Dir("e", 0o711), layertest.File("e/old", "1")),
		layerOf(t, layertest.File("d/b", "2"), layertest.Link("x", "d/a"), layertest.Link("y", "d/a"), layertest.File("e/mid", "2")),
		layerOf(t, layertest.Dir("d", 0o755), layertest.File("x", "3"), layertest.File(".wh.y", ""), layertest.File(".wh.e", "")),
		layerOf(t, layertest.File("e/new", "4")))
	expectOwner(t, root+"/d", 0o755, 0, 0)
	// e was removed and came back without an entry: nothing below speaks of it any more.
	expectOwner(t, root+"/e", 0o755, 0, 0)
	expectFiles(t, root, map[string]string{"d/a": "1", "d/b": "2", "x": "3", "y": "", "e/old": "", "e/mid": "", "e/new": "4"})
}

func TestSameLayerTwice(t *testing.T) {
	one := layerOf(t, layertest.File("a", "1"), layertest.File("b", "1"))
	root := pullAndMount(t, one, layerOf(t, layertest.File("a", "2"), layertest.File(".wh.b", "")), one)
	expectFiles(t, root, map[string]string{"a": "1", "b": "1"})
}

func TestNoLayers(t *testing.T) {
	root := pullAndMount(t)
	expectOwner(t, root, 0o755, 0, 0)
}

// TestThroughLowerLink: what a layer puts below a name that is a link in a lower layer is behind the link.
func TestThroughLowerLink(t *testing.T) {
	root := pullAndMount(t,
		layerOf(t, layertest.Dir("run", 0o700), layertest.File("run/old", "1"), layertest.File("run/gone", "1"), layertest.Dir("usr", 0o755), layertest.Dir("usr/lib", 0o755),
			layertest.File("usr/lib/libc", "1"), layertest.Symlink("lib", "usr/lib"), layertest.Dir("var", 0o711), layertest.Symlink("var/run", "/run")),
		layerOf(t, layertest.File("var/run/app/pid", "2"), layertest.File("var/run/first", "2"), layertest.File("lib/x/libx", "2"), layertest.File("var/run/.wh.gone", "")),
		layerOf(t, layertest.File("var/run/second", "3"), layertest.File("run/first", "3"), layertest.Dir("var/run/own", 0o700)))
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
		layerOf(t, layertest.Dir("run", 0o700), layertest.Dir("var", 0o755), layertest.Symlink("var/run", "/run")),
		layerOf(t, layertest.Dir("var/run", 0o750), layertest.File("var/run/f", "2")))
	expectFiles(t, root, map[string]string{"var/run/f": "2", "run/f": ""})
	expectOwner(t, root+"/var/run", 0o750, 0, 0)
}
