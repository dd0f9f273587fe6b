package cache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/layer"
	"github.com/stackrun/stack/image/manifest"
	"github.com/stackrun/stack/image/platform"
)

const (
	// Media is the type of the configuration of what is no image.
	Media types.MediaType = "application/vnd.stackrun.buildcache.config.v1+json"
	// Field is what the document is called in a configuration.
	Field = "stackrun.buildcache.v1"

	// mediaOfBuildKit is how BuildKit calls its own, in an index or a manifest:
	// https://github.com/moby/buildkit/blob/v0.32.2/cache/remotecache/v1/doc.go
	mediaOfBuildKit types.MediaType = "application/vnd.buildkit.cacheconfig.v0"
)

var (
	// ErrNone is an image, or another thing, without a cache.
	ErrNone = errors.New("it has no build cache: an image has one when it was built with cache_to type=inline")
	// ErrForeign is a cache of another builder.
	ErrForeign = errors.New("it is a cache of BuildKit's, which has a form of its own")
)

// configuration is what matters here of an image's configuration, or all of one of type Media.
type configuration struct {
	Architecture string          `json:"architecture"`
	OS           string          `json:"os"`
	RootFS       v1.RootFS       `json:"rootfs"`
	Document     json.RawMessage `json:"stackrun.buildcache.v1"` // Field
}

// Inline is conf with the document in it, as it is recorded of an image.
func Inline(conf *v1.ConfigFile, document json.RawMessage) ([]byte, error) {
	return json.Marshal(struct {
		*v1.ConfigFile
		Document json.RawMessage `json:"stackrun.buildcache.v1"` // Field
	}{conf, document})
}

// source are the ways to get at a cache.
type source interface {
	manifest.Source
	Blob(ctx context.Context, desc v1.Descriptor) (io.ReadCloser, error)
}

// Contents are what a cache has.
type Contents struct {
	Document json.RawMessage

	from   source
	layers map[v1.Hash]v1.Descriptor // by diff id
}

// Has says whether the layer diff is said to be there.
func (c *Contents) Has(diff v1.Hash) bool { _, ok := c.layers[diff]; return ok }

// Layer is the layer diff, to be read. Precondition: Has.
func (c *Contents) Layer(diff v1.Hash) layer.Source {
	desc := c.layers[diff]
	return layer.Source{
		Diff: diff, Digest: desc.Digest, Size: desc.Size, Media: desc.MediaType,
		Open: func(ctx context.Context) (io.ReadCloser, error) { return c.from.Blob(ctx, desc) },
	}
}

// read reads what from has under identifier. ErrNone, ErrForeign, or what from says.
func read(ctx context.Context, from source, name, identifier string) (*Contents, error) {
	doc, err := from.Manifest(ctx, identifier)
	if err != nil {
		return nil, err
	}
	if manifest.MediaType(doc).IsIndex() {
		return readIndex(ctx, from, name, identifier, doc)
	}
	m, err := v1.ParseManifest(bytes.NewReader(doc.Raw))
	if err != nil {
		return nil, fmt.Errorf("%w: its manifest is not valid: %v", content.ErrUnusable, err)
	}
	switch {
	case m.Config.MediaType == mediaOfBuildKit:
		return nil, ErrForeign
	case m.Config.MediaType != Media && !m.Config.MediaType.IsConfig():
		return nil, ErrNone
	}
	raw, err := from.Small(ctx, m.Config, manifest.MaxConfig)
	if err != nil {
		return nil, err
	}
	return parse(from, raw, m.Layers)
}

// readIndex is read of an image for several platforms, of which this host's counts; BuildKit's cache is an index too.
func readIndex(ctx context.Context, from source, name, identifier string, doc manifest.Document) (*Contents, error) {
	var list v1.IndexManifest
	if err := json.Unmarshal(doc.Raw, &list); err != nil {
		return nil, fmt.Errorf("%w: its index is not valid: %v", content.ErrUnusable, err)
	}
	for _, d := range list.Manifests {
		if d.MediaType == mediaOfBuildKit {
			return nil, ErrForeign
		}
	}
	img, err := manifest.Resolve(ctx, from, name, identifier, platform.Host())
	if err != nil {
		return nil, err
	}
	return parse(from, img.RawConfig, img.Layers)
}

func parse(from source, raw []byte, layers []v1.Descriptor) (*Contents, error) {
	var conf configuration
	switch err := json.Unmarshal(raw, &conf); {
	case err != nil:
		return nil, fmt.Errorf("%w: its configuration is not valid: %v", content.ErrUnusable, err)
	case len(conf.Document) == 0:
		return nil, ErrNone
	case len(conf.RootFS.DiffIDs) != len(layers):
		return nil, fmt.Errorf("%w: it has %d layers and its configuration names %d", content.ErrUnusable, len(layers), len(conf.RootFS.DiffIDs))
	}
	c := &Contents{Document: conf.Document, from: from, layers: make(map[v1.Hash]v1.Descriptor, len(layers))}
	for i, diff := range conf.RootFS.DiffIDs {
		c.layers[diff] = layers[i]
	}
	return c, nil
}
