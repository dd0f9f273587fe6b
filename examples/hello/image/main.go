// Image makes hello-web.tar, a docker-archive of the image hello-web:1.0: one static program and
// nothing else. Run it in this repository: go run ./examples/hello/image -o hello-web.tar
package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

const ref = "hello-web:1.0"

func main() {
	log.SetFlags(0)
	out := flag.String("o", "hello-web.tar", "file to write")
	flag.Parse()
	if err := write(*out); err != nil {
		log.Fatalf("cannot make the image %s: %v", ref, err)
	}
}

func write(path string) error {
	program, err := buildServer()
	if err != nil {
		return err
	}
	img, err := image(program)
	if err != nil {
		return err
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(path, tag, img)
}

func buildServer() ([]byte, error) {
	dir, err := os.MkdirTemp("", "hello-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	bin := filepath.Join(dir, "server")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, "github.com/stackrun/stack/examples/hello/server")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if msg, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, msg)
	}
	return os.ReadFile(bin)
}

func image(program []byte) (v1.Image, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	h := &tar.Header{Typeflag: tar.TypeReg, Name: "server", Mode: 0o755, Size: int64(len(program)), ModTime: time.Unix(1700000000, 0)}
	if err := w.WriteHeader(h); err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		return nil, err
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture = "linux", runtime.GOARCH
	cfg.Config = v1.Config{Entrypoint: []string{"/server"}, ExposedPorts: map[string]struct{}{"8000/tcp": {}}}
	return mutate.ConfigFile(img, cfg)
}
