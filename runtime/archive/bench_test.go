package archive_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stackrun/stack/runtime/archive"
)

// BenchmarkSmallFiles is of a tree of 10,000 files of 1,000 bytes in 100 directories: into a new place, over what is there, and out.
func BenchmarkSmallFiles(b *testing.B) {
	entries := []entry{dir("tree")}
	for d := range 100 {
		entries = append(entries, dir(fmt.Sprintf("tree/%d", d)))
		for f := range 100 {
			entries = append(entries, file(fmt.Sprintf("tree/%d/%d", d, f), strings.Repeat("x", 1000)))
		}
	}
	text := stream(b, entries...)
	r := newTree(b)
	n := 0
	unpack := func(b *testing.B, name string) {
		must(b, archive.Unpack(b.Context(), r.opened, archive.Destination{Path: name, Copy: true}, bytes.NewReader(text)))
	}
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			n++
			unpack(b, fmt.Sprint("/new", n))
		}
	})
	b.Run("again", func(b *testing.B) {
		unpack(b, "/again")
		r.mkdir("again/tree")
		for b.Loop() {
			must(b, archive.Unpack(b.Context(), r.opened, archive.Destination{Path: "/"}, bytes.NewReader(text)))
		}
	})
	b.Run("out", func(b *testing.B) {
		for b.Loop() {
			must(b, archive.Pack(b.Context(), r.opened, archive.Source{Path: "/new1"}, io.Discard, nil))
		}
	})
}
