package image

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/progress"
	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/sandbox"
)

func TestPullResolvePrepare(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	h.push(t, "app:1", imageOf(t,
		layerOf(t, layertest.Dir("etc", 0o755), layertest.File("etc/a", "one")),
		layerOf(t, layertest.Dir("etc", 0o755), layertest.File("etc/b", "two"))))
	s := newStore(t)
	ctx := context.Background()
	var last Progress
	info, err := s.Pull(ctx, h.host+"/app:1", v1.Platform{}, func(p Progress) { last = p })
	if err != nil {
		t.Fatal(err)
	}
	if last.Phase != progress.Done || last.Layer != "" || last.Ref != h.host+"/app:1" {
		t.Errorf("last progress is %+v", last)
	}
	if info.Size != 6 || len(info.Refs) != 1 || info.Refs[0] != h.host+"/app:1" {
		t.Errorf("info is %+v", info)
	}
	for _, ref := range []string{h.host + "/app:1", info.ID.String(), info.ID.Hex[:12], h.host + "/app@" + info.Digest.String()} {
		got, err := s.Resolve(ctx, ref, v1.Platform{})
		if err != nil || got.ID != info.ID {
			t.Errorf("Resolve(%q) = %v, %v", ref, got.ID, err)
		}
	}
	mounts, err := s.Prepare(ctx, "c1", info.ID)
	if err != nil {
		t.Fatal(err)
	}
	m := mounts[0]
	if len(mounts) != 1 || m.Type != "overlay" || m.Target != "/" || len(m.Lower) != 2 {
		t.Fatalf("mounts are %+v", mounts)
	}
	if b, err := os.ReadFile(filepath.Join(m.Lower[0], "etc/b")); err != nil || string(b) != "two" {
		t.Errorf("the topmost lower directory has etc/b = %q, %v", b, err)
	}
	if err := s.Delete(ctx, h.host+"/app:1"); err == nil {
		t.Error("an image with a snapshot was deleted")
	}
	for range 2 {
		if err := s.Remove(ctx, "c1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(ctx, h.host+"/app:1"); err != nil {
		t.Fatal(err)
	}
	left, _ := filepath.Glob(s.dir.Path("layers/sha256/*"))
	if len(left) > 0 {
		t.Errorf("layers are left: %v", left)
	}
}
