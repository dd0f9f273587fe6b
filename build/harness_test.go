package build_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/stackrun/stack/build"
	"github.com/stackrun/stack/build/rootfs"
	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/network"
	"github.com/stackrun/stack/runtime"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(buildChild(dir))
	}
	if slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.fuzz=") || a == "-test.fuzzworker" }) {
		os.Exit(m.Run()) // a fuzzer and its workers find each other by descriptors, and touch nothing
	}
	os.Exit(sandbox.Main(m))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// host is one pair of roots with the rooms on it, in the sandbox, and a build context.
type host struct {
	t       testing.TB
	roots   roots.Roots
	images  *image.Store
	run     *runtime.Driver
	nets    *network.Driver
	build   *build.Builder
	context string
	notices []string
}

func newHost(t testing.TB) *host {
	t.Helper()
	sandbox.Require(t)
	dir, err := os.MkdirTemp("/run", "build-test-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	archive := busybox(t) // before the snapshot: it stays for other tests
	sandbox.LeavesNothing(t)
	h := &host{t: t, roots: roots.Roots{State: filepath.Join(dir, "state"), Run: filepath.Join(dir, "run")}, context: filepath.Join(dir, "context")}
	must(t, os.MkdirAll(h.context, 0o755))
	h.open()
	t.Cleanup(h.close)
	h.load(archive)
	return h
}

// open begins like a daemon.
func (h *host) open() {
	h.t.Helper()
	ctx := context.Background()
	notice := func(text string) { h.notices = append(h.notices, text) }
	var err error
	h.images, err = image.Open(ctx, image.Options{Roots: h.roots, Notice: notice})
	must(h.t, err)
	must(h.t, os.MkdirAll(h.roots.Run, 0o755))
	must(h.t, os.WriteFile(h.roots.InRun("resolv.conf"), []byte("nameserver 127.0.0.1\n"), 0o644))
	// Of a daemon that was killed a child that is about to execute may have the lock for a moment longer.
	sandbox.Eventually(h.t, "the networks to be free", func() bool {
		h.nets, err = network.New(ctx, network.Options{Roots: h.roots, ResolvConf: h.roots.InRun("resolv.conf")})
		return !errors.Is(err, errdefs.ErrConflict)
	})
	must(h.t, err)
	h.run, err = runtime.New(ctx, runtime.Options{Roots: h.roots, Notice: notice})
	must(h.t, err)
	h.build, err = build.New(ctx, build.Options{Roots: h.roots, Images: h.images, Containers: h.run, Networks: h.nets, Notice: notice})
	must(h.t, err)
}

// close ends like a daemon, and checks that builds have left nothing.
func (h *host) close() {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), sandbox.Patience)
	defer cancel()
	if h.nets == nil || h.run == nil {
		return // open has failed and says why
	}
	if err := h.build.Close(ctx); err != nil {
		h.t.Error(err)
	}
	left, err := h.build.Sweep(ctx, false)
	if err != nil || len(left) > 0 {
		h.t.Errorf("builds have left %q: %v", left, err)
	}
	h.letGo(ctx)
	if len(h.notices) > 0 {
		h.t.Errorf("notices: %q", h.notices)
	}
}

func (h *host) letGo(ctx context.Context) {
	h.t.Helper()
	for _, err := range []error{h.run.Close(), h.nets.Close(ctx), h.images.Close(ctx)} {
		if err != nil {
			h.t.Error(err)
		}
	}
}

func (h *host) load(archive []byte) {
	h.t.Helper()
	_, err := h.images.Load(context.Background(), bytes.NewReader(archive), nil)
	must(h.t, err)
}

var (
	busyboxOnce    sync.Once
	busyboxArchive []byte
	busyboxErr     error
)

// applets are what the tests' commands use.
const applets = "sh cat ls id echo sleep true false touch stat env readlink kill ps head wc grep tail mkdir rm ln cp mv chmod chown nslookup wget tar find sort mknod test [ pwd dd hostname ip mount nc sha256sum basename dirname printf"

// busybox is an archive of busybox:latest, as docker would save it.
func busybox(t testing.TB) []byte {
	t.Helper()
	tool := sandbox.Tool(t, "busybox")
	busyboxOnce.Do(func() {
		program, err := os.ReadFile(tool)
		if err != nil {
			busyboxErr = err
			return
		}
		files := []file{
			{name: "bin/", mode: 0o755}, {name: "etc/", mode: 0o755}, {name: "tmp/", mode: 0o1777}, {name: "root/", mode: 0o700}, {name: "home/", mode: 0o755}, {name: "run/", mode: 0o755},
			{name: "var/", mode: 0o755}, {name: "var/run", link: "/run"},
			{name: "bin/busybox", mode: 0o755, text: string(program)},
			{name: "etc/passwd", mode: 0o644, text: "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001::/home:/bin/sh\n"},
			{name: "etc/group", mode: 0o644, text: "root:x:0:\nweb:x:1001:\nstaff:x:50:\n"},
		}
		for _, n := range strings.Fields(applets) {
			files = append(files, file{name: "bin/" + n, link: "busybox"})
		}
		busyboxArchive, busyboxErr = archiveOf("busybox:latest", v1.Config{
			Env: []string{"PATH=/bin"}, Cmd: []string{"sh"},
		}, files)
	})
	must(t, busyboxErr)
	return busyboxArchive
}

// file is an entry of a layer: a directory when its name ends with a slash, a link when it has one.
type file struct {
	name, text, link string
	mode             int64
	uid, gid         int
}

func layerOf(files []file) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: f.mode, Uid: f.uid, Gid: f.gid, Size: int64(len(f.text)), Typeflag: tar.TypeReg}
		switch {
		case f.link != "":
			h.Typeflag, h.Linkname, h.Mode, h.Size = tar.TypeSymlink, f.link, 0o777, 0
		case strings.HasSuffix(f.name, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, f.text[:h.Size]); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), w.Close()
}

// archiveOf is an image of one layer, as docker would save it.
func archiveOf(ref string, config v1.Config, files []file) ([]byte, error) {
	raw, err := layerOf(files)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(raw)), nil })
	if err != nil {
		return nil, err
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	host := platform.Host()
	if img, err = mutate.ConfigFile(img, &v1.ConfigFile{OS: host.OS, Architecture: host.Architecture, Config: config, RootFS: mustConfig(img).RootFS}); err != nil {
		return nil, err
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	err = tarball.Write(tag, img, &buf)
	return buf.Bytes(), err
}

func mustConfig(img v1.Image) *v1.ConfigFile {
	c, err := img.ConfigFile()
	if err != nil {
		panic(err) // of an image in memory
	}
	return c
}

// write makes a file of the context, with the directories on the way.
func (h *host) write(name, text string) {
	h.t.Helper()
	path := filepath.Join(h.context, name)
	must(h.t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(h.t, os.WriteFile(path, []byte(text), 0o644))
}

// told is what a build has said.
type told struct {
	list   []build.Progress
	output strings.Builder
}

func (p *told) add(x build.Progress) {
	p.list = append(p.list, x)
	p.output.Write(x.Output)
}

// phases are the last phases of the steps whose text begins with one of the words, or of all: "RUN make: done".
func (p *told) phases() []string {
	var out []string
	for _, x := range p.list {
		if x.Phase == build.Cached || x.Phase == build.Done || x.Phase == build.Failed {
			verb, _, _ := strings.Cut(x.Text, " ")
			out = append(out, fmt.Sprintf("%s %s", verb, x.Phase))
		}
	}
	return out
}

func (p *told) warnings() []string {
	var out []string
	for _, x := range p.list {
		if x.Phase == build.Warning {
			out = append(out, x.Text)
		}
	}
	return out
}

// try builds dockerfile with what change says.
func (h *host) try(dockerfile string, change ...func(*build.Request)) (image.Info, *told, error) {
	h.t.Helper()
	return h.tryIn(context.Background(), dockerfile, change...)
}

func (h *host) tryIn(ctx context.Context, dockerfile string, change ...func(*build.Request)) (image.Info, *told, error) {
	h.t.Helper()
	r := build.Request{Context: h.context, Inline: dockerfile}
	for _, fn := range change {
		fn(&r)
	}
	p := new(told)
	info, err := h.build.Build(ctx, r, p.add)
	return info, p, err
}

// make builds dockerfile, which must do.
func (h *host) make(dockerfile string, change ...func(*build.Request)) (image.Info, *told) {
	h.t.Helper()
	info, p, err := h.try(dockerfile, change...)
	if err != nil {
		h.t.Fatalf("%v\n%s", err, p.output.String())
	}
	return info, p
}

// refused says why dockerfile cannot be built.
func (h *host) refused(dockerfile string, change ...func(*build.Request)) string {
	h.t.Helper()
	_, _, err := h.try(dockerfile, change...)
	if err == nil {
		h.t.Fatalf("this was built, and should not have been:\n%s", dockerfile)
	}
	return err.Error()
}

func (h *host) config(id v1.Hash) *v1.ConfigFile {
	h.t.Helper()
	c, err := h.images.ConfigFile(context.Background(), id)
	must(h.t, err)
	return c
}

// files lists what the image has below dir, but for what busybox has: "0644 0:0 /app/x = text".
func (h *host) files(id v1.Hash, dir string) []string {
	h.t.Helper()
	ctx := context.Background()
	key := "test-" + id.Hex[:20]
	mounts, err := h.images.PrepareLayers(ctx, key, h.config(id).RootFS.DiffIDs)
	must(h.t, err)
	defer func() { must(h.t, h.images.Remove(ctx, key)) }()
	root, err := rootfs.Mount(mounts[0])
	must(h.t, err)
	defer root.Close()
	return listing(h.t, root, dir)
}

// has checks what is below dir of the image.
func (h *host) has(id v1.Hash, dir string, want ...string) {
	h.t.Helper()
	if got := h.files(id, dir); !slices.Equal(got, want) {
		h.t.Errorf("below %s there is\n%s\nexpected\n%s", dir, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
