package content

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"os"
	"testing"
)

// TestDecompress: what only other programs can write here. Those of gzip and zstd are loaded in TestLoad.
func TestDecompress(t *testing.T) {
	for _, name := range []string{"testdata/hello.tar.xz", "testdata/hello.tar.bz2"} {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := Decompress(bytes.NewReader(raw))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r := tar.NewReader(plain)
		h, err := r.Next()
		if err != nil || h.Name != "hello" {
			t.Fatalf("%s: %v, %v", name, h, err)
		}
		if b, err := io.ReadAll(r); err != nil || string(b) != "hello\n" {
			t.Errorf("%s: it holds %q, %v", name, b, err)
		}
		cut, err := Decompress(bytes.NewReader(raw[:len(raw)/2]))
		if err == nil {
			_, err = io.Copy(io.Discard, cut)
		}
		if err == nil {
			t.Errorf("%s: half of it is taken for the whole", name)
		}
	}
}

// TestMemoryOfXZ: a stream of some bytes cannot ask for 4 GiB.
func TestMemoryOfXZ(t *testing.T) {
	raw, err := os.ReadFile("testdata/hello.tar.xz")
	if err != nil {
		t.Fatal(err)
	}
	// The header of the first block stands after the stream's, of 12 bytes: its size, flags, the filter and its properties, which are the size of
	// the dictionary, and a sum (The .xz File Format, 3.1).
	header := raw[12 : 12+(int(raw[12])+1)*4]
	at := bytes.Index(header, []byte{0x21, 0x01})
	if at < 0 {
		t.Fatalf("no LZMA2 in % x", header)
	}
	header[at+2] = 40 // 4 GiB - 1
	binary.LittleEndian.PutUint32(header[len(header)-4:], crc32.ChecksumIEEE(header[:len(header)-4]))
	plain, err := Decompress(bytes.NewReader(raw))
	if err == nil {
		_, err = io.Copy(io.Discard, plain)
	}
	if err == nil {
		t.Error("it is unpacked")
	}
}
