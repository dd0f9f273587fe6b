package volume

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
)

func TestRemovedVolumesAreKept(t *testing.T) {
	r := roots.Roots{State: t.TempDir()}
	d, err := New(r, time.Hour, func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	remove := func(id string) {
		t.Helper()
		for range 2 {
			if err := d.Delete(ctx, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	first := filled(t, d, "a", "first")
	remove("a")
	filled(t, d, "a", "second")
	remove("a")
	// What has no name, or no content of its own, is not kept.
	if _, err := d.Create(ctx, Config{ID: "anonymous", Anonymous: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Create(ctx, Config{ID: "memory", DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs"}}); err != nil {
		t.Fatal(err)
	}
	remove("anonymous")
	remove("memory")
	all, err := d.Removed(ctx)
	if err != nil || len(all) != 2 || all[0].Config.Labels["of"] != "a" || !all[0].RemovedAt.After(all[1].RemovedAt) || all[0].Until.Sub(all[0].RemovedAt) != time.Hour {
		t.Fatalf("kept are %+v, %v", all, err)
	}
	if list, err := d.List(ctx); err != nil || len(list) != 0 {
		t.Errorf("they are listed: %v, %v", list, err)
	}
	if names, err := d.Sweep(ctx, true); err != nil || len(names) != 0 {
		t.Errorf("they are swept: %v, %v", names, err)
	}
	again, err := New(r, time.Hour, func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Undelete(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	if got := contentOf(t, first.Path, "f"); got != "second|" {
		t.Errorf("back is %s", got)
	}
	if err := again.Undelete(ctx, "a"); !errors.Is(err, errdefs.ErrAlreadyExists) {
		t.Errorf("over one that is there: %v", err)
	}
	if err := again.Undelete(ctx, "b"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("of one that never was: %v", err)
	}
	// One whose time is over goes with the next who looks.
	old := filepath.Join(again.root, trashDir, "a@"+time.Now().Add(-2*time.Hour).UTC().Format(trashTime))
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	if names, err := again.Sweep(ctx, false); err != nil || len(names) != 1 || names[0] != old {
		t.Errorf("gc --check finds %v, %v", names, err)
	}
	if names, err := again.Sweep(ctx, true); err != nil || len(names) != 1 || exists(old) {
		t.Errorf("gc removes %v, %v", names, err)
	}
	if all, _ := again.Removed(ctx); len(all) != 1 {
		t.Errorf("kept are %+v", all)
	}
	// Where nothing is kept any more, nothing is.
	if _, err := New(r, 0, func(text string) { t.Log(text) }); err != nil || exists(filepath.Join(again.root, trashDir)) {
		t.Errorf("it is there still: %v", err)
	}
}
