// Package artifact brings Compose files that are kept in a registry, as docker compose publishes them. It is of the daemon's program: what speaks to registries
// is too large for every command.
package artifact

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	fetched "github.com/stackrun/stack/cmd/stack/remote"
)

// What docker compose publishes: a manifest whose layers are the files.
const (
	projectType = "application/vnd.docker.compose.project"
	fileType    = "application/vnd.docker.compose.file+yaml"
	envType     = "application/vnd.docker.compose.envfile"
	// emptyType is the configuration's type where registries know no artifact types (OCI 1.0).
	emptyType = "application/vnd.docker.compose.config.empty.v1+json"

	fileNote    = "com.docker.compose.file"
	envNote     = "com.docker.compose.envfile"
	extendsNote = "com.docker.compose.extends"
)

// Bounds of an artifact: it is a few files of text.
const (
	maxLayer  = 4 << 20 // bytes
	maxLayers = 100
)

// artifact is the part of a manifest and of an index that is about files.
type artifact struct {
	ArtifactType string       `json:"artifactType"`
	Config       descriptor   `json:"config"`
	Layers       []descriptor `json:"layers"`
	Manifests    []descriptor `json:"manifests"`
}

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations"`
}

// Fetch brings the artifact text, REGISTRY/REPOSITORY[:TAG][@DIGEST], into a directory of cache, whose path it returns. One that is named by digest and in the cache
// is not asked for again.
func Fetch(ctx context.Context, cache, text string) (string, error) {
	ref, err := name.ParseReference(text)
	if err != nil {
		return "", errors.New("it is not REGISTRY/REPOSITORY[:TAG][@DIGEST]")
	}
	place := func(hex string) string { return filepath.Join("oci", hex) }
	if d, ok := ref.(name.Digest); ok {
		if _, hex, _ := strings.Cut(d.DigestStr(), ":"); filepath.IsLocal(hex) {
			if root := filepath.Join(cache, place(hex)); exists(root) {
				return root, nil
			}
		}
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)}
	got, err := remote.Get(ref, options...)
	if err != nil {
		return "", registryError(err)
	}
	return fetched.Keep(cache, place(got.Digest.Hex), func(dir string) error {
		a, err := project(got, ref, options)
		if err != nil {
			return err
		}
		return write(dir, a, ref, options)
	})
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// project is the manifest of the Compose files, which an index may name beside images.
func project(got *remote.Descriptor, ref name.Reference, options []remote.Option) (*artifact, error) {
	a := &artifact{}
	if err := json.Unmarshal(got.Manifest, a); err != nil {
		return nil, fmt.Errorf("its manifest is no JSON: %w", err)
	}
	if got.MediaType == types.OCIImageIndex || got.MediaType == types.DockerManifestList {
		for _, m := range a.Manifests {
			if m.ArtifactType != projectType {
				continue
			}
			inner, err := remote.Get(ref.Context().Digest(m.Digest), options...)
			if err != nil {
				return nil, registryError(err)
			}
			if inner.MediaType == types.OCIImageIndex {
				return nil, errors.New("its index names another index")
			}
			return project(inner, ref, options)
		}
		return nil, errors.New("it is an index without a Compose project")
	}
	if a.ArtifactType != projectType && (a.ArtifactType != "" || a.Config.MediaType != emptyType) {
		what := a.ArtifactType
		if what == "" {
			what = a.Config.MediaType
		}
		return nil, fmt.Errorf("it is no Compose project but %q", what)
	}
	if len(a.Layers) > maxLayers {
		return nil, fmt.Errorf("it has %d files, the limit is %d", len(a.Layers), maxLayers)
	}
	return a, nil
}

// write writes the artifact's files into dir. Their names come from the registry: they are names in dir and nothing else.
func write(dir string, a *artifact, ref name.Reference, options []remote.Option) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("cannot make the cache: %w", err)
	}
	defer root.Close()
	for i, layer := range a.Layers {
		var file string
		switch layer.MediaType {
		case fileType:
			file = fetched.ComposeFiles[0]
			if _, part := layer.Annotations[extendsNote]; part {
				file = layer.Annotations[fileNote]
			}
		case envType:
			file = layer.Annotations[envNote]
		default:
			continue
		}
		if file == "" || file == "." || file == ".." || strings.ContainsAny(file, "/\\\x00") {
			return fmt.Errorf("its file %d is called %q: a name without directories was expected", i+1, file)
		}
		text, err := blob(layer, ref, options)
		if err != nil {
			return fmt.Errorf("its file %s: %w", file, err)
		}
		if err := appendTo(root, file, text); err != nil {
			return fmt.Errorf("cannot keep its file %s: %w", file, err)
		}
	}
	return nil
}

// appendTo writes text to file; what one name has several times are documents of one file.
func appendTo(root *os.Root, file string, text []byte) error {
	w, err := root.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer w.Close()
	if info, err := w.Stat(); err != nil {
		return err
	} else if info.Size() > 0 {
		text = append([]byte("\n---\n"), text...)
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.Close()
}

// blob reads a layer, whose digest go-containerregistry checks.
func blob(d descriptor, ref name.Reference, options []remote.Option) ([]byte, error) {
	if d.Size > maxLayer {
		return nil, fmt.Errorf("it has %d bytes, the limit is %d", d.Size, maxLayer)
	}
	digest, err := name.NewDigest(ref.Context().Name() + "@" + d.Digest)
	if err != nil {
		return nil, fmt.Errorf("%q is not a digest", d.Digest)
	}
	layer, err := remote.Layer(digest, options...)
	if err != nil {
		return nil, registryError(err)
	}
	r, err := layer.Compressed()
	if err != nil {
		return nil, registryError(err)
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxLayer+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxLayer {
		return nil, fmt.Errorf("it has more than %d bytes", maxLayer)
	}
	return text, nil
}

// registryError says plainly what registries answer with codes.
func registryError(err error) error {
	if t, ok := errors.AsType[*transport.Error](err); ok {
		switch t.StatusCode {
		case http.StatusNotFound:
			return fmt.Errorf("the registry has no such artifact: %w", err)
		case http.StatusUnauthorized, http.StatusForbidden:
			return fmt.Errorf("the registry wants other credentials (log in with a tool that writes ~/.docker/config.json): %w", err)
		}
	}
	return err
}
