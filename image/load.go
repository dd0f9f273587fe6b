package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/image/progress"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// Load imports the images of a tar stream, plain or compressed: what docker save writes, or an OCI layout. It reads r
// to the end of the archive. The names in the archive are given to its images, also when other images had them, as
// docker load does; the result has no others. Of an index the image for this host is taken. errdefs.ErrInvalidArgument says what is wrong with
// the archive.
func (s *Store) Load(ctx context.Context, r io.Reader, tell func(progress.Report)) ([]Info, error) {
	if tell == nil {
		tell = func(progress.Report) {}
	}
	report := progress.Limit(tell)
	busy, err := s.dir.KeepLayers()
	if err != nil {
		return nil, err
	}
	defer busy.Close()
	tmp, err := s.dir.Scratch()
	if err != nil {
		return nil, err
	}
	defer tmp.Drop()

	a, err := readArchive(ctx, r, tmp.Dir, func(n int64) { report(progress.Report{Phase: progress.Loading, Current: n}) })
	if err != nil {
		return nil, s.dir.Explain(err)
	}
	images, err := a.images(ctx)
	if err != nil {
		return nil, err
	}
	var loaded []Info
	for _, img := range images {
		named := func(p progress.Report) {
			if p.Ref = img.name(); p.Phase == progress.Downloading { // layers are read from the archive
				p.Phase = progress.Loading
			}
			report(p)
		}
		info, err := s.install(ctx, img.Image, img.layers, img.names, named)
		if err != nil {
			return loaded, fmt.Errorf("cannot load %s: %w", img.name(), err)
		}
		named(progress.Report{Phase: progress.Done})
		// Of all names that it has, those that the archive gives it.
		info.Refs = slices.DeleteFunc(info.Refs, func(ref string) bool {
			return !slices.ContainsFunc(img.names.refs, func(full string) bool { return reference.Familiar(full) == ref })
		})
		loaded = append(loaded, info)
	}
	return loaded, nil
}

// archived is one image of an archive.
type archived struct {
	*manifest.Image
	layers []layer.Source
	names  names
}

func (img archived) name() string {
	if len(img.names.refs) > 0 {
		return reference.Familiar(img.names.refs[0])
	}
	return content.Short(img.ID)
}

// images finds what the archive holds. docker save of version 25 and later writes both formats into one archive.
func (a *archive) images(ctx context.Context) ([]archived, error) {
	var images []archived
	var err error
	layout := a.has("oci-layout") || a.has("index.json")
	if layout {
		if images, err = a.ociImages(ctx); err != nil {
			return nil, err
		}
	}
	if a.has("manifest.json") {
		if images, err = a.dockerImages(images); err != nil {
			return nil, err
		}
	}
	switch {
	case len(images) > 0:
		return images, nil
	case layout:
		return nil, invalidArchive("the layout in the archive has no image")
	}
	return nil, invalidArchive("the archive has neither manifest.json nor index.json: it is cut off, or it is not what docker save or an OCI layout gives")
}

// Names in a layout's index. The second is of image-spec v1.1.1 annotations.md; the first is what containerd and
// docker save write, with the full name.
const (
	nameAnnotation = "io.containerd.image.name"
	refAnnotation  = "org.opencontainers.image.ref.name"
)

func (a *archive) ociImages(ctx context.Context) ([]archived, error) {
	var list v1.IndexManifest
	if err := a.json("index.json", manifest.MaxManifest, &list); err != nil {
		return nil, err
	}
	byID := make(map[v1.Hash]int)
	var images []archived
	var unfit []error
	for _, desc := range list.Manifests {
		if manifest.Attestation(desc) {
			continue
		}
		refs, err := layoutNames(desc.Annotations)
		if err != nil {
			return nil, err
		}
		name := content.Short(desc.Digest)
		if len(refs) > 0 {
			name = refs[0].Familiar()
		}
		img, err := manifest.Resolve(ctx, a, name, desc.Digest.String(), platform.Host())
		if errors.Is(err, errdefs.ErrNotFound) && len(list.Manifests) > 1 {
			unfit = append(unfit, err) // another one of the list may be for this host
			continue
		}
		if err != nil {
			return nil, err
		}
		if !img.Compressed() {
			// As save writes it: no registry has this manifest, and pushed it would be layers that nobody has compressed.
			img.Manifest, img.Index = manifest.Document{}, nil
		}
		i, seen := byID[img.ID]
		if !seen {
			one := archived{Image: img}
			for i, l := range layersOf(img) {
				l.Open = a.open(blobName(img.Layers[i].Digest))
				one.layers = append(one.layers, l)
			}
			i = len(images)
			byID[img.ID] = i
			images = append(images, one)
		}
		for _, ref := range refs {
			images[i].names.refs = append(images[i].names.refs, ref.Tagged())
			if img.Manifest.Raw == nil {
				continue
			}
			images[i].names.digests = append(images[i].names.digests, ref.Digested(img.Manifest.Digest))
			if img.Index != nil {
				images[i].names.digests = append(images[i].names.digests, ref.Digested(img.Index.Digest))
			}
		}
	}
	if len(images) == 0 && len(unfit) > 0 {
		return nil, errors.Join(unfit...)
	}
	return images, nil
}

// layersOf pairs layers with their diff ids.
func layersOf(img *manifest.Image) []layer.Source {
	var list []layer.Source
	for i, desc := range img.Layers {
		list = append(list, layer.Source{Diff: img.Config.RootFS.DiffIDs[i], Digest: desc.Digest, Size: desc.Size})
	}
	return list
}

func layoutNames(annotations map[string]string) ([]reference.Reference, error) {
	name := annotations[nameAnnotation]
	if name == "" {
		name = annotations[refAnnotation]
		// A tag alone, which the annotation allows, names nothing; nerdctl and podman write full names.
		if !strings.ContainsAny(name, "/:") {
			return nil, nil
		}
	}
	ref, err := reference.Parse(name)
	if err != nil {
		return nil, err
	}
	if ref.Tag == "" {
		return nil, nil
	}
	return []reference.Reference{ref}, nil
}

// dockerImage is an element of manifest.json of docker save:
// https://github.com/moby/docker-image-spec/blob/v1.3.1/spec.md#combined-image-json--filesystem-changeset-format
type dockerImage struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// dockerImages adds what manifest.json says to images that the layout gave.
func (a *archive) dockerImages(images []archived) ([]archived, error) {
	var list []dockerImage
	if err := a.json("manifest.json", manifest.MaxManifest, &list); err != nil {
		return nil, err
	}
	for _, d := range list {
		raw, err := a.read(d.Config, manifest.MaxConfig)
		if err != nil {
			return nil, err
		}
		id := content.Digest(raw)
		i := slices.IndexFunc(images, func(img archived) bool { return img.ID == id })
		if i < 0 {
			img, err := a.dockerImage(d, id, raw)
			if err != nil {
				return nil, err
			}
			i = len(images)
			images = append(images, img)
		}
		for _, tag := range d.RepoTags {
			ref, err := reference.Parse(tag)
			if err != nil {
				return nil, err
			}
			if full := ref.Tagged(); full != "" && !slices.Contains(images[i].names.refs, full) {
				images[i].names.refs = append(images[i].names.refs, full)
			}
		}
	}
	return images, nil
}

func (a *archive) dockerImage(d dockerImage, id v1.Hash, raw []byte) (archived, error) {
	conf, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return archived{}, invalidArchive("%s of the archive: %w", d.Config, err)
	}
	if len(conf.RootFS.DiffIDs) != len(d.Layers) {
		return archived{}, invalidArchive("manifest.json names %d layers and %s names %d", len(d.Layers), d.Config, len(conf.RootFS.DiffIDs))
	}
	img := archived{Image: &manifest.Image{ID: id, RawConfig: raw}}
	for i, name := range d.Layers {
		if !a.has(name) {
			return archived{}, invalidArchive("the archive has no %q", name)
		}
		img.Image.Layers = append(img.Image.Layers, v1.Descriptor{})
		// docker save keeps no digest of the compressed layer: the diff id decides.
		img.layers = append(img.layers, layer.Source{Diff: conf.RootFS.DiffIDs[i], Open: a.open(name)})
	}
	if err := img.ParseConfig(); err != nil {
		return archived{}, invalidArchive("%s: %w", d.Config, err)
	}
	return img, nil
}
