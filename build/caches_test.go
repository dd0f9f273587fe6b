package build_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/internal/buildcache"
	"github.com/stackrun/stack/internal/registry"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
)

// elsewhere makes h another host: another root, that has seen nothing but busybox, and a context in another directory.
func (h *host) elsewhere() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), sandbox.Patience)
	defer cancel()
	must(h.t, h.build.Close(ctx))
	h.letGo(ctx)
	must(h.t, os.RemoveAll(h.roots.State))
	must(h.t, os.RemoveAll(h.roots.Run))
	dir := filepath.Join(filepath.Dir(h.roots.State), "elsewhere")
	must(h.t, os.MkdirAll(dir, 0o755))
	must(h.t, os.Rename(h.context, filepath.Join(dir, "context")))
	h.roots, h.context = roots.Roots{State: filepath.Join(dir, "state"), Run: filepath.Join(dir, "run")}, filepath.Join(dir, "context")
	h.open()
	h.load(busybox(h.t))
}

func to(text string) func(*build.Request) {
	return func(r *build.Request) {
		p, _, err := buildcache.To(text)
		if err != nil {
			panic(err)
		}
		r.CacheTo = append(r.CacheTo, p)
	}
}

func from(text string) func(*build.Request) {
	return func(r *build.Request) {
		p, _, err := buildcache.From(text)
		if err != nil {
			panic(err)
		}
		r.CacheFrom = append(r.CacheFrom, p)
	}
}

// done are the steps that were carried out, but for FROM and what is no step.
func (p *told) done() string {
	var out []string
	for _, x := range p.list {
		if x.Phase == build.Done && x.Step > 1 {
			out = append(out, x.Text)
		}
	}
	return strings.Join(out, "; ")
}

// random is a step that comes out otherwise each time it is done.
const random = "dd if=/dev/urandom bs=16 count=1 2>/dev/null | sha256sum"

// twoStages has a stage whose layers are not the image's.
const twoStages = "FROM busybox AS make\nWORKDIR /src\nCOPY src .\nRUN " + random + " >/tool\nRUN cat a /tool >/out\n" +
	"FROM busybox\nRUN " + random + " >/base\nCOPY --from=make /out /out\nRUN cat /out /base >/all\n"

// TestCacheElsewhere: what one host has built another one takes from the cache, whatever kind that is: no command runs, and the image is the same to the digit.
func TestCacheElsewhere(t *testing.T) {
	h := newHost(t)
	h.write("src/a", "a")
	dir := t.TempDir()
	reg := registry.Empty(t, "", "")
	for _, c := range []struct{ name, to, from string }{
		{"local", "type=local,dest=" + dir + "/new/cache,mode=max", "type=local,src=" + dir + "/new/cache"},
		{"local, min", "type=local,dest=" + dir + "/min", "type=local,src=" + dir + "/min"},
		{"registry", "type=registry,ref=" + reg.Host + "/app:cache,mode=max", reg.Host + "/app:cache"},
		{"registry, min", reg.Host + "/min", "type=registry,ref=" + reg.Host + "/min"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.t = t
			first, p := h.make(twoStages, to(c.to), func(r *build.Request) { r.NoCache = true })
			if w := p.warnings(); len(w) > 0 {
				t.Errorf("warnings: %q", w)
			}
			h.elsewhere()
			again, p := h.make(twoStages, from(c.from))
			if got := p.done(); got != "" {
				t.Errorf("these steps were done again: %s", got)
			}
			if w := p.warnings(); len(w) > 0 {
				t.Errorf("warnings: %q", w)
			}
			if first.ID != again.ID {
				t.Errorf("the image is %s, elsewhere it is %s", first.ID, again.ID)
			}
			if got := strings.Join(h.files(again.ID, "/"), "\n"); !strings.Contains(got, " /all") {
				t.Errorf("the image's files are\n%s", got)
			}
		})
	}
}

// TestCacheInline: the cache is in the image, and nothing else has to be kept.
func TestCacheInline(t *testing.T) {
	h := newHost(t)
	h.write("src/a", "a")
	reg := registry.Empty(t, "", "")
	ref := reg.Host + "/app:1"
	tag := func(r *build.Request) { r.Tags = []string{ref} }
	plain, _ := h.make(twoStages, tag)
	first, _ := h.make(twoStages, tag, to("type=inline"))
	if plain.ID == first.ID {
		t.Error("an image with its cache has the same id as one without: it is not in there")
	}
	_, err := h.images.Push(context.Background(), ref, image.PushOptions{}, nil)
	must(t, err)
	h.elsewhere()
	again, p := h.make(twoStages, from(ref), to("type=inline"))
	if got := p.done(); got != "" || first.ID != again.ID {
		t.Errorf("steps that were done again: %s; the image was %s and is %s", got, first.ID, again.ID)
	}
	// An image without a cache is told, and no fault.
	must(t, h.images.Delete(context.Background(), again.ID.String()))
	h.elsewhere()
	h.make(twoStages, tag)
	_, err = h.images.Push(context.Background(), ref, image.PushOptions{}, nil)
	must(t, err)
	h.elsewhere()
	_, p = h.make(twoStages, from(ref))
	if w := p.warnings(); len(w) != 1 || !strings.Contains(w[0], "cache "+ref+" is not used: it has no build cache") || p.done() == "" {
		t.Errorf("warnings: %q, steps: %s", w, p.done())
	}
}

// TestCacheModes: what of a cache is of use when something has changed depends on which layers it has; the others are made again, without a fault.
func TestCacheModes(t *testing.T) {
	h := newHost(t)
	dir := t.TempDir()
	// As in real ones, what is costly comes before what changes.
	text := strings.Replace(twoStages, "COPY src .\nRUN "+random+" >/tool\n", "RUN "+random+" >/tool\nCOPY src .\n", 1)
	const changed = "COPY src .; RUN cat a /tool >/out; COPY --from=make /out /out; RUN cat /out /base >/all"
	for mode, want := range map[string]string{
		// The layers of the first stage are not in the image.
		"min": "WORKDIR /src; RUN " + random + " >/tool; " + changed,
		"max": changed,
	} {
		t.Run(mode, func(t *testing.T) {
			h.t = t
			h.write("src/a", "a")
			h.make(text, to("type=local,dest="+dir+",mode="+mode), func(r *build.Request) { r.NoCache = true })
			h.elsewhere()
			h.write("src/a", "b")
			_, p := h.make(text, from("type=local,src="+dir))
			if got := p.done(); got != want {
				t.Errorf("done again were %s\nexpected %s", got, want)
			}
			h.elsewhere()
		})
	}
}

// TestCacheOfTheLastStep: only what has changed is done, and only the layers below it are fetched.
func TestCacheOfTheLastStep(t *testing.T) {
	h := newHost(t)
	h.write("src/a", "a")
	reg := registry.Empty(t, "", "")
	ref := reg.Host + "/app:cache"
	h.make(twoStages, to("type=registry,ref="+ref+",mode=max"))
	layers := reg.Count("PUT", "/blobs/uploads/") - 1 // less the configuration
	h.elsewhere()
	before := reg.Count("GET", "/blobs/")
	_, p := h.make(twoStages+"RUN echo new >/new\n", from(ref))
	if got := p.done(); got != "RUN echo new >/new" {
		t.Errorf("done was %s", got)
	}
	// The configuration, and the three layers of the image: of the other stage's four, one of which is the same, none.
	if got := reg.Count("GET", "/blobs/") - before; got != 4 || layers != 6 {
		t.Errorf("of %d layers and a configuration %d were fetched, expected 4 of 6+1", layers, got)
	}
}

// TestCacheDamaged: a cache that cannot be read, or a part of it, costs work and is told, and the next time it is whole.
func TestCacheDamaged(t *testing.T) {
	h := newHost(t)
	h.write("src/a", "a")
	dir := t.TempDir()
	at := "type=local,dest=" + dir + ",mode=max"
	blobs := func() []string {
		list, err := filepath.Glob(filepath.Join(dir, "blobs/sha256/*"))
		must(t, err)
		return list
	}
	h.make(twoStages, to(at))
	h.elsewhere()
	for _, path := range blobs() { // the layers: the others are JSON
		b, err := os.ReadFile(path)
		must(t, err)
		if b[0] == '{' {
			continue
		}
		b[len(b)/2] ^= 1
		must(t, os.WriteFile(path, b, 0o644))
	}
	_, p := h.make(twoStages, from("type=local,src="+dir), to(at))
	w := strings.Join(p.warnings(), "\n")
	if !strings.Contains(w, "of cache "+dir+" cannot be used") || !strings.Contains(w, "is done again") {
		t.Errorf("warnings: %s", w)
	}
	if got := p.done(); !strings.Contains(got, "RUN cat /out /base >/all") {
		t.Errorf("done was %s", got)
	}
	h.elsewhere()
	if _, p = h.make(twoStages, from("type=local,src="+dir)); p.done() != "" || len(p.warnings()) > 0 {
		t.Errorf("after it was written again: %s, %q", p.done(), p.warnings())
	}

	h.elsewhere()
	must(t, os.WriteFile(filepath.Join(dir, "index.json"), []byte("{"), 0o644))
	_, p = h.make(twoStages, from("type=local,src="+dir))
	if w := p.warnings(); len(w) != 1 || !strings.Contains(w[0], "cache "+dir+" is not used: ") || p.done() == "" {
		t.Errorf("without an index: %q, %s", w, p.done())
	}
	n := len(blobs())
	h.make(twoStages, to(at), func(r *build.Request) { r.NoCache = true })
	h.make(twoStages, to(at), func(r *build.Request) { r.NoCache = true })
	if len(blobs()) != n {
		t.Errorf("there were %d blobs and are %d: what is not needed any more is to go", n, len(blobs()))
	}
}

// TestCacheNotWritten: a cache that cannot be written is a fault, unless the user says otherwise.
func TestCacheNotWritten(t *testing.T) {
	h := newHost(t)
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	if got := h.refused("FROM busybox\nRUN true\n", to("type=local,dest="+file)); !strings.Contains(got, "cannot write cache "+file) {
		t.Error(got)
	}
	_, p := h.make("FROM busybox\nRUN true\n", to("type=local,ignore-error=true,dest="+file))
	if w := p.warnings(); len(w) != 1 || !strings.Contains(w[0], "cache "+file+" is not written") {
		t.Errorf("warnings: %q", w)
	}
	_, p = h.make("FROM busybox\nRUN echo offline\n", from("registry.invalid/cache"), to("registry.invalid/cache"), func(r *build.Request) { r.Offline = true })
	if w := p.warnings(); len(w) != 2 || !strings.Contains(w[0], "nothing is fetched offline") || !strings.Contains(w[1], "no registry is asked offline") {
		t.Errorf("offline: %q", w)
	}
}

// TestCacheNotNeeded: who has all of it on this host, or wants nothing of the kind, asks no cache.
func TestCacheNotNeeded(t *testing.T) {
	h := newHost(t)
	nothing := from("type=local,src=" + t.TempDir() + "/nothing")
	_, p := h.make("FROM busybox\nRUN true\n", nothing)
	if w := p.warnings(); len(w) != 1 || !strings.Contains(w[0], "no such file or directory") {
		t.Errorf("of a cache that is not there: %q", w)
	}
	for _, noCache := range []bool{false, true} {
		if _, p = h.make("FROM busybox\nRUN true\n", nothing, func(r *build.Request) { r.NoCache = noCache }); len(p.warnings()) > 0 {
			t.Errorf("it was asked: %q", p.warnings())
		}
	}
}

// TestCacheIsTheOwners: what is written belongs to who has the directory, and everybody may read it.
func TestCacheIsTheOwners(t *testing.T) {
	h := newHost(t)
	dir := t.TempDir()
	must(t, os.Chown(dir, 1000, 1001))
	h.make("FROM busybox\nRUN true\nRUN echo a >/a\n", to("type=local,dest="+dir+"/a/b"))
	var seen []string
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		must(t, err)
		st := info.Sys().(*syscall.Stat_t)
		if st.Uid != 1000 || st.Gid != 1001 || info.Mode()&0o044 != 0o044 {
			t.Errorf("%s has %v and belongs to %d:%d", path, info.Mode(), st.Uid, st.Gid)
		}
		seen = append(seen, filepath.Base(path))
		return nil
	}))
	for _, name := range []string{"oci-layout", "index.json", "blobs"} {
		if !slices.Contains(seen, name) {
			t.Errorf("there is no %s among %q", name, seen)
		}
	}
}
