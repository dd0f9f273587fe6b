package registry_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/stackrun/stack/internal/registry"
)

func serve(t *testing.T, img v1.Image, refs ...string) (*registry.Handler, string) {
	t.Helper()
	dir := t.TempDir()
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range refs {
		err := l.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": ref}))
		if err != nil {
			t.Fatal(err)
		}
	}
	h, url := registry.Serve(t, dir)
	return h, strings.TrimPrefix(url, "http://")
}

func TestPullByTagAndDigest(t *testing.T) {
	img, err := random.Image(1<<10, 3)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	h, host := serve(t, img, "library/shop:1", "library/shop:latest")
	for _, ref := range []string{"library/shop:1", "library/shop", "library/shop@" + digest.String()} {
		r, err := name.ParseReference(host+"/"+ref, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote.Image(r)
		if err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
		if err := validate.Image(got); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
		if d, err := got.Digest(); err != nil || d != digest {
			t.Errorf("%s: digest %v, %v; want %v", ref, d, err, digest)
		}
	}
	if !slices.Contains(h.Requests(), "GET /v2/library/shop/manifests/1") {
		t.Errorf("the request by tag is not among %q", h.Requests())
	}
}

func TestUnknownIsTheSpecificationsError(t *testing.T) {
	_, host := serve(t, empty.Image, "library/shop:1")
	r, err := name.ParseReference(host+"/library/shop:2", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	_, err = remote.Image(r)
	var te *transport.Error
	if !errors.As(err, &te) || te.StatusCode != http.StatusNotFound || te.Errors[0].Code != transport.ManifestUnknownErrorCode {
		t.Errorf("got %v, want 404 MANIFEST_UNKNOWN", err)
	}
}
