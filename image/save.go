package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stackrun/stack/image/content"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// Save writes local images as one archive that Load, docker load and readers of OCI layouts take: the layout with uncompressed layers and, beside it, the
// manifest.json of docker save. refs are names, each with the tag that it says or, without one, all tags of its repository here, or ids, which the archive gives no name. Nothing is
// written when one of them is not here (errdefs.ErrNotFound); an error after that leaves an archive that is cut off.
func (s *Store) Save(ctx context.Context, w io.Writer, p v1.Platform, refs ...string) error {
	busy, err := s.dir.KeepLayers() // keeps Prune from the layers
	if err != nil {
		return err
	}
	defer busy.Close()
	images, err := s.toSave(ctx, p, refs)
	if err != nil {
		return err
	}
	a := &archiver{store: s, tar: tar.NewWriter(w), done: make(map[string]bool)}
	for _, img := range images {
		if err := a.image(ctx, img); err != nil {
			return fmt.Errorf("cannot save %s: %w", img.rec.name(), err)
		}
	}
	return a.finish()
}

// saving is an image and the names that the archive gives it, in full form.
type saving struct {
	rec  *record
	refs []string
}

func (s *Store) toSave(ctx context.Context, p v1.Platform, refs []string) ([]*saving, error) {
	x, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	var images []*saving
	for _, ref := range refs {
		names := []string{ref}
		r, parseErr := reference.Parse(ref)
		_, explicit, _ := idPrefix(ref)
		if parseErr == nil && !explicit && !r.HasDigest() && !tagged(ref) {
			if all := x.tagsOf(r); len(all) > 0 {
				names = all
			}
		}
		for _, name := range names {
			info, err := s.Resolve(ctx, name, p)
			if err != nil {
				return nil, fmt.Errorf("cannot save %s: %w", ref, err)
			}
			rec := x.byID(info.ID)
			if rec == nil {
				return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot save %s: it has just been removed", ref))
			}
			i := slices.IndexFunc(images, func(img *saving) bool { return img.rec == rec })
			if i < 0 {
				i = len(images)
				images = append(images, &saving{rec: rec})
			}
			if n, err := reference.Parse(name); err == nil && slices.Contains(rec.Refs, n.Tagged()) && !slices.Contains(images[i].refs, n.Tagged()) {
				images[i].refs = append(images[i].refs, n.Tagged())
			}
		}
	}
	return images, nil
}

// tagged says whether ref is written with a tag.
func tagged(ref string) bool {
	return strings.Contains(ref[strings.LastIndexByte(ref, '/')+1:], ":")
}

// tagsOf lists the names by tag that r's repository has here, sorted.
func (x *index) tagsOf(r reference.Reference) []string {
	var all []string
	for _, rec := range x.Images {
		for _, ref := range rec.Refs {
			if strings.HasPrefix(ref, r.Name()+":") && !slices.Contains(all, ref) {
				all = append(all, ref)
			}
		}
	}
	slices.Sort(all)
	return all
}

// archiver writes one archive.
type archiver struct {
	store *Store
	tar   *tar.Writer
	done  map[string]bool // files that are written
	index []v1.Descriptor
	list  []dockerImage
}

func (a *archiver) image(ctx context.Context, img *saving) error {
	conf, err := os.ReadFile(a.store.blobPath(img.rec.ID))
	if err == nil {
		err = content.Verify(conf, img.rec.ID)
	}
	if err != nil {
		return fmt.Errorf("its configuration: %w", err)
	}
	m := v1.Manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Layers: []v1.Descriptor{},
		Config: v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(conf)), Digest: img.rec.ID},
	}
	entry := dockerImage{Config: blobName(img.rec.ID), RepoTags: []string{}, Layers: []string{}}
	for _, d := range img.rec.Layers {
		size, err := a.layer(ctx, d)
		if err != nil {
			return err
		}
		m.Layers = append(m.Layers, v1.Descriptor{MediaType: types.OCIUncompressedLayer, Size: size, Digest: d})
		entry.Layers = append(entry.Layers, blobName(d))
	}
	if err := a.file(blobName(img.rec.ID), conf); err != nil {
		return err
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	desc := v1.Descriptor{MediaType: m.MediaType, Size: int64(len(raw)), Digest: content.Digest(raw), Platform: &img.rec.Platform}
	if err := a.file(blobName(desc.Digest), raw); err != nil {
		return err
	}
	for _, ref := range img.refs {
		named := desc
		_, tag, _ := strings.Cut(ref[strings.LastIndexByte(ref, '/')+1:], ":")
		named.Annotations = map[string]string{nameAnnotation: ref, refAnnotation: tag}
		a.index = append(a.index, named)
		entry.RepoTags = append(entry.RepoTags, reference.Familiar(ref))
	}
	if len(img.refs) == 0 {
		a.index = append(a.index, desc)
	}
	a.list = append(a.list, entry)
	return nil
}

// layer writes one, unless the archive has it, and returns its size.
func (a *archiver) layer(ctx context.Context, diff v1.Hash) (int64, error) {
	size, err := a.store.layers.Size(ctx, diff)
	if err != nil || a.done[blobName(diff)] {
		return size, err
	}
	if err := a.header(blobName(diff), size); err != nil {
		return 0, err
	}
	return size, a.store.layers.Write(ctx, diff, a.tar)
}

func (a *archiver) header(name string, size int64) error {
	a.done[name] = true
	return a.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)})
}

func (a *archiver) file(name string, content []byte) error {
	if a.done[name] {
		return nil
	}
	if err := a.header(name, int64(len(content))); err != nil {
		return err
	}
	_, err := a.tar.Write(content)
	return err
}

// finish writes what says what the archive holds.
func (a *archiver) finish() error {
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
