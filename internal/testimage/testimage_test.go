package testimage

import (
	"archive/tar"
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/stackrun/stack/internal/registry"
)

// TestImagesAreWhole pulls each image as a client does and looks into its file system.
func TestImagesAreWhole(t *testing.T) {
	_, url := registry.Serve(t, Require(t))
	for ref, want := range map[string][]string{
		"library/debian:12":      {"usr/bin/bash", "usr/bin/sh", "bin", "etc/passwd", "tmp"},
		"library/postgres:15":    {"usr/lib/postgresql/15/bin/postgres", "usr/local/bin/docker-entrypoint.sh", "var/lib/postgresql/data"},
		"library/redis:7":        {"usr/bin/redis-server", "usr/bin/redis-cli", "data"},
		"library/python:3.11":    {"usr/bin/python3.11", "usr/local/bin/python"},
		"library/nginx:1.22":     {"usr/sbin/nginx", "etc/nginx/mime.types"},
		"library/busybox:latest": {"bin/sh", "bin/httpd", "bin/busybox"},
	} {
		t.Run(ref, func(t *testing.T) {
			r, err := name.ParseReference(strings.TrimPrefix(url, "http://")+"/"+ref, name.Insecure)
			if err != nil {
				t.Fatal(err)
			}
			img, err := remote.Image(r)
			if err != nil {
				t.Fatal(err)
			}
			have := names(t, img)
			for _, w := range want {
				if !slices.Contains(have, w) {
					t.Errorf("%s is not in the image", w)
				}
			}
			for _, h := range have {
				if strings.HasPrefix(h, "usr/share/man/") || strings.HasPrefix(h, "bin/") && !strings.Contains(ref, "busybox") {
					t.Errorf("%s should not be in the image", h)
				}
			}
		})
	}
}

func names(t *testing.T, img v1.Image) []string {
	t.Helper()
	rc := mutate.Extract(img)
	defer rc.Close()
	var out []string
	for r := tar.NewReader(rc); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, h.Name)
	}
}

func TestTreeMergesUsrAndDropsDocumentation(t *testing.T) {
	var deb bytes.Buffer
	w := tar.NewWriter(&deb)
	for _, h := range []tar.Header{
		{Typeflag: tar.TypeDir, Name: "./", Mode: 0o755},
		{Typeflag: tar.TypeDir, Name: "./bin/", Mode: 0o755},
		{Typeflag: tar.TypeReg, Name: "./bin/tool", Mode: 0o755, Size: 2},
		{Typeflag: tar.TypeLink, Name: "./bin/alias", Linkname: "./bin/tool"},
		{Typeflag: tar.TypeReg, Name: "./usr/share/doc/tool/copyright", Mode: 0o644},
		{Typeflag: tar.TypeReg, Name: "./lib/systemd/system/tool.service", Mode: 0o644},
		{Typeflag: tar.TypeReg, Name: "./opt/left/out", Mode: 0o644},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		w.Write(make([]byte, h.Size))
	}
	w.Close()
	got := tree{}
	if err := got.addTar(tar.NewReader(&deb), []string{"opt/left"}); err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := got.write(&a); err != nil {
		t.Fatal(err)
	}
	if err := got.write(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same tree was written in two ways")
	}
	var have []string
	for r := tar.NewReader(&a); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		have = append(have, h.Name+">"+h.Linkname)
	}
	if want := []string{"usr/bin/tool>", "usr/bin/alias>usr/bin/tool"}; !slices.Equal(have, want) {
		t.Errorf("got %q, want %q", have, want)
	}
}
