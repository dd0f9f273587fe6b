package contract

import (
	"archive/tar"
	"bytes"
	"io"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/runtime"
)

// copies: what goes into a container comes out of it, whether it runs or not, and does not go with its run.
func copies(b *bench) {
	ctx := b.Context()
	id, _ := b.start("sleep", "1000")
	in := func(id, content string) error {
		var text bytes.Buffer
		w := tar.NewWriter(&text)
		b.must(w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o644, Size: int64(len(content))}))
		_, err := io.WriteString(w, content)
		b.must(err)
		b.must(w.Close())
		return b.Containers.CopyIn(ctx, id, runtime.CopyIn{Path: "/f", Copy: true}, &text)
	}
	is := func(want string) {
		b.Helper()
		var text bytes.Buffer
		b.must(b.Containers.CopyOut(ctx, id, runtime.CopyOut{Path: "/f"}, &text))
		r := tar.NewReader(&text)
		h, err := r.Next()
		b.must(err)
		got, err := io.ReadAll(r)
		b.must(err)
		if h.Name != "f" || string(got) != want {
			b.Errorf("%s holds %q, expected %q", h.Name, got, want)
		}
	}
	b.must(in(id, "1"))
	is("1")
	_, err := b.Containers.Stop(ctx, id, 0)
	b.must(err)
	is("1")
	b.must(in(id, "2"))
	is("2")
	b.is("CopyOut of nothing", b.Containers.CopyOut(ctx, id, runtime.CopyOut{Path: "/nothing"}, io.Discard), errdefs.ErrNotFound)
	b.is("CopyIn into nobody", in(nobody, "x"), errdefs.ErrNotFound)
	b.is("Export of nobody", b.Containers.Export(ctx, nobody, io.Discard, nil), errdefs.ErrNotFound)
	b.remove(id)
}
