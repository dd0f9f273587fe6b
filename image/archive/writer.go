package archive

import (
	"archive/tar"
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/internal/reference"
)

// NewWriter writes an archive of images of catalog, with layers, to w.
func NewWriter(w io.Writer, catalog *catalog.Catalog, layers *layer.Store) *Writer {
	return &Writer{catalog: catalog, layers: layers, tar: tar.NewWriter(w), done: make(map[string]bool)}
}

// Writer writes one archive.
type Writer struct {
	catalog *catalog.Catalog
	layers  *layer.Store
	tar     *tar.Writer
	done    map[string]bool // files that are written
	index   []v1.Descriptor
	list    []dockerImage
}

// Add writes the image rec, and gives it the names refs, in full form.
func (a *Writer) Add(ctx context.Context, rec *catalog.Record, refs []string) error {
	conf, err := a.catalog.RawConfig(rec.ID)
	if err != nil {
		return err
	}
	m := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{},
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(conf)), Digest: rec.ID},
	}
	entry := dockerImage{Config: blobName(rec.ID), RepoTags: []string{}, Layers: []string{}}
	for _, d := range rec.Layers {
		size, err := a.layer(ctx, d)
		if err != nil {
			return err
		}
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: types.OCIUncompressedLayer, Size: size, Digest: d})
		entry.Layers = append(entry.Layers, blobName(d))
	}
	if err := a.file(blobName(rec.ID), conf); err != nil {
		return err
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	desc := v1.Descriptor{MediaType: m.MediaType, Size: int64(len(raw)), Digest: content.Digest(raw), Platform: &rec.Platform}
	if err := a.file(blobName(desc.Digest), raw); err != nil {
		return err
	}
	for _, ref := range refs {
		named := desc
		_, tag, _ := strings.Cut(ref[strings.LastIndexByte(ref, '/')+1:], ":")
		named.Annotations = map[string]string{nameAnnotation: ref, refAnnotation: tag}
		a.index = append(a.index, named)
		entry.RepoTags = append(entry.RepoTags, reference.Familiar(ref))
	}
	if len(refs) == 0 {
		a.index = append(a.index, desc)
	}
	a.list = append(a.list, entry)
	return nil
}

// layer writes one, unless the archive has it, and returns its size.
func (a *Writer) layer(ctx context.Context, diff v1.Hash) (int64, error) {
	size, err := a.layers.Size(ctx, diff)
	if err != nil || a.done[blobName(diff)] {
		return size, err
	}
	if err := a.header(blobName(diff), size); err != nil {
		return 0, err
	}
	return size, a.layers.Write(ctx, diff, a.tar)
}

func (a *Writer) header(name string, size int64) error {
	a.done[name] = true
	return a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)})
}

func (a *Writer) file(name string, content []byte) error {
	if a.done[name] {
		return nil
	}
	if err := a.header(name, int64(len(content))); err != nil {
		return err
	}
	_, err := a.tar.Write(content)
	return err
}

// Close writes what says what the archive holds.
func (a *Writer) Close() error {
	files := map[string]any{
		"oci-layout":    map[string]string{"imageLayoutVersion": "1.0.0"},
		"index.json":    v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: a.index},
		"manifest.json": a.list,
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		b, err := json.Marshal(files[name])
		if err != nil {
			return err
		}
		if err := a.file(name, b); err != nil {
			return err
		}
	}
	return a.tar.Close()
}
