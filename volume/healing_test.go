package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
)

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listed is the state of id in List; a zero one when it is not there.
func listed(t *testing.T, d *Driver, id string) State {
	t.Helper()
	all, err := d.List(t.Context())
	ok(t, err)
	for _, s := range all {
		if s.Config.ID == id {
			return s
		}
	}
	return State{}
}

// TestHealing: each piece of a volume that other hands take away is named, hinted, and made again without what is left.
func TestHealing(t *testing.T) {
	dir := t.TempDir()
	r := roots.Roots{State: dir + "/state", Run: dir + "/run"}
	cfg := Config{ID: "data", Labels: map[string]string{"a": "b"}}
	for _, c := range []struct {
		name   string
		damage func(volume string) error
		want   string // problem; "" = the volume is not there at all
		keeps  bool   // what it held
	}{
		{"directory removed", func(v string) error { return os.RemoveAll(filepath.Join(v, dataDir)) }, "its directory _data is gone", false},
		{"directory moved away", func(v string) error { return os.Rename(filepath.Join(v, dataDir), filepath.Join(dir, "aside")) }, "its directory _data is gone", false},
		{"record removed", func(v string) error { return os.Remove(filepath.Join(v, recordFile)) }, "its record volume.json is gone", true},
		{"record damaged", func(v string) error { return os.WriteFile(filepath.Join(v, recordFile), []byte("{"), 0o600) }, "its record volume.json cannot be read", true},
		{"record of another", func(v string) error {
			return os.WriteFile(filepath.Join(v, recordFile), []byte(`{"version":1,"config":{"id":"x"}}`), 0o600)
		}, "its record volume.json cannot be read", true},
		{"emptied", func(v string) error {
			return errors.Join(os.RemoveAll(filepath.Join(v, dataDir)), os.Remove(filepath.Join(v, recordFile)))
		}, "its record volume.json is gone", false},
		{"removed", os.RemoveAll, "", false},
		{"moved away", func(v string) error { return os.Rename(v, filepath.Join(dir, "aside")) }, "", false},
		{"all volumes removed", func(v string) error { return os.RemoveAll(filepath.Dir(v)) }, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := New(r, 0, func(text string) { t.Log(text) })
			ok(t, err)
			made, err := d.Create(t.Context(), cfg)
			ok(t, err)
			if made.Problem != "" {
				t.Fatalf("a new one has the problem %q", made.Problem)
			}
			ok(t, os.WriteFile(filepath.Join(made.Path, "file"), nil, 0o600))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			hints, err := d.Watch(ctx)
			ok(t, err)
			ok(t, c.damage(filepath.Dir(made.Path)))
			select {
			case <-hints:
			case <-time.After(sandbox.Patience):
				t.Error("no hint")
			}
			got := listed(t, d, "data")
			if got.Problem != c.want || (c.want == "") != (got.Config.ID == "") {
				t.Errorf("listed is %+v, expected the problem %q", got, c.want)
			}
			if _, err := d.Mounts(t.Context(), []Use{{Kind: Volume, Source: "data", Target: "/d"}}); !errors.Is(err, errdefs.ErrNotFound) {
				t.Errorf("it can be mounted: %v", err)
			}
			for range 2 {
				again, err := d.Create(t.Context(), cfg)
				ok(t, err)
				if again.Problem != "" || again.Path != made.Path || again.Config.Labels["a"] != "b" {
					t.Errorf("after Create: %+v", again)
				}
			}
			if _, err := os.Stat(filepath.Join(made.Path, "file")); (err == nil) != c.keeps {
				t.Errorf("what it held: %v", err)
			}
			// It is watched as before, whatever was made again.
			for {
				select {
				case _, open := <-hints:
					if !open {
						t.Fatal("the watch has ended")
					}
					continue
				case <-time.After(100 * time.Millisecond): // of what Create did
				}
				break
			}
			ok(t, os.RemoveAll(made.Path))
			select {
			case _, open := <-hints:
				if !open {
					t.Error("the watch has ended at the second damage")
				}
			case <-time.After(sandbox.Patience):
				t.Error("no hint of the second damage")
			}
			cancel()
			for range hints { // closed when the context ends
			}
			ok(t, d.Delete(t.Context(), "data"))
			ok(t, os.RemoveAll(filepath.Join(dir, "aside")))
		})
	}
}

// TestQuiet: what containers do with their data is no hint.
func TestQuiet(t *testing.T) {
	dir := t.TempDir()
	d, err := New(roots.Roots{State: dir + "/state", Run: dir + "/run"}, 0, func(text string) { t.Log(text) })
	ok(t, err)
	made, err := d.Create(t.Context(), Config{ID: "data"})
	ok(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	hints, err := d.Watch(ctx)
	ok(t, err)
	t.Cleanup(func() {
		cancel()
		for range hints { // who watches makes the directory again that is removed next
		}
	})
	ok(t, os.WriteFile(filepath.Join(made.Path, "file"), []byte("x"), 0o600))
	ok(t, os.Mkdir(filepath.Join(made.Path, "dir"), 0o700))
	ok(t, os.RemoveAll(filepath.Join(made.Path, "dir")))
	// Were there one, it would come before that of a damage which comes after it.
	select {
	case <-hints:
		t.Error("a hint")
	case <-time.After(50 * time.Millisecond):
	}
}

// TestSomethingElse: what somebody has put in the place of the data is his, and not removed.
func TestSomethingElse(t *testing.T) {
	dir := t.TempDir()
	d, err := New(roots.Roots{State: dir + "/state", Run: dir + "/run"}, 0, func(text string) { t.Log(text) })
	ok(t, err)
	made, err := d.Create(t.Context(), Config{ID: "data"})
	ok(t, err)
	ok(t, os.Remove(made.Path))
	ok(t, os.WriteFile(made.Path, nil, 0o600))
	if got := listed(t, d, "data"); got.Problem != "its directory _data is gone" {
		t.Errorf("%+v", got)
	}
	if _, err := d.Create(t.Context(), Config{ID: "data"}); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("Create: %v", err)
	}
	ok(t, os.Remove(made.Path))
	ok(t, os.Symlink(dir, made.Path))
	if got := listed(t, d, "data"); got.Problem != "" {
		t.Errorf("a link to a directory: %+v", got)
	}
}

// TestDevice: a directory of the user's is his to make again.
func TestDevice(t *testing.T) {
	dir := t.TempDir()
	d, err := New(roots.Roots{State: dir + "/state", Run: dir + "/run"}, 0, func(text string) { t.Log(text) })
	ok(t, err)
	device := filepath.Join(dir, "mine")
	ok(t, os.Mkdir(device, 0o700))
	cfg := Config{ID: "data", DriverOpts: map[string]string{"type": "none", "o": "bind", "device": device}}
	_, err = d.Create(t.Context(), cfg)
	ok(t, err)
	ok(t, os.Remove(device))
	_, err = d.Create(t.Context(), cfg)
	ok(t, err)
	if _, err := os.Stat(device); err == nil {
		t.Error("it was made")
	}
}
