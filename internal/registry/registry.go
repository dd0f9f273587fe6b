// Package registry serves the images of an OCI layout over the registry's HTTP API, read-only, for
// tests: a mirror on loopback that answers as the public one would. Empty is one that takes what is pushed to it.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
package registry

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const refAnnotation = "org.opencontainers.image.ref.name"

// Handler answers for one layout.
type Handler struct {
	dir  string
	refs map[string]v1.Descriptor // repository:tag and repository@digest

	mu       sync.Mutex
	requests []string
}

// New reads the index of the layout in dir. Images carry "repository:tag" in the annotation
// org.opencontainers.image.ref.name.
func New(dir string) (*Handler, error) {
	b, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return nil, err
	}
	var index v1.IndexManifest
	if err := json.Unmarshal(b, &index); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", filepath.Join(dir, "index.json"), err)
	}
	h := &Handler{dir: dir, refs: map[string]v1.Descriptor{}}
	for _, d := range index.Manifests {
		ref := d.Annotations[refAnnotation]
		repo, _, ok := strings.Cut(ref, ":")
		if !ok {
			return nil, fmt.Errorf("image %s in %s has no name of the form repository:tag but %q", d.Digest, dir, ref)
		}
		h.refs[ref] = d
		h.refs[repo+"@"+d.Digest.String()] = d
	}
	return h, nil
}

// Listen serves the layout in dir on a free port of loopback for as long as the process lives, and returns the
// handler with its URL.
func Listen(dir string) (*Handler, string, error) {
	h, _, url, err := listen(dir)
	return h, url, err
}

// Serve is Listen until t ends.
func Serve(t testing.TB, dir string) (*Handler, string) {
	t.Helper()
	h, srv, url, err := listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	return h, url
}

func listen(dir string) (*Handler, *http.Server, string, error) {
	h, err := New(dir)
	if err != nil {
		return nil, nil, "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, "", err
	}
	srv := &http.Server{Handler: h}
	go srv.Serve(l)
	return h, srv, "http://" + l.Addr().String(), nil
}

// Requests returns "METHOD path" of each request so far, but for the probe of /v2/.
func (h *Handler) Requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.requests...)
}

var object = regexp.MustCompile(`^/v2/([a-z0-9._/-]+)/(manifests|blobs)/([A-Za-z0-9_.:-]+)$`)

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/v2/" {
		w.WriteHeader(http.StatusOK)
		return
	}
	h.mu.Lock()
	h.requests = append(h.requests, r.Method+" "+r.URL.Path)
	h.mu.Unlock()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		fail(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is read-only")
		return
	}
	m := object.FindStringSubmatch(r.URL.Path)
	if m == nil {
		fail(w, http.StatusNotFound, "NAME_INVALID", "no such path")
		return
	}
	repo, kind, ref := m[1], m[2], m[3]
	if kind == "blobs" {
		hash, err := v1.NewHash(ref)
		if err != nil {
			fail(w, http.StatusBadRequest, "DIGEST_INVALID", err.Error())
			return
		}
		h.blob(w, r, hash, "application/octet-stream", "BLOB_UNKNOWN")
		return
	}
	sep := ":"
	if strings.Contains(ref, ":") {
		sep = "@"
	}
	d, ok := h.refs[repo+sep+ref]
	if !ok {
		fail(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "unknown manifest "+repo+sep+ref)
		return
	}
	h.blob(w, r, d.Digest, string(d.MediaType), "MANIFEST_UNKNOWN")
}

func (h *Handler) blob(w http.ResponseWriter, r *http.Request, hash v1.Hash, mediaType, unknown string) {
	path := filepath.Join(h.dir, "blobs", hash.Algorithm, hash.Hex)
	if _, err := os.Stat(path); err != nil {
		fail(w, http.StatusNotFound, unknown, "unknown "+hash.String())
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Docker-Content-Digest", hash.String())
	http.ServeFile(w, r, path)
}

// fail answers as the specification's error codes say.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
}
