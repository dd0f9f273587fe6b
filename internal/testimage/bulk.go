package testimage

import (
	"archive/tar"
	"bytes"
	"fmt"
	"math/rand/v2"

	"github.com/klauspost/compress/gzip"
)

// Bulk is a layer to measure with, gzipped: some 58 MiB of files of many sizes, made of words that are drawn unevenly, as in programs and
// text, so that they shrink to about a third. Layers of different seeds share nothing.
func Bulk(seed uint64) ([]byte, error) {
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
		path := fmt.Sprintf("usr/lib/l%d/d%d/f%d", seed, raw>>20, raw)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(body))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(body); err != nil {
			return nil, err
		}
		raw += len(body)
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	if err := gz.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
