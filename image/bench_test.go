package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"

	"github.com/stackrun/stack/internal/roots"

	"github.com/stackrun/stack/internal/sandbox"
)

// benchLayer is about 58 MiB of files of many sizes that gzip to about a third, as programs and text do.
func benchLayer(b *testing.B, seed uint64) []byte {
	b.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	words := make([][]byte, 4096)
	for i := range words {
		words[i] = make([]byte, 4+rng.IntN(12))
		for j := range words[i] {
			words[i][j] = byte(rng.IntN(256))
		}
	}
	zipf := rand.NewZipf(rng, 1.2, 8, uint64(len(words)-1))
	var packed bytes.Buffer
	gz := gzip.NewWriter(&packed)
	w := tar.NewWriter(gz)
	for raw := 0; raw < 58<<20; {
		size := 1 << (8 + rng.IntN(14))
		body := make([]byte, 0, size+16)
		for len(body) < size {
			body = append(body, words[zipf.Uint64()]...)
		}
		name := fmt.Sprintf("usr/lib/l%d/d%d/f%d", seed, raw>>20, raw)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(body))}); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(body); err != nil {
			b.Fatal(err)
		}
		raw += len(body)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		b.Fatal(err)
	}
	return packed.Bytes()
}

// BenchmarkPull pulls and unpacks 8 layers of some 20 MiB gzip each from loopback. STACK_BENCH_DIR names a directory
// on the file system to measure on; the sandbox's /tmp is memory.
func BenchmarkPull(b *testing.B) {
	sandbox.Require(b)
	h := newHub(b)
	var layers []v1.Layer
	var packed int64
	for i := range 8 {
		l := layerOfTar(b, benchLayer(b, uint64(i)))
		n, err := l.Size()
		if err != nil {
			b.Fatal(err)
		}
		packed += n
		layers = append(layers, l)
	}
	h.push(b, "big:1", imageOf(b, layers...))
	base := os.Getenv("STACK_BENCH_DIR")
	b.ReportMetric(float64(packed)/(1<<20), "MiB-gzip")
	for b.Loop() {
		b.StopTimer()
		dir, err := os.MkdirTemp(base, "")
		if err != nil {
			b.Fatal(err)
		}
		s := openStore(b, roots.Roots{State: dir + "/state", Run: dir + "/run"})
		b.StartTimer()
		if _, err := s.Pull(context.Background(), h.host+"/big:1", v1.Platform{}, nil); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := s.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
		os.RemoveAll(dir)
		b.StartTimer()
	}
	b.SetBytes(packed)
}

func BenchmarkPrepare(b *testing.B) {
	sandbox.Require(b)
	h := newHub(b)
	h.push(b, "app:1", imageOf(b, layerOf(b, fileEntry("a", "1")), layerOf(b, fileEntry("b", "1"))))
	dir, err := os.MkdirTemp(os.Getenv("STACK_BENCH_DIR"), "")
	if err != nil {
		b.Fatal(err)
	}
	defer os.RemoveAll(dir)
	s := openStore(b, roots.Roots{State: dir + "/state", Run: dir + "/run"})
	ctx := context.Background()
	info, err := s.Pull(ctx, h.host+"/app:1", v1.Platform{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		n++
		if _, err := s.Prepare(ctx, fmt.Sprint("c", n), info.ID); err != nil {
			b.Fatal(err)
		}
	}
}
