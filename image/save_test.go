package image

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/sandbox"
)

// TestSave: what is saved is, for docker's readers and for ours, the same images by the names that were asked for; and an image that was pulled is
// pushed by its digest also after its archive was loaded over it.
func TestSave(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	shared := layerOf(t, layertest.File("shared", "s"))
	one := imageOf(t, shared, layerOf(t, layertest.File("one", "1")))
	h.push(t, "one:1", one)
	h.push(t, "two:1", imageOf(t, shared))
	s := newStore(t)
	first := pullAndTag(t, s, h, "one:1", "ours:a")
	_, err := s.Tag(t.Context(), first.ID, "ours:b", h.host+"/again:1")
	check(t, err)
	second, err := s.Pull(t.Context(), h.host+"/two:1", v1.Platform{}, nil)
	check(t, err)

	var saved bytes.Buffer
	check(t, s.Save(t.Context(), &saved, v1.Platform{}, "ours", second.ID.Hex[:20]))
	tag := must(name.NewTag("ours:b"))
	img, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(saved.Bytes())), nil }, &tag)
	check(t, err)
	check(t, validate.Image(img))
	if id, err := img.ConfigName(); err != nil || id != first.ID {
		t.Errorf("another reader sees image %s, %v; want %s", id, err, first.ID)
	}

	other := newStore(t)
	loaded, err := other.Load(t.Context(), bytes.NewReader(saved.Bytes()), nil)
	check(t, err)
	var ids []v1.Hash
	for _, info := range loaded {
		ids = append(ids, info.ID)
		if len(info.Digests) != 0 {
			t.Errorf("image %s says that a registry has it as %q", info.ID, info.Digests)
		}
	}
	if !slices.Equal(ids, []v1.Hash{first.ID, second.ID}) || !slices.Equal(loaded[0].Refs, []string{"ours:a", "ours:b"}) || len(loaded[1].Refs) != 0 {
		t.Errorf("loaded %+v", loaded)
	}
	var again bytes.Buffer
	check(t, other.Save(t.Context(), &again, v1.Platform{}, "ours", second.ID.Hex))
	if !bytes.Equal(again.Bytes(), saved.Bytes()) {
		t.Error("saved again it is another archive")
	}

	_, err = s.Load(t.Context(), bytes.NewReader(saved.Bytes()), nil)
	check(t, err)
	pushed, err := s.Push(t.Context(), h.host+"/again:1", PushOptions{}, nil)
	check(t, err)
	if want := digest(t, one); pushed.Digest != want {
		t.Errorf("after a load it is pushed as %s and was pulled as %s", pushed.Digest, want)
	}

	for _, ref := range []string{"nothing", "ours:c", "sha256:0000000000"} {
		var none bytes.Buffer
		if err := s.Save(t.Context(), &none, v1.Platform{}, "ours:a", ref); !errors.Is(err, errdefs.ErrNotFound) || none.Len() > 0 {
			t.Errorf("%s: %v, %d bytes", ref, err, none.Len())
		}
	}
}

// TestDeleteImage: what goes with a name and with an id, and what wants to be forced.
func TestDeleteImage(t *testing.T) {
	sandbox.Require(t)
	h := newHub(t)
	h.push(t, "one:1", twoLayers(t))
	s := newStore(t)
	info := pullAndTag(t, s, h, "one:1", "ours:a")
	gone, err := s.DeleteImage(t.Context(), h.host+"/one:1", DeleteOptions{})
	check(t, err)
	if !slices.Equal(gone.Untagged, []string{h.host + "/one:1"}) || gone.Deleted != nil {
		t.Errorf("a name of two: %+v", gone)
	}
	_, err = s.Tag(t.Context(), info.ID, "other:a")
	check(t, err)
	if _, err := s.DeleteImage(t.Context(), info.ID.Hex, DeleteOptions{}); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("by id with two names: %v", err)
	}
	_, err = s.DeleteImage(t.Context(), "other:a", DeleteOptions{})
	check(t, err)

	_, err = s.Prepare(t.Context(), "busy", info.ID)
	check(t, err)
	if _, err := s.DeleteImage(t.Context(), "ours:a", DeleteOptions{}); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("in use: %v", err)
	}
	gone, err = s.DeleteImage(t.Context(), "ours:a", DeleteOptions{Force: true})
	check(t, err)
	if !slices.Equal(gone.Untagged, []string{"ours:a"}) || gone.Deleted != nil {
		t.Errorf("forced while in use: %+v", gone)
	}
	if _, err := s.DeleteImage(t.Context(), info.ID.Hex, DeleteOptions{Force: true}); !errors.Is(err, errdefs.ErrConflict) {
		t.Errorf("by id, in use, forced: %v", err)
	}
	check(t, s.Remove(t.Context(), "busy"))
	gone, err = s.DeleteImage(t.Context(), info.ID.Hex, DeleteOptions{})
	check(t, err)
	if !slices.Equal(gone.Deleted, []v1.Hash{info.ID}) || gone.Bytes == 0 {
		t.Errorf("nobody uses it: %+v", gone)
	}
}
