package archive

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/catalog"
	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/reference"
)

// Image is one image of an archive.
type Image struct {
	*manifest.Image
	Layers []layer.Source
	Names  catalog.Names
}

// Name is what messages call the image.
func (img Image) Name() string {
	if len(img.Names.Refs) > 0 {
		return reference.Familiar(img.Names.Refs[0])
	}
	return content.Short(img.ID)
}

// Images finds what the archive holds. docker save of version 25 and later writes both formats into one archive.
func (a *Archive) Images(ctx context.Context) ([]Image, error) {
	var images []Image
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

func (a *Archive) ociImages(ctx context.Context) ([]Image, error) {
	var list v1.IndexManifest
	if err := a.json("index.json", manifest.MaxManifest, &list); err != nil {
		return nil, err
	}
	byID := make(map[v1.Hash]int)
	var images []Image
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
			one := Image{Image: img}
			for i, l := range layersOf(img) {
				l.Open = a.open(blobName(img.Layers[i].Digest))
				one.Layers = append(one.Layers, l)
			}
			i = len(images)
			byID[img.ID] = i
			images = append(images, one)
		}
		for _, ref := range refs {
			images[i].Names.Refs = append(images[i].Names.Refs, ref.Tagged())
			if img.Manifest.Raw == nil {
				continue
			}
			images[i].Names.Digests = append(images[i].Names.Digests, ref.Digested(img.Manifest.Digest))
			if img.Index != nil {
				images[i].Names.Digests = append(images[i].Names.Digests, ref.Digested(img.Index.Digest))
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
func (a *Archive) dockerImages(images []Image) ([]Image, error) {
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
		i := slices.IndexFunc(images, func(img Image) bool { return img.ID == id })
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
			if full := ref.Tagged(); full != "" && !slices.Contains(images[i].Names.Refs, full) {
				images[i].Names.Refs = append(images[i].Names.Refs, full)
			}
		}
	}
	return images, nil
}

func (a *Archive) dockerImage(d dockerImage, id v1.Hash, raw []byte) (Image, error) {
	conf, err := v1.ParseConfigFile(bytes.NewReader(raw))
	if err != nil {
		return Image{}, invalidArchive("%s of the archive: %w", d.Config, err)
	}
	if len(conf.RootFS.DiffIDs) != len(d.Layers) {
		return Image{}, invalidArchive("manifest.json names %d layers and %s names %d", len(d.Layers), d.Config, len(conf.RootFS.DiffIDs))
	}
	img := Image{Image: &manifest.Image{ID: id, RawConfig: raw}}
	for i, name := range d.Layers {
		if !a.has(name) {
			return Image{}, invalidArchive("the archive has no %q", name)
		}
		img.Image.Layers = append(img.Image.Layers, v1.Descriptor{})
		// docker save keeps no digest of the compressed layer: the diff id decides.
		img.Layers = append(img.Layers, layer.Source{Diff: conf.RootFS.DiffIDs[i], Open: a.open(name)})
	}
	if err := img.ParseConfig(); err != nil {
		return Image{}, invalidArchive("%s: %w", d.Config, err)
	}
	return img, nil
}
