package manifest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/layertest"
)

// said is a registry which answers every request with the same documents.
type said struct {
	doc    []byte
	config []byte
	media  types.MediaType
}

func (s said) Manifest(context.Context, string) (Document, error) {
	sum := sha256.Sum256(s.doc)
	return Document{Raw: s.doc, Media: s.media, Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}}, nil
}

func (s said) Small(context.Context, v1.Descriptor, int64) ([]byte, error) { return s.config, nil }

// FuzzResolve: whatever a registry says that an image is, it is refused, or it is one of this host's platform whose layers and configuration agree.
func FuzzResolve(f *testing.F) {
	img := layertest.Image(f, platform.Host(), layertest.Layer(f, layertest.File("a", "1")), layertest.Layer(f, layertest.File("b", "2")))
	manifest, err := img.RawManifest()
	if err != nil {
		f.Fatal(err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(manifest, config, string(types.DockerManifestSchema2))
	f.Add(manifest, []byte(`{"rootfs":{"diff_ids":["sha256:x",null]}}`), string(types.OCIManifestSchema1))
	f.Add([]byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json"},"layers":[{},null]}`), config, "")
	f.Add([]byte(`{"manifests":[{"platform":null},{"platform":{"os":"linux","architecture":"amd64"}}]}`), config, string(types.OCIImageIndex))
	f.Add([]byte(`{"manifests":[],"config":{}}`), config, string(types.OCIImageIndex))
	f.Add([]byte(`{"schemaVersion":1}`), []byte(`null`), string(types.DockerManifestSchema1))
	f.Fuzz(func(t *testing.T, doc, config []byte, media string) {
		img, err := Resolve(t.Context(), said{doc, config, types.MediaType(media)}, "x", "latest", platform.Host())
		if err != nil {
			return
		}
		if n := len(img.Layers); n != len(img.Config.RootFS.DiffIDs) || n > MaxLayers {
			t.Errorf("%d layers, %d diff ids", n, len(img.Config.RootFS.DiffIDs))
		}
		if platform.Rank(platform.Host(), platform.Of(img.Config)) < 0 {
			t.Errorf("an image for %s", platform.Name(platform.Of(img.Config)))
		}
	})
}
