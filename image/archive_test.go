package image

import (
	"bytes"
	"context"
	"testing"

	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/sandbox"
)

// FuzzLoad feeds whatever bytes to Load: it takes them or says no, and leaves nothing half.
func FuzzLoad(f *testing.F) {
	img := imageOf(f, layerOf(f, layertest.File("a", "1")))
	f.Add(dockerArchive(f, "app:1", img))
	f.Add(ociArchive(f, map[string]string{"org.opencontainers.image.ref.name": "app:1"}, img))
	f.Add(layertest.Tar(f, layertest.File("manifest.json", `[{"Config":"../c","Layers":["l","l"]}]`)))
	f.Fuzz(func(t *testing.T, b []byte) {
		sandbox.Require(t)
		s := newStore(t)
		infos, err := s.Load(context.Background(), bytes.NewReader(b), nil)
		if err != nil && len(infos) == 0 {
			nothingLeft(t, s)
		}
	})
}
