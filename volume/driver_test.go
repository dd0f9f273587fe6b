package volume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

func newDriver(t *testing.T) (*Driver, string) {
	t.Helper()
	state := t.TempDir()
	d, err := New(roots.Roots{State: state, Run: t.TempDir()}, 0, func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	return d, filepath.Join(state, "volumes")
}

func TestCreateIsIdempotentAndSurvivesReopening(t *testing.T) {
	ctx := context.Background()
	d, root := newDriver(t)
	c := Config{ID: "shop_data", Labels: map[string]string{"a": "b"}}
	first, err := d.Create(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if first.Path != filepath.Join(root, "shop_data", "_data") || first.Config.Driver != "local" {
		t.Errorf("got %+v", first)
	}
	if err := os.WriteFile(filepath.Join(first.Path, "f"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := d.Create(ctx, c)
	if err != nil || !again.CreatedAt.Equal(first.CreatedAt) {
		t.Errorf("a second Create: %+v, %v", again, err)
	}
	other, err := New(roots.Roots{State: filepath.Dir(root)}, 0, func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	all, err := other.List(ctx)
	if err != nil || len(all) != 1 || all[0].Config.Labels["a"] != "b" {
		t.Errorf("after reopening: %+v, %v", all, err)
	}
	if _, err := os.Stat(filepath.Join(first.Path, "f")); err != nil {
		t.Error("content is gone:", err)
	}
}

func TestCreateOfAnotherKindIsAConflict(t *testing.T) {
	ctx := context.Background()
	d, _ := newDriver(t)
	if _, err := d.Create(ctx, Config{ID: "v"}); err != nil {
		t.Fatal(err)
	}
	opts := map[string]string{"type": "none", "o": "bind", "device": t.TempDir()}
	if _, err := d.Create(ctx, Config{ID: "v", DriverOpts: opts}); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("got %v, expected a conflict", err)
	}
}

func TestNamesCannotLeaveTheRoot(t *testing.T) {
	ctx := context.Background()
	d, root := newDriver(t)
	canary := filepath.Join(filepath.Dir(root), "canary")
	if err := os.Mkdir(canary, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", ".", "..", "../canary", "a/b", "/etc", ".hidden", "-x", "a\x00b", "a\nb", strings.Repeat("a", 256)} {
		if _, err := d.Create(ctx, Config{ID: name}); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("Create %q: got %v", name, err)
		}
		if err := d.Delete(ctx, name); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("Delete %q: got %v", name, err)
		}
		if _, err := d.Mounts(ctx, []Use{{Kind: Volume, Source: name, Target: "/x"}}); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("Mounts %q: got %v", name, err)
		}
	}
	if _, err := os.Stat(canary); err != nil {
		t.Error("the canary is gone:", err)
	}
}

func TestDeleteIsIdempotentAndRemovesAll(t *testing.T) {
	ctx := context.Background()
	d, root := newDriver(t)
	s, err := d.Create(ctx, Config{ID: "v"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.Path, "a"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(s.Path, "a/b"), 0o500); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Delete(ctx, "v"); err != nil {
			t.Fatal(err)
		}
	}
	left, err := os.ReadDir(root)
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A daemon killed in the middle leaves a directory under one of the two prefixes: never a volume.
func TestHalfMadeVolumesAreNeverSeen(t *testing.T) {
	d, root := newDriver(t)
	for _, name := range []string{tempPrefix + "x", gonePrefix + "y"} {
		if err := os.MkdirAll(filepath.Join(root, name, dataDir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := d.List(context.Background()); err != nil || len(all) != 0 {
		t.Errorf("List: %v, %v", all, err)
	}
	if _, err := New(roots.Roots{State: filepath.Dir(root)}, 0, func(text string) { t.Log(text) }); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(root); len(left) != 0 {
		t.Errorf("left after opening: %v", left)
	}
}

func TestCreatesOfOneNameAreOne(t *testing.T) {
	d, root := newDriver(t)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := d.Create(context.Background(), Config{ID: "v"}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if left, _ := os.ReadDir(root); len(left) != 1 {
		t.Errorf("got %v, expected one volume", left)
	}
}

func TestDriverOptions(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		name string
		c    Config
		kind error // nil = accepted
	}{
		{"none", Config{}, nil},
		{"bind", Config{DriverOpts: map[string]string{"type": "none", "o": "bind", "device": dir}}, nil},
		{"bind, read only", Config{DriverOpts: map[string]string{"o": "bind,ro", "device": dir}}, nil},
		{"bind of a relative path", Config{DriverOpts: map[string]string{"o": "bind", "device": "x"}}, errdefs.ErrInvalidArgument},
		{"bind of the root", Config{DriverOpts: map[string]string{"o": "bind", "device": "/"}}, errdefs.ErrInvalidArgument},
		{"tmpfs", Config{DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}}, nil},
		{"tmpfs with another option", Config{DriverOpts: map[string]string{"type": "tmpfs", "size": "1m"}}, errdefs.ErrNotSupported},
		{"nfs without a type", Config{DriverOpts: map[string]string{"o": "addr=h", "device": ":/x"}}, errdefs.ErrNotSupported},
		{"variables that are not set", Config{DriverOpts: map[string]string{"type": "", "o": "", "device": ""}}, nil},
		{"another option", Config{DriverOpts: map[string]string{"size": "1"}}, errdefs.ErrNotSupported},
		{"another driver", Config{Driver: "vieux/sshfs"}, errdefs.ErrNotSupported},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, _ := newDriver(t)
			tt.c.ID = "v"
			s, err := d.Create(context.Background(), tt.c)
			if !errors.Is(err, tt.kind) || (err == nil) != (tt.kind == nil) {
				t.Fatalf("got %v, expected %v", err, tt.kind)
			}
			if err == nil && tt.c.DriverOpts["device"] == dir && s.Path != dir {
				t.Errorf("path %q, expected the device", s.Path)
			}
		})
	}
}

// What containers write has owners and modes that users of the host must not meet: also where an older version made the directory.
func TestVolumesAreClosedToTheHostsUsers(t *testing.T) {
	state := t.TempDir()
	root := filepath.Join(state, "volumes")
	if err := os.Mkdir(root, 0o711); err != nil {
		t.Fatal(err)
	}
	d, err := New(roots.Roots{State: state}, 0, func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create(context.Background(), Config{ID: "v"}); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{root, filepath.Join(root, "v")} {
		if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, %v", dir, info.Mode(), err)
		}
	}
}
