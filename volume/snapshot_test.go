package volume

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
)

// content of files by name; "" = the file is not there.
func contentOf(t *testing.T, dir string, names ...string) string {
	t.Helper()
	var b strings.Builder
	for _, n := range names {
		text, err := os.ReadFile(filepath.Join(dir, n))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		b.WriteString(string(text) + "|")
	}
	return b.String()
}

func filled(t *testing.T, d *Driver, id, text string) State {
	t.Helper()
	s, err := d.Create(t.Context(), Config{ID: id, Labels: map[string]string{"of": id}})
	if err == nil {
		err = os.WriteFile(filepath.Join(s.Path, "f"), []byte(text), 0o640)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSnapshotAndRestore(t *testing.T) {
	d, root := newDriver(t)
	r := roots.Roots{State: filepath.Dir(root)}
	ctx := t.Context()
	a, b := filled(t, d, "a", "a1"), filled(t, d, "b", "b1")
	if _, err := d.Snapshot(ctx, "shop", "s", []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Snapshot(ctx, "shop", "s", []string{"a"}); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("a second of that name: %v", err)
	}
	if _, err := d.Snapshot(ctx, "other", "s", []string{"nobody"}); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("of no volume: %v", err)
	}
	for _, bad := range []string{"", "../x", ".x", "a/b"} {
		if _, err := d.Snapshot(ctx, "shop", bad, []string{"a"}); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("named %q: %v", bad, err)
		}
		if err := d.DeleteSnapshot(ctx, bad, "s"); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("of project %q: %v", bad, err)
		}
	}
	os.WriteFile(filepath.Join(a.Path, "f"), []byte("a2"), 0o600)
	os.WriteFile(filepath.Join(a.Path, "new"), []byte("n"), 0o600)
	os.WriteFile(filepath.Join(b.Path, "f"), []byte("b2"), 0o600)
	if err := d.Restore(ctx, "shop", "s", []string{"a"}); err != nil {
		t.Fatal(err)
	}
	if got := contentOf(t, a.Path, "f", "new") + contentOf(t, b.Path, "f"); got != "a1||b2|" {
		t.Errorf("restored a has, and b: %s", got)
	}
	for what, ids := range map[string][]string{"a volume that it does not have": {"a", "c"}} {
		if err := d.Restore(ctx, "shop", "s", ids); !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// One that is gone is made again, as it was.
	if err := d.Delete(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	again, err := New(r, 0, func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	all, err := again.Snapshots(ctx)
	if err != nil || len(all) != 1 || all[0].Project != "shop" || all[0].Name != "s" || !all[0].Has("a") || !all[0].Has("b") || time.Since(all[0].CreatedAt) > time.Hour {
		t.Fatalf("the next daemon sees %+v, %v", all, err)
	}
	if err := again.Restore(ctx, "shop", "s", []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	list, err := again.List(ctx)
	if err != nil || len(list) != 2 || list[1].Config.Labels["of"] != "b" || list[1].Problem != "" || contentOf(t, list[1].Path, "f") != "b1|" {
		t.Errorf("after the restore: %+v, %v", list, err)
	}
	if err := again.Clone(ctx, "a", Config{ID: "c"}); err != nil {
		t.Fatal(err)
	}
	if err := again.Clone(ctx, "b", Config{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	if got := contentOf(t, filepath.Join(again.root, "c", dataDir), "f") + contentOf(t, filepath.Join(again.root, "a", dataDir), "f"); got != "a1|b1|" {
		t.Errorf("the clones have %s", got)
	}
	for range 2 {
		if err := again.DeleteSnapshot(ctx, "shop", "s"); err != nil {
			t.Fatal(err)
		}
	}
	entries, _ := os.ReadDir(again.root)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("left: %s", e.Name())
		}
	}
}

func TestWhatCannotBeCopied(t *testing.T) {
	d, _ := newDriver(t)
	dir := t.TempDir()
	for id, opts := range map[string]map[string]string{"bound": {"type": "none", "o": "bind", "device": dir}, "memory": {"type": "tmpfs", "device": "tmpfs"}} {
		if _, err := d.Create(t.Context(), Config{ID: id, DriverOpts: opts}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Snapshot(t.Context(), "p", "s", []string{id}); !errors.Is(err, errdefs.ErrNotSupported) || !strings.Contains(err.Error(), id) {
			t.Errorf("%s: %v", id, err)
		}
		if err := d.Clone(t.Context(), id, Config{ID: "x"}); !errors.Is(err, errdefs.ErrNotSupported) {
			t.Errorf("a clone of %s: %v", id, err)
		}
	}
	// A link of root's own to a larger disk is no directory that could be exchanged.
	filled(t, d, "linked", "x")
	data := filepath.Join(d.root, "linked", dataDir)
	if err := errors.Join(os.RemoveAll(data), os.Symlink(dir, data)); err != nil {
		t.Fatal(err)
	}
	filled(t, d, "plain", "y")
	if err := d.Clone(t.Context(), "plain", Config{ID: "linked"}); !errors.Is(err, errdefs.ErrNotSupported) {
		t.Errorf("a clone over a link: %v", err)
	}
	if _, err := d.Snapshot(t.Context(), "p", "s", []string{"linked"}); !errors.Is(err, errdefs.ErrNotSupported) {
		t.Errorf("a snapshot of a link: %v", err)
	}
}

// TestRestoreIsFinished: wherever a daemon dies, the next one finds all of the volumes as they were, or all as they are to be, and nothing half.
func TestRestoreIsFinished(t *testing.T) {
	for at := range 7 {
		d, root := newDriver(t)
		r := roots.Roots{State: filepath.Dir(root)}
		ctx := t.Context()
		a, b := filled(t, d, "a", "old"), filled(t, d, "b", "old")
		if _, err := d.Snapshot(ctx, "p", "s", []string{"a", "b"}); err != nil {
			t.Fatal(err)
		}
		for _, s := range []State{a, b} {
			os.WriteFile(filepath.Join(s.Path, "f"), []byte("new"), 0o600)
		}
		// What replace has made when it comes to finish, and then its first steps.
		dir := filepath.Join(d.root, restorePrefix+"X")
		for _, id := range []string{"a", "b"} {
			if err := os.MkdirAll(filepath.Join(dir, id), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := copyDir(ctx, filepath.Join(d.snapshotPath("p", "s"), id), filepath.Join(dir, id, dataDir)); err != nil {
				t.Fatal(err)
			}
		}
		steps := []func() error{
			func() error {
				return os.WriteFile(filepath.Join(dir, restoreFile), []byte(`{"version": 1, "volumes": ["a", "b"]}`), 0o600)
			},
			func() error { return os.Rename(a.Path, filepath.Join(dir, "a", replacedDir)) },
			func() error { return os.Rename(filepath.Join(dir, "a", dataDir), a.Path) },
			func() error { return os.Rename(b.Path, filepath.Join(dir, "b", replacedDir)) },
			func() error { return os.Rename(filepath.Join(dir, "b", dataDir), b.Path) },
			func() error { return os.Rename(dir, filepath.Join(d.root, gonePrefix+"X")) },
		}
		for _, step := range steps[:at] {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := New(r, 0, func(text string) { t.Log(text) }); err != nil {
			t.Fatalf("after %d steps: %v", at, err)
		}
		want := "old|old|"
		if at == 0 {
			want = "new|new|"
		}
		if got := contentOf(t, a.Path, "f") + contentOf(t, b.Path, "f"); got != want {
			t.Errorf("after %d steps they have %s, want %s", at, got, want)
		}
		if left, _ := filepath.Glob(filepath.Join(d.root, ".[rm]*")); len(left) > 0 {
			t.Errorf("after %d steps there is %v", at, left)
		}
	}
}

// occupy mounts something on dir, so that it cannot be renamed or removed.
func occupy(t *testing.T, dir string) {
	t.Helper()
	sandbox.Require(t)
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
			t.Error(err)
		}
	})
}

// TestRestoreOfWhatIsSomethingElseNow: what a volume was made anew as since has its content elsewhere, where a restore would not be seen.
func TestRestoreOfWhatIsSomethingElseNow(t *testing.T) {
	d, _ := newDriver(t)
	ctx := t.Context()
	filled(t, d, "a", "old")
	if _, err := d.Snapshot(ctx, "p", "s", []string{"a"}); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	elsewhere := t.TempDir()
	if _, err := d.Create(ctx, Config{ID: "a", Driver: driverLocal, DriverOpts: map[string]string{"type": "none", "o": "bind", "device": elsewhere}}); err != nil {
		t.Fatal(err)
	}
	if err := d.Restore(ctx, "p", "s", []string{"a"}); !errors.Is(err, errdefs.ErrNotSupported) || !strings.Contains(err.Error(), elsewhere) {
		t.Errorf("the error is %v", err)
	}
}

// TestRestoreThatCannotBeDone: a volume on which somebody has mounted a disk cannot be moved. All are as they were then, also the one that is made anew, whether it is seen at the
// restore or by the daemon after it, which is there for all others.
func TestRestoreThatCannotBeDone(t *testing.T) {
	d, root := newDriver(t)
	r := roots.Roots{State: filepath.Dir(root)}
	ctx := t.Context()
	a, b, gone := filled(t, d, "a", "old"), filled(t, d, "b", "old"), filled(t, d, "again", "old")
	if _, err := d.Snapshot(ctx, "p", "s", []string{"a", "again", "b"}); err != nil {
		t.Fatal(err)
	}
	if err := d.Delete(ctx, "again"); err != nil {
		t.Fatal(err)
	}
	occupy(t, b.Path)
	for _, s := range []State{a, b} {
		if err := os.WriteFile(filepath.Join(s.Path, "f"), []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string) {
		t.Helper()
		if got := contentOf(t, a.Path, "f") + contentOf(t, b.Path, "f"); got != "new|new|" || exists(gone.Path) {
			t.Errorf("%s they have %s, want what they had", what, got)
		}
		if left, _ := filepath.Glob(filepath.Join(d.root, ".[rm]*")); len(left) > 0 {
			t.Errorf("%s there is %v", what, left)
		}
	}
	if err := d.Restore(ctx, "p", "s", []string{"a", "again", "b"}); !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), "volume b") {
		t.Errorf("%v", err)
	}
	check("after the restore")

	// A daemon was killed when it had moved the first two.
	dir := filepath.Join(d.root, restorePrefix+"X")
	for _, id := range []string{"a", "again", "b"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, id), 0o700), copyDir(ctx, filepath.Join(d.snapshotPath("p", "s"), id), filepath.Join(dir, id, dataDir))); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, restoreFile), []byte(`{"version": 1, "volumes": ["a", "again", "b"]}`), 0o600),
		d.moveIn(filepath.Join(dir, "a"), filepath.Join(d.root, "a")), d.moveIn(filepath.Join(dir, "again"), filepath.Join(d.root, "again"))); err != nil {
		t.Fatal(err)
	}
	var told []string
	if _, err := New(r, 0, func(text string) { told = append(told, text) }); err != nil || len(told) != 1 || !strings.Contains(told[0], "volume b") {
		t.Errorf("%v, told of %q", err, told)
	}
	check("after the next start")
}

// TestWhatCannotBeRemoved: what is left of a volume stays while something is mounted on it, and keeps neither a restore from its end, nor a daemon from its start, nor the sweeper from the rest.
func TestWhatCannotBeRemoved(t *testing.T) {
	d, root := newDriver(t)
	r := roots.Roots{State: filepath.Dir(root)}
	ctx := t.Context()
	a := filled(t, d, "a", "old")
	if _, err := d.Snapshot(ctx, "p", "s", []string{"a"}); err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(a.Path, "disk")
	if err := errors.Join(os.Mkdir(disk, 0o700), os.WriteFile(filepath.Join(a.Path, "f"), []byte("new"), 0o600)); err != nil {
		t.Fatal(err)
	}
	occupy(t, disk)
	var told []string
	d.notice = func(text string) { told = append(told, text) }
	if err := d.Restore(ctx, "p", "s", []string{"a"}); err != nil {
		t.Errorf("the restore: %v", err)
	}
	if got := contentOf(t, a.Path, "f"); got != "old|" || len(told) != 1 {
		t.Errorf("it has %s; told of %q", got, told)
	}
	half := filepath.Join(d.root, tempPrefix+"X")
	if err := os.Mkdir(half, 0o700); err != nil {
		t.Fatal(err)
	}
	told = nil
	again, err := New(r, 0, d.notice)
	if err != nil || len(told) != 1 || !strings.Contains(told[0], "disk") || exists(half) {
		t.Fatalf("%v, told of %q", err, told)
	}
	left, err := again.Sweep(ctx, false)
	if err != nil || len(left) != 1 {
		t.Fatalf("%v, %v", left, err)
	}
	if err := unix.Unmount(filepath.Join(left[0], "a", replacedDir, "disk"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Sweep(ctx, true); err != nil || exists(left[0]) {
		t.Errorf("when nothing is mounted there any more: %v", err)
	}
}

// TestVolumesNamedLikeRecords: no name of a volume meets that of a record beside it, whatever the daemon was killed at.
func TestVolumesNamedLikeRecords(t *testing.T) {
	d, root := newDriver(t)
	ctx := t.Context()
	ids := []string{"restore.json", "snapshot.json", "volume.json", "_data"[1:], "replaced"}
	for _, id := range ids {
		filled(t, d, id, "old")
	}
	if _, err := d.Snapshot(ctx, "p", "s", ids); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		filled(t, d, id, "new")
	}
	if err := d.Restore(ctx, "p", "s", ids); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if got := contentOf(t, filepath.Join(d.root, id, dataDir), "f"); got != "old|" {
			t.Errorf("%s has %s", id, got)
		}
	}
	// Killed in the midst of copying.
	half := filepath.Join(d.root, restorePrefix+"X")
	if err := os.MkdirAll(filepath.Join(half, "restore.json", dataDir), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := New(roots.Roots{State: filepath.Dir(root)}, 0, func(text string) { t.Error(text) }); err != nil || exists(half) {
		t.Errorf("the next daemon: %v", err)
	}
}

func TestSnapshotOfADamagedRecord(t *testing.T) {
	d, root := newDriver(t)
	r := roots.Roots{State: filepath.Dir(root)}
	filled(t, d, "a", "a")
	for _, name := range []string{"good", "torn", "later"} {
		if _, err := d.Snapshot(t.Context(), "p", name, []string{"a"}); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(filepath.Join(d.snapshotPath("p", "torn"), snapshotFile), []byte(`{"version`), 0o600)
	all, err := d.Snapshots(t.Context())
	if err != nil || len(all) != 2 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := d.Restore(t.Context(), "p", "torn", []string{"a"}); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("of a damaged one: %v", err)
	}
	os.WriteFile(filepath.Join(d.snapshotPath("p", "later"), snapshotFile), []byte(`{"version": 9, "project": "p", "name": "later"}`), 0o600)
	if _, err := d.Snapshots(t.Context()); !errors.Is(err, errdefs.ErrNotSupported) {
		t.Errorf("of another version: %v", err)
	}
	if _, err := New(r, 0, func(text string) { t.Log(text) }); err != nil {
		t.Errorf("it stops a daemon: %v", err)
	}
}

// TestSnapshotOnAFullDisk: it says so, and leaves nothing.
func TestSnapshotOnAFullDisk(t *testing.T) {
	sandbox.Require(t)
	d, _ := newDriver(t)
	if err := unix.Mount("tmpfs", d.root, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(d.root, unix.MNT_DETACH) })
	s := filled(t, d, "a", strings.Repeat("x", 600<<10))
	before, _ := os.ReadDir(d.root)
	for what, do := range map[string]func() error{
		"snapshot": func() error { _, err := d.Snapshot(t.Context(), "p", "s", []string{"a"}); return err },
		"clone":    func() error { return d.Clone(t.Context(), "a", Config{ID: "b"}) },
	} {
		if err := do(); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("%s: %v", what, err)
		}
		if after, _ := os.ReadDir(d.root); len(after) != len(before) {
			t.Errorf("%s leaves %v", what, after)
		}
	}
	if text, err := os.ReadFile(filepath.Join(s.Path, "f")); err != nil || !bytes.Equal(text, bytes.Repeat([]byte("x"), 600<<10)) {
		t.Errorf("the volume itself: %d bytes, %v", len(text), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Snapshot(ctx, "p", "s", []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("ended: %v", err)
	}
}
