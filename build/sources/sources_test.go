package sources_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stackrun/stack/build/sources"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/layertest"
)

func TestUnpack(t *testing.T) {
	tarred := layertest.Tar(t, layertest.Dir(".", 0o755), layertest.File("./Dockerfile", "FROM x"), layertest.Dir("ro", 0o555), layertest.File("ro/f", "1"), layertest.File("deep/er/f", "2"),
		layertest.Symlink("s", "ro/f"), layertest.Link("h", "ro/f"), layertest.File("twice", "1"), layertest.File("twice", "2"), layertest.File(".wh.kept", "w"))
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(tarred)
	z.Close()
	for form, text := range map[string][]byte{"plain": tarred, "gzip": zipped.Bytes()} {
		dir := t.TempDir()
		if err := sources.Unpack(t.Context(), dir, bytes.NewReader(text), sources.Limits{}); err != nil {
			t.Fatal(form, err)
		}
		for name, want := range map[string]string{"Dockerfile": "FROM x", "ro/f": "1", "deep/er/f": "2", "s": "1", "h": "1", "twice": "2", ".wh.kept": "w"} {
			if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
				t.Errorf("%s: %s is %q, %v", form, name, got, err)
			}
		}
		if info, err := os.Stat(filepath.Join(dir, "ro/f")); err != nil || info.Mode() != 0o644 || !info.ModTime().Equal(time.Unix(1e9, 0)) {
			t.Errorf("%v, %v", info, err)
		}
	}
}

// TestContained: nothing of a stream is made, read or changed beside its directory.
func TestContained(t *testing.T) {
	base := t.TempDir()
	canary := filepath.Join(base, "canary")
	if err := os.WriteFile(canary, []byte("untouched"), 0o644); err != nil {
		t.Fatal(err)
	}
	device := layertest.File("null", "")
	device.Typeflag, device.Devmajor, device.Devminor = tar.TypeChar, 1, 3
	for name, c := range map[string]struct {
		entries []layertest.Entry
		fails   bool
	}{
		"climbing":              {[]layertest.Entry{layertest.File("../canary", "x"), layertest.File("../../../canary", "x")}, false},
		"absolute":              {[]layertest.Entry{layertest.File(canary, "x")}, false},
		"through a link":        {[]layertest.Entry{layertest.Symlink("out", ".."), layertest.File("out/canary", "x")}, true},
		"through an absolute":   {[]layertest.Entry{layertest.Symlink("out", base), layertest.File("out/canary", "x")}, true},
		"over a link":           {[]layertest.Entry{layertest.Symlink("f", "../canary"), layertest.File("f", "x")}, false},
		"directory over a link": {[]layertest.Entry{layertest.Symlink("d", base), layertest.Dir("d", 0o777)}, true},
		"hard link":             {[]layertest.Entry{layertest.Link("f", "../canary"), layertest.File("f", "x")}, true},
		"hard link of a link":   {[]layertest.Entry{layertest.Symlink("s", canary), layertest.Link("f", "s")}, true},
		"device":                {[]layertest.Entry{device}, true},
	} {
		dir := filepath.Join(base, "context")
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
		err := sources.Unpack(t.Context(), dir, bytes.NewReader(layertest.Tar(t, c.entries...)), sources.Limits{})
		if (err != nil) != c.fails || err != nil && !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(canary); err != nil || string(got) != "untouched" {
			t.Fatalf("%s: the canary is %q, %v", name, got, err)
		}
		entries, err := os.ReadDir(base)
		if names := slices.Collect(func(yield func(string) bool) {
			for _, e := range entries {
				yield(e.Name())
			}
		}); err != nil || !slices.Equal(names, []string{"canary", "context"}) {
			t.Fatalf("%s: beside it there are %q, %v", name, names, err)
		}
	}
}

func TestBounds(t *testing.T) {
	tarred := layertest.Tar(t, layertest.File("a", "12345"), layertest.File("b", "12345"))
	for what, l := range map[string]sources.Limits{"bytes": {Bytes: 9}, "entries": {Entries: 1}} {
		if err := sources.Unpack(t.Context(), t.TempDir(), bytes.NewReader(tarred), l); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, text := range map[string][]byte{"cut off": tarred[:514], "no tar": []byte("FROM scratch\n")} {
		if err := sources.Unpack(t.Context(), t.TempDir(), bytes.NewReader(text), sources.Limits{}); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	for _, err := range []error{os.WriteFile(filepath.Join(dir, "f"), nil, 0o644), os.Symlink("f", filepath.Join(dir, "in")), os.Symlink("/etc/passwd", filepath.Join(dir, "out")), os.Mkdir(filepath.Join(dir, "d"), 0o755)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, ok := range map[string]bool{"f": true, "./f": true, "/f": true, "in": true, "out": false, "d": false, "../f": true, "none": false, "../../etc/passwd": false} {
		if got, err := sources.File(dir, name); (err == nil) != ok {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// FuzzUnpack: no stream makes anything beside its directory.
func FuzzUnpack(f *testing.F) {
	f.Add(layertest.Tar(f, layertest.Symlink("out", ".."), layertest.File("out/canary", "x")))
	f.Add(layertest.Tar(f, layertest.File("../f", "x"), layertest.Link("a", "f"), layertest.Dir("d", 0)))
	f.Fuzz(func(t *testing.T, text []byte) {
		base := t.TempDir()
		dir := filepath.Join(base, "context")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		err := sources.Unpack(t.Context(), dir, bytes.NewReader(text), sources.Limits{Bytes: 1 << 20, Entries: 100})
		if err != nil && !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Fatal(err)
		}
		if entries, err := os.ReadDir(base); err != nil || len(entries) != 1 {
			t.Fatalf("%v, %v", entries, err)
		}
	})
}
