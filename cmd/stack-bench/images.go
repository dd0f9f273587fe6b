package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/stackrun/stack/internal/testimage"
)

const (
	small = "bench:1" // the image that containers are made of
	large = "big:1"   // the one that is pulled
)

// writeArchive makes the image of containers, busybox and the probe, as a docker-archive.
func writeArchive(ctx context.Context, dir string) (string, error) {
	probe := filepath.Join(dir, "probe")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", probe, "github.com/stackrun/stack/cmd/stack-bench/probe")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return "", err
	}
	var raw bytes.Buffer
	w := tar.NewWriter(&raw)
	for path, from := range map[string]string{"bin/probe": probe, "bin/busybox": busybox} {
		body, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o755, Size: int64(len(body))}); err != nil {
			return "", err
		}
		if _, err := w.Write(body); err != nil {
			return "", err
		}
	}
	for _, applet := range []string{"sh", "true", "sleep", "cat"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox"}); err != nil {
			return "", err
		}
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	img, err := imageOf(raw.Bytes())
	if err != nil {
		return "", err
	}
	tag, err := name.NewTag(small)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "image.tar")
	return path, tarball.WriteToFile(path, tag, img)
}

func imageOf(layers ...[]byte) (v1.Image, error) {
	img, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{Architecture: "amd64", OS: "linux", Config: v1.Config{Env: []string{"PATH=/bin"}, Cmd: []string{"sh"}}})
	if err != nil {
		return nil, err
	}
	for _, raw := range layers {
		l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil })
		if err != nil {
			return nil, err
		}
		if img, err = mutate.AppendLayers(img, l); err != nil {
			return nil, err
		}
	}
	return img, nil
}

// writeBig makes an OCI layout of an image of eight layers, each of about 58 MiB that gzip to about a third.
func writeBig(dir string) (string, error) {
	var layers [][]byte
	for i := range 8 {
		l, err := testimage.Bulk(uint64(i))
		if err != nil {
			return "", err
		}
		layers = append(layers, l)
	}
	img, err := imageOf(layers...)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "layout")
	l, err := layout.Write(path, empty.Index)
	if err != nil {
		return "", err
	}
	return path, l.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": large}))
}
