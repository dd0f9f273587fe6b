package lifecycle

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/reconcile/driver/fake"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/label"
	"github.com/stackrun/stack/reconcile/resource"
	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/volume"
)

// TestFinishCreations: of a container that a daemon did not come to make its volumes go; those of one that it made stay, and no note of either does, nor one that cannot be read.
func TestFinishCreations(t *testing.T) {
	drivers := fake.New().Set()
	r := roots.Roots{State: t.TempDir(), Run: t.TempDir()}
	k := &Keeper{drivers: drivers, roots: r, log: slog.New(slog.DiscardHandler), volumes: resource.NewVolumes(drivers, new(event.Hub), nil)}
	for _, name := range []string{"of-none", "of-one", "told-twice"} {
		if _, err := drivers.Volumes.Create(t.Context(), volume.Config{ID: name, Anonymous: true, Labels: map[string]string{label.Project: "shop"}}); err != nil {
			t.Fatal(err)
		}
	}
	k.creating("none", "shop", map[string]string{"/data": "of-none"})
	k.creating("one", "shop", map[string]string{"/data": "of-one"})
	k.creating("finished", "shop", map[string]string{"/data": "told-twice"}).done()
	if err := os.WriteFile(filepath.Join(k.creations(), "torn"), []byte(`{"pro`), 0o600); err != nil {
		t.Fatal(err)
	}
	there := []*inventory.Container{{State: runtime.State{ID: "one"}}}
	for range 2 {
		if err := k.FinishCreations(t.Context(), there); err != nil {
			t.Fatal(err)
		}
		all, err := drivers.Volumes.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, v := range all {
			left = append(left, v.Config.ID)
		}
		slices.Sort(left)
		if want := []string{"of-one", "told-twice"}; !slices.Equal(left, want) {
			t.Errorf("volumes %q are left, expected %q", left, want)
		}
		if notes, err := os.ReadDir(k.creations()); err != nil || len(notes) != 0 {
			t.Errorf("notes %v are left, %v", notes, err)
		}
	}
}

// TestNoteThatIsKept: where it is not known what has come of a volume the next daemon looks.
func TestNoteThatIsKept(t *testing.T) {
	k := &Keeper{roots: roots.Roots{State: t.TempDir(), Run: t.TempDir()}, log: slog.New(slog.DiscardHandler)}
	for _, left := range []bool{true, false} {
		note := k.creating("id", "shop", map[string]string{"/data": "v"})
		note.left = left
		note.done()
		if _, err := os.Stat(filepath.Join(k.creations(), "id")); (err == nil) != left {
			t.Errorf("a volume may be left: %v, the note: %v", left, err)
		}
	}
	k.creating("none", "shop", nil).done()
}
