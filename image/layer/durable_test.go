package layer

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/storage"
	"github.com/stackrun/stack/image/unpack"
)

// TestMadeLayersAfterPowerCut: a layer that was made in an earlier boot and not brought to the disk is removed; one of this boot stays.
func TestMadeLayersAfterPowerCut(t *testing.T) {
	dir, err := storage.Open(filepath.Join(t.TempDir(), "images"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := Open(dir, unpack.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	make := func(key string) v1.Hash {
		upper, diff := dir.Path(key), content.Digest([]byte(key))
		if err := errors.Join(os.Mkdir(upper, 0o755), l.Adopt(upper, diff, unpack.Result{Entries: 1})); err != nil {
			t.Fatal(err)
		}
		return diff
	}
	stays, goes := make("stays"), make("goes")
	notes, err := l.madeNotes()
	if err != nil || len(notes) != 2 {
		t.Fatalf("there are %d notes: %v", len(notes), err)
	}
	for path, note := range notes {
		if note.Layers[0] == goes {
			if err := os.Rename(path, dir.Path("unsynced", madePrefix+"an-earlier-boot."+goes.Algorithm+"-"+goes.Hex)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if l, err = Open(dir, unpack.Limits{}); err != nil {
		t.Fatal(err)
	}
	if !l.Has([]v1.Hash{stays}) || l.Has([]v1.Hash{goes}) {
		t.Error("of the two layers the one of this boot is to stay")
	}
	l.syncMade()
	if notes, err = l.madeNotes(); err != nil || len(notes) != 0 {
		t.Errorf("there are notes %v: %v", notes, err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
