package image

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
)

// step makes a snapshot on layers, lets fn write to its upper directory and commits it.
func step(t *testing.T, s *Store, key string, layers []v1.Hash, latest time.Time, fn func(upper string)) Layer {
	t.Helper()
	mounts, err := s.PrepareLayers(t.Context(), key, layers)
	if err != nil {
		t.Fatal(err)
	}
	fn(mounts[0].Upper)
	l, err := s.Commit(t.Context(), key, latest)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestCommit: the diff id depends on the files alone; an unchanged root makes no layer.
func TestCommit(t *testing.T) {
	sandbox.Require(t)
	s := newStore(t)
	const attr = "trusted.x" // a tmpfs has none of users before Linux 6.6
	some := func(upper string) {
		check(t, os.MkdirAll(filepath.Join(upper, "d/e"), 0o750))
		check(t, os.WriteFile(filepath.Join(upper, "d/f"), []byte("content"), 0o640))
		check(t, os.Link(filepath.Join(upper, "d/f"), filepath.Join(upper, "d/g")))
		check(t, os.Symlink("f", filepath.Join(upper, "d/l")))
		check(t, unix.Mkfifo(filepath.Join(upper, "d/p"), 0o600))
		check(t, unix.Setxattr(filepath.Join(upper, "d/f"), attr, []byte("y"), 0))
		for _, name := range []string{"d/f", "d/l", "d/p", "d/e", "d"} {
			ts := unix.NsecToTimespec(time.Unix(1000, 500).UnixNano())
			check(t, unix.UtimesNanoAt(unix.AT_FDCWD, filepath.Join(upper, name), []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
		}
	}
	first := step(t, s, "one", nil, time.Time{}, some)
	if again := step(t, s, "two", nil, time.Time{}, some); again.DiffID != first.DiffID || first.Entries != 6 || first.Bytes != 7 {
		t.Errorf("the same files are %+v and %+v", first, again)
	}
	for what, change := range map[string]func(upper string){
		"mode":    func(upper string) { check(t, os.Chmod(filepath.Join(upper, "d/f"), 0o600)) },
		"owner":   func(upper string) { check(t, os.Lchown(filepath.Join(upper, "d/l"), 1, 1)) },
		"content": func(upper string) { check(t, os.WriteFile(filepath.Join(upper, "d/f"), []byte("CONTENT"), 0o640)) },
		"xattr":   func(upper string) { check(t, unix.Setxattr(filepath.Join(upper, "d/f"), attr, []byte("z"), 0)) },
		"root":    func(upper string) { check(t, os.Chmod(upper, 0o700)) },
		"time": func(upper string) {
			check(t, os.Chtimes(filepath.Join(upper, "d/f"), time.Unix(5, 0), time.Unix(5, 0)))
		},
		"gone": func(upper string) { check(t, unix.Mknod(filepath.Join(upper, "gone"), unix.S_IFCHR, 0)) },
	} {
		l := step(t, s, "change", nil, time.Time{}, func(upper string) { some(upper); change(upper) })
		if l.DiffID == first.DiffID {
			t.Errorf("another %s makes no other layer", what)
		}
	}
	if l := step(t, s, "none", nil, time.Time{}, func(string) {}); l.Entries != 0 {
		t.Errorf("nothing makes a layer of %d entries", l.Entries)
	}
	if _, err := s.Commit(t.Context(), "none", time.Time{}); err == nil {
		t.Error("a snapshot that is not there is committed")
	}
	clamped := func(when int64) Layer {
		return step(t, s, "clamp", nil, time.Unix(100, 0), func(upper string) {
			f := filepath.Join(upper, "f")
			check(t, os.WriteFile(f, nil, 0o644))
			check(t, os.Chtimes(f, time.Unix(when, 0), time.Unix(when, 0)))
		})
	}
	if a, b := clamped(2000), clamped(3000); a.DiffID != b.DiffID {
		t.Error("times after the latest one count")
	}
}

// TestCommitFits: what no layer can have is taken out or refused, and marks of overlayfs say what they have to.
func TestCommitFits(t *testing.T) {
	sandbox.Require(t)
	s := newStore(t)
	base := step(t, s, "base", nil, time.Time{}, func(upper string) { check(t, os.Mkdir(filepath.Join(upper, "old"), 0o755)) })
	opaque := func(dir string) { check(t, unix.Setxattr(dir, "trusted.overlay.opaque", []byte("y"), 0)) }
	l := step(t, s, "top", []v1.Hash{base.DiffID}, time.Time{}, func(upper string) {
		for _, d := range []string{"old", "new"} {
			check(t, os.Mkdir(filepath.Join(upper, d), 0o755))
			opaque(filepath.Join(upper, d))
		}
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		check(t, err)
		defer unix.Close(fd)
		check(t, unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(upper, "new/socket")}))
	})
	fs := s.layers.FS(l.DiffID)
	if _, err := os.Lstat(filepath.Join(fs, "new/socket")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is there: %v", err)
	}
	var y [1]byte
	if _, err := unix.Getxattr(filepath.Join(fs, "old"), "trusted.overlay.opaque", y[:]); err != nil {
		t.Errorf("a directory that hides another does so no more: %v", err)
	}
	if _, err := unix.Getxattr(filepath.Join(fs, "new"), "trusted.overlay.opaque", y[:]); err == nil {
		t.Error("a directory hides one that is not there")
	}
	if l.Entries != 3 {
		t.Errorf("there are %d entries, expected two directories and what one of them hides", l.Entries)
	}
	mounts, err := s.PrepareLayers(t.Context(), "bad", nil)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(mounts[0].Upper, ".wh.x"), nil, 0o644))
	if _, err := s.Commit(t.Context(), "bad", time.Time{}); err == nil {
		t.Error("a file that says that another is gone is kept")
	}
	check(t, s.Remove(t.Context(), "bad"))
}

// TestHold: a layer that is held stays, and goes when it is let go; an image keeps its layers whoever lets go.
func TestHold(t *testing.T) {
	sandbox.Require(t)
	s := newStore(t)
	ctx := context.Background()
	file := func(name string) func(string) {
		return func(upper string) { check(t, os.WriteFile(filepath.Join(upper, name), nil, 0o644)) }
	}
	one := step(t, s, "one", nil, time.Time{}, file("one")).DiffID
	two := step(t, s, "two", []v1.Hash{one}, time.Time{}, file("two")).DiffID
	_, err := s.Prune(ctx)
	check(t, err)
	if !s.HasLayers(ctx, []v1.Hash{one, two}) {
		t.Fatal("layers that are held are gone")
	}
	conf := &v1.ConfigFile{OS: "linux", Architecture: platform.Host().Architecture, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{one}}}
	info, err := s.Record(ctx, conf, "made:1")
	check(t, err)
	raw, err := json.Marshal(conf)
	check(t, err)
	if id := content.Digest(raw); id != info.ID || !slices.Equal(info.Refs, []string{"made:1"}) {
		t.Errorf("it is %s with the names %q, expected %s", info.ID, info.Refs, id)
	}
	check(t, s.Release(ctx, one, two))
	if !s.HasLayers(ctx, []v1.Hash{one}) || s.HasLayers(ctx, []v1.Hash{two}) {
		t.Error("of two layers that were let go the image's one is to stay")
	}
	if _, err := s.PrepareLayers(ctx, "three", []v1.Hash{one, two}); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("a root on a layer that is gone: %v", err)
	}
	if _, err := s.Record(ctx, &v1.ConfigFile{OS: "linux", Architecture: conf.Architecture, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{two}}}); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("an image of a layer that is gone: %v", err)
	}
	// A snapshot holds what it stands on and what it shows.
	mounts, err := s.PrepareLayers(ctx, "view", nil, []v1.Hash{one})
	check(t, err)
	if len(mounts) != 2 || mounts[1].Upper != "" || mounts[1].Lower[0] != s.layers.FS(one) {
		t.Errorf("the mounts are %+v", mounts)
	}
	check(t, s.Delete(ctx, "made:1"))
	if !s.HasLayers(ctx, []v1.Hash{one}) {
		t.Error("a layer that a snapshot shows is gone")
	}
	if _, err := s.Tag(ctx, info.ID, "made:2"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("an image that is gone gets a name: %v", err)
	}
	check(t, s.Remove(ctx, "view"))
}

// TestBuiltAfterPowerCut: an image whose configuration a power cut has taken is not there, and harms no other; made again, it is.
func TestBuiltAfterPowerCut(t *testing.T) {
	sandbox.Require(t)
	s := newStore(t)
	ctx := context.Background()
	l := step(t, s, "step", nil, time.Time{}, func(upper string) { check(t, os.WriteFile(filepath.Join(upper, "f"), nil, 0o644)) })
	conf := &v1.ConfigFile{OS: "linux", Architecture: platform.Host().Architecture, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{l.DiffID}}}
	other := *conf
	other.Author = "other"
	info, err := s.Record(ctx, conf, "lost:1")
	check(t, err)
	_, err = s.Record(ctx, &other, "kept:1")
	check(t, err)
	raw, err := os.ReadFile(s.catalog.BlobPath(info.ID))
	check(t, err)
	for what, content := range map[string][]byte{"empty": nil, "zeros": make([]byte, len(raw))} {
		check(t, os.WriteFile(s.catalog.BlobPath(info.ID), content, 0o600))
		s = openStore(t, rootsOf(s)) // as after a boot
		if _, err := s.Resolve(ctx, "lost:1", v1.Platform{}); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
		if list, err := s.List(ctx); err != nil || len(list) != 1 || list[0].Refs[0] != "kept:1" {
			t.Errorf("%s: the list is %v: %v", what, list, err)
		}
		if _, err := s.Tag(ctx, info.ID, "lost:1"); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("%s: it gets a name: %v", what, err)
		}
		_, err := s.Record(ctx, conf, "lost:1")
		check(t, err)
		if _, err := s.Resolve(ctx, "lost:1", v1.Platform{}); err != nil {
			t.Errorf("%s: made again it is not there: %v", what, err)
		}
	}
}

// TestTag: a name leaves the image that had it.
func TestTag(t *testing.T) {
	sandbox.Require(t)
	s := newStore(t)
	ctx := context.Background()
	image := func(text string, refs ...string) Info {
		t.Helper()
		l := step(t, s, "step", nil, time.Time{}, func(upper string) { check(t, os.WriteFile(filepath.Join(upper, "f"), []byte(text), 0o644)) })
		info, err := s.Record(ctx, &v1.ConfigFile{OS: "linux", Architecture: platform.Host().Architecture, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{l.DiffID}}}, refs...)
		check(t, err)
		return info
	}
	a, b := image("a", "name:1"), image("b")
	before, err := os.Stat(s.dir.Path("index.json"))
	check(t, err)
	if _, err := s.Tag(ctx, a.ID, "name:1"); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(s.dir.Path("index.json")); err != nil || !os.SameFile(before, after) {
		t.Errorf("a name that it has already is written again: %v", err)
	}
	info, err := s.Tag(ctx, b.ID, "name:1", "other:2")
	check(t, err)
	if !slices.Equal(info.Refs, []string{"name:1", "other:2"}) {
		t.Errorf("names are %q", info.Refs)
	}
	if found, err := s.Resolve(ctx, "name:1", v1.Platform{}); err != nil || found.ID != b.ID {
		t.Errorf("name:1 is %s: %v", found.ID, err)
	}
	if found, err := s.Resolve(ctx, a.ID.String(), v1.Platform{}); err != nil || len(found.Refs) != 0 {
		t.Errorf("the other one has the names %q: %v", found.Refs, err)
	}
	for _, bad := range []string{"Upper", "a@sha256:" + a.ID.Hex, ""} {
		if _, err := s.Tag(ctx, b.ID, bad); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("the name %q: %v", bad, err)
		}
	}
}

// TestCommitSnapshot: a container's root becomes one more layer, without being touched, and without what only a container has.
func TestCommitSnapshot(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	h.push(t, "base:1", twoLayers(t))
	s := newStore(t)
	base, err := s.Pull(t.Context(), h.host+"/base:1", v1.Platform{}, nil)
	check(t, err)
	mounts, err := s.Prepare(t.Context(), "box", base.ID)
	check(t, err)
	upper := mounts[0].Upper
	check(t, os.MkdirAll(filepath.Join(upper, "etc"), 0o755))
	check(t, os.WriteFile(filepath.Join(upper, "etc/resolv.conf"), nil, 0o644))
	check(t, os.WriteFile(filepath.Join(upper, "made"), []byte("here"), 0o600))
	check(t, os.MkdirAll(filepath.Join(upper, "new"), 0o755))
	check(t, unix.Setxattr(filepath.Join(upper, "new"), "trusted.overlay.opaque", []byte("y"), 0))
	check(t, unix.Mknod(filepath.Join(upper, "new/socket"), unix.S_IFSOCK|0o600, 0))
	check(t, unix.Mknod(filepath.Join(upper, "two"), unix.S_IFCHR, 0))

	info, err := s.CommitSnapshot(t.Context(), "box", func(c *v1.Config) error { c.User = "9"; return nil }, Author{Name: "me", Comment: "why", By: "cmd"}, "made:1")
	check(t, err)
	conf, err := s.ConfigFile(t.Context(), info.ID)
	check(t, err)
	if last := conf.History[len(conf.History)-1]; conf.Config.User != "9" || conf.Author != "me" || last.Comment != "why" || last.CreatedBy != "cmd" || last.EmptyLayer || len(conf.RootFS.DiffIDs) != 3 {
		t.Errorf("%+v", conf)
	}
	fs := s.layers.FS(conf.RootFS.DiffIDs[2])
	var names []string
	check(t, filepath.WalkDir(fs, func(path string, _ os.DirEntry, err error) error {
		names = append(names, path[len(fs):])
		return err
	}))
	if want := []string{"", "/etc", "/made", "/new", "/two"}; !slices.Equal(names, want) {
		t.Errorf("the layer has %q, want %q", names, want)
	}
	for _, name := range []string{"etc/resolv.conf", "new/socket", ".dockerenv"} {
		if _, err := os.Lstat(filepath.Join(upper, name)); err != nil {
			t.Errorf("the container lost %v", err)
		}
	}
	if _, err := unix.Lgetxattr(filepath.Join(upper, "new"), "trusted.overlay.opaque", make([]byte, 1)); err != nil {
		t.Errorf("the container's directory: %v", err)
	}
	// Nothing written makes no layer; what change refuses makes no image.
	_, err = s.Prepare(t.Context(), "idle", base.ID)
	check(t, err)
	same, err := s.CommitSnapshot(t.Context(), "idle", func(*v1.Config) error { return nil }, Author{}, "same:1")
	check(t, err)
	if conf, err := s.ConfigFile(t.Context(), same.ID); err != nil || len(conf.RootFS.DiffIDs) != 2 || !conf.History[len(conf.History)-1].EmptyLayer {
		t.Errorf("%+v, %v", conf, err)
	}
	refused := errors.New("refused")
	if _, err := s.CommitSnapshot(t.Context(), "idle", func(*v1.Config) error { return refused }, Author{}, "same:2"); !errors.Is(err, refused) {
		t.Error(err)
	}
	if _, err := s.CommitSnapshot(t.Context(), "none", func(*v1.Config) error { return nil }, Author{}); !errors.Is(err, errdefs.ErrNotFound) {
		t.Error(err)
	}
}
