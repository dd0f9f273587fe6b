package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/mount"
)

// viewed loads img, gives a container on another image a view of it, mounts that and returns where.
func viewed(t *testing.T, img v1.Image) (s *Store, root string) {
	t.Helper()
	sandbox.Require(t)
	ctx := context.Background()
	s = onTmpfs(t)
	own := imageOf(t, layerOf(t, layertest.File("own", "1")))
	for tag, i := range map[string]v1.Image{"own:1": own, "lent:1": img} {
		if _, err := s.Load(ctx, bytes.NewReader(dockerArchive(t, tag, i)), nil); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Prepare(ctx, "c1", must(own.ConfigName())); err != nil {
		t.Fatal(err)
	}
	m, err := s.View(ctx, "c1", must(img.ConfigName()))
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.View(ctx, "c1", must(img.ConfigName()))
	if err != nil || strings.Join(again.Lower, ":") != strings.Join(m.Lower, ":") {
		t.Errorf("a second View gives %v, %v, the first %v", again, err, m)
	}
	return s, mountedView(t, m)
}

func mountedView(t *testing.T, m mount.Mount) string {
	t.Helper()
	target := t.TempDir()
	if err := unix.Mount("overlay", target, "overlay", unix.MS_RDONLY, "lowerdir="+strings.Join(m.Lower, ":")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return target
}

// TestView: all layers, as a container on the image would see them, the root's attributes too; and nothing can be written.
func TestView(t *testing.T) {
	root := layertest.Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o711, Uid: 5, Gid: 6}}
	_, at := viewed(t, imageOf(t, layerOf(t, root, layertest.File("a", "1"), layertest.File("gone", "1")), layerOf(t, layertest.File("a", "2"), layertest.File(".wh.gone", ""))))
	expectOwner(t, at, 0o711, 5, 6)
	expectFiles(t, at, map[string]string{"a": "2", "gone": ""})
	if err := os.WriteFile(filepath.Join(at, "a"), []byte("3"), 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("writing: %v", err)
	}
}

func TestViewOfNoLayers(t *testing.T) {
	_, at := viewed(t, imageOf(t))
	expectOwner(t, at, 0o755, 0, 0)
}

// TestViewHoldsItsImage: as long as the container is there, neither its name nor its layers go; with it both may.
func TestViewHoldsItsImage(t *testing.T) {
	ctx := context.Background()
	img := imageOf(t, layerOf(t, layertest.File("a", "1")))
	s, at := viewed(t, img)
	if err := s.Delete(ctx, "lent:1"); !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "c1") {
		t.Errorf("Delete while c1 has it mounted: %v", err)
	}
	// Its name moves to another image.
	if _, err := s.Load(ctx, bytes.NewReader(dockerArchive(t, "lent:1", imageOf(t, layerOf(t, layertest.File("b", "1"))))), nil); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Prune(ctx); err != nil || len(p.Images) != 0 {
		t.Errorf("Prune removed %v, %v", p.Images, err)
	}
	expectFiles(t, at, map[string]string{"a": "1"})
	if err := s.Remove(ctx, "c1"); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Prune(ctx); err != nil || len(p.Images) != 1 || p.Images[0] != must(img.ConfigName()) {
		t.Errorf("Prune removed %v, %v when nobody had it", p.Images, err)
	}
}

func TestViewOfWhatIsNotThere(t *testing.T) {
	ctx := context.Background()
	img := imageOf(t, layerOf(t, layertest.File("a", "1")))
	s, _ := viewed(t, img)
	if _, err := s.View(ctx, "c1", v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("no such image: %v", err)
	}
	if _, err := s.View(ctx, "c2", must(img.ConfigName())); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("no such snapshot: %v", err)
	}
}
