package build_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/build"
)

// steps says what becomes of the steps of a build: "COPY cached".
func (h *host) steps(dockerfile string, change ...func(*build.Request)) string {
	h.t.Helper()
	_, p := h.make(dockerfile, change...)
	return strings.Join(p.phases(), ", ")
}

// TestCache: what is done again, and what is not.
func TestCache(t *testing.T) {
	h := newHost(t)
	h.write("src/a", "a")
	h.write("src/sub/b", "b")
	const text = "FROM busybox\nCOPY src /src\nRUN ls -R /src >/list\n"
	const done, cached = "FROM done, COPY done, RUN done", "FROM done, COPY cached, RUN cached"
	a := filepath.Join(h.context, "src/a")
	check := func(what, want string, change ...func(*build.Request)) {
		t.Helper()
		if got := h.steps(text, change...); got != want {
			t.Errorf("%s: %s; expected %s", what, got, want)
		}
	}
	check("the first time", done)
	check("the same again", cached)
	later := time.Now().Add(time.Hour)
	must(t, os.Chtimes(a, later, later))
	check("other times", cached)
	must(t, os.Chmod(a, 0o600))
	check("another mode", done)
	h.write("src/a", "A")
	check("another content of the same size", done)
	h.write("src/a", "a")
	must(t, os.Chmod(a, 0o644))
	check("as at first", cached)
	h.write("src/new", "")
	check("a file more", done)
	must(t, os.Remove(filepath.Join(h.context, "src/new")))
	must(t, os.Rename(filepath.Join(h.context, "src/sub"), filepath.Join(h.context, "src/sub2")))
	check("another name", done)
	h.write("unrelated", "x")
	check("a file that is not copied", cached)
	check("without the cache", done, func(r *build.Request) { r.NoCache = true })
	check("a stage without it", done, func(r *build.Request) { r.NoCacheFilter = []string{"0"} })
	check("another stage without it", cached, func(r *build.Request) { r.NoCacheFilter = []string{"other"} })
	must(t, os.RemoveAll(h.roots.InState("build")))
	check("the cache is gone", done)
	entries, err := os.ReadDir(h.roots.InState("build", "steps"))
	must(t, err)
	for _, e := range entries {
		must(t, os.WriteFile(h.roots.InState("build", "steps", e.Name()), []byte("{\"version\":1,\"layer\":\"sha256:"), 0o600))
	}
	check("the cache is damaged", done)
}

// TestCacheOfArguments: an ARG counts for the commands that see it.
func TestCacheOfArguments(t *testing.T) {
	h := newHost(t)
	const text = "FROM busybox\nRUN echo before >/before\nARG V\nCOPY <<EOF /f\ntext\nEOF\nRUN echo $V >/after\n"
	with := func(v string) func(*build.Request) {
		return func(r *build.Request) { r.Args = map[string]string{"V": v} }
	}
	h.make(text, with("1"))
	if got, want := h.steps(text, with("2")), "FROM done, RUN cached, ARG cached, COPY cached, RUN done"; got != want {
		t.Errorf("another value: %s, expected %s", got, want)
	}
	if got, want := h.steps(text, with("1")), "FROM done, RUN cached, ARG cached, COPY cached, RUN cached"; got != want {
		t.Errorf("the first value again: %s, expected %s", got, want)
	}
	proxy := func(r *build.Request) { r.Args = map[string]string{"V": "1", "HTTP_PROXY": "http://proxy:1"} }
	if got, want := h.steps(text, proxy), "FROM done, RUN cached, ARG cached, COPY cached, RUN cached"; got != want {
		t.Errorf("a proxy: %s, expected %s", got, want)
	}
	info, p := h.make("FROM busybox\nRUN echo $HTTP_PROXY\n", func(r *build.Request) { r.Args = map[string]string{"HTTP_PROXY": "http://proxy:1"} })
	if out := p.output.String(); out != "http://proxy:1\n" {
		t.Errorf("the command sees the proxy %q", out)
	}
	for _, e := range h.config(info.ID).History {
		if strings.Contains(e.CreatedBy, "proxy:1") {
			t.Errorf("the history has %q", e.CreatedBy)
		}
	}
	_, p = h.make("FROM busybox\n", func(r *build.Request) { r.Args = map[string]string{"NOBODY": "1"} })
	if w := p.warnings(); len(w) != 1 || !strings.Contains(w[0], "NOBODY") {
		t.Errorf("an argument that nobody declares: %q", w)
	}
}

// TestCacheOfStages: what is taken from a stage counts by its content, not by how it came to be.
func TestCacheOfStages(t *testing.T) {
	h := newHost(t)
	const text = "FROM busybox AS make\nARG V\nRUN echo $V >/log; mkdir /out && echo the same >/out/f\nFROM busybox\nCOPY --from=make /out /out\nRUN cat /out/f >/g\n"
	with := func(v string) func(*build.Request) {
		return func(r *build.Request) { r.Args = map[string]string{"V": v} }
	}
	h.make(text, with("1"))
	_, p := h.make(text, with("2"))
	got := p.phases()
	for _, want := range []string{"COPY cached", "RUN cached", "RUN done"} {
		if !slices.Contains(got, want) {
			t.Errorf("phases are %q, expected %s among them", got, want)
		}
	}
}

// TestCacheIsBounded: what was of no use for a week is let go; what an image has stays.
func TestCacheIsBounded(t *testing.T) {
	h := newHost(t)
	ctx := context.Background()
	kept, _ := h.make("FROM busybox\nRUN echo kept >/f\n", func(r *build.Request) { r.Tags = []string{"kept"} })
	gone, _ := h.make("FROM busybox\nRUN echo gone >/f\n", func(r *build.Request) { r.Tags = []string{"gone"} })
	layer := h.config(gone.ID).RootFS.DiffIDs[1]
	must(t, h.images.Delete(ctx, "gone"))
	_, err := h.build.Sweep(ctx, false) // behind the builds layers are looked at too
	must(t, err)
	if !h.images.HasLayers(ctx, h.config(kept.ID).RootFS.DiffIDs) {
		t.Fatal("the image that is kept has lost a layer")
	}
	if _, err := h.images.Prune(ctx); err != nil {
		t.Fatal(err)
	}
	if got := h.steps("FROM busybox\nRUN echo gone >/f\n"); got != "FROM done, RUN cached" {
		t.Errorf("a step of an image that was removed: %s", got)
	}
	must(t, h.images.Delete(ctx, gone.ID.String()))
	entries, err := os.ReadDir(h.roots.InState("build", "steps"))
	must(t, err)
	old := time.Now().Add(-8 * 24 * time.Hour)
	for _, e := range entries {
		must(t, os.Chtimes(h.roots.InState("build", "steps", e.Name()), old, old))
	}
	h.make("FROM busybox\n")
	must(t, h.build.Close(ctx)) // what is done behind the build
	if h.images.HasLayers(ctx, []v1.Hash{layer}) {
		t.Error("a layer of a step that was of no use for a week is there")
	}
	if !h.images.HasLayers(ctx, h.config(kept.ID).RootFS.DiffIDs) {
		t.Error("the image that is kept has lost a layer")
	}
}
