package image

import (
	"context"
	"fmt"
	"os"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/internal/testimage"
)

// BenchmarkPull pulls and unpacks 8 layers of some 20 MiB gzip each from loopback. STACK_BENCH_DIR names a directory
// on the file system to measure on; the sandbox's /tmp is memory.
func BenchmarkPull(b *testing.B) {
	sandbox.Require(b)
	h := newHub(b)
	var layers []v1.Layer
	var packed int64
	for i := range 8 {
		raw, err := testimage.Bulk(uint64(i))
		if err != nil {
			b.Fatal(err)
		}
		l := layertest.OfTar(b, raw)
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
	h.push(b, "app:1", imageOf(b, layerOf(b, layertest.File("a", "1")), layerOf(b, layertest.File("b", "1"))))
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
