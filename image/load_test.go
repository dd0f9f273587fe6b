package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/stackrun/stack/image/progress"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/sandbox"
)

func dockerArchive(t testing.TB, tag string, img v1.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tarball.Write(must(name.NewTag(tag)), img, &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// ociArchive is a layout with one index entry for each image, as a tar stream.
func ociArchive(t testing.TB, annotations map[string]string, images ...v1.Image) []byte {
	t.Helper()
	dir := t.TempDir()
	p := must(layout.Write(dir, empty.Index))
	for _, img := range images {
		if err := p.AppendImage(img, layout.WithAnnotations(annotations)); err != nil {
			t.Fatal(err)
		}
	}
	return tarOfDir(t, dir)
}

func tarOfDir(t testing.TB, dir string) []byte {
	t.Helper()
	var entries []layertest.Entry
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		entries = append(entries, layertest.File("./"+must(filepath.Rel(dir, path)), string(b)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return layertest.Tar(t, entries...)
}

func TestLoad(t *testing.T) {
	sandbox.Require(t)
	img := imageOf(t, layerOf(t, layertest.File("a", "1")), layerOf(t, layertest.File("b", "2")))
	pack := func(w func(io.Writer) io.WriteCloser, b []byte) []byte {
		var out bytes.Buffer
		c := w(&out)
		c.Write(b)
		c.Close()
		return out.Bytes()
	}
	docker := dockerArchive(t, "shop/api:2", img)
	for name, raw := range map[string][]byte{
		"docker":          docker,
		"docker, gzip":    pack(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, docker),
		"docker, zstd":    pack(func(w io.Writer) io.WriteCloser { return must(zstd.NewWriter(w)) }, docker),
		"oci, containerd": ociArchive(t, map[string]string{"io.containerd.image.name": "docker.io/shop/api:2", "org.opencontainers.image.ref.name": "2"}, img),
		"oci, ref name":   ociArchive(t, map[string]string{"org.opencontainers.image.ref.name": "shop/api:2"}, img),
		"oci and docker":  append(ociPrefix(t, img), docker...),
		"docker of plain": plainDockerArchive(t, "shop/api:2", img),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			var last Progress
			infos, err := s.Load(context.Background(), bytes.NewReader(raw), func(p Progress) { last = p })
			if err != nil {
				t.Fatal(err)
			}
			if len(infos) != 1 || len(infos[0].Refs) != 1 || infos[0].Refs[0] != "shop/api:2" || infos[0].ID != must(img.ConfigName()) {
				t.Errorf("loaded %+v", infos)
			}
			if last.Phase != progress.Done || last.Ref != "shop/api:2" {
				t.Errorf("last progress is %+v", last)
			}
			info, err := s.Resolve(context.Background(), "shop/api:2", v1.Platform{})
			if err != nil || info.Size != 2 || info.Config.Env[0] != "A=b" {
				t.Errorf("Resolve gives %+v, %v", info, err)
			}
			if left := must(filepath.Glob(s.dir.Path("tmp/*"))); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// ociPrefix is the layout part of an archive that docker save of version 25 writes: tar entries without the end.
func ociPrefix(t testing.TB, img v1.Image) []byte {
	b := ociArchive(t, nil, img)
	return b[:len(b)-1024]
}

// plainDockerArchive has uncompressed layers, one of them by a symbolic link, and the manifest last, as old docker
// save wrote it.
func plainDockerArchive(t testing.TB, tag string, img v1.Image) []byte {
	t.Helper()
	var entries []layertest.Entry
	var names []string
	for i, l := range must(img.Layers()) {
		file := string(rune('a'+i)) + "/layer.tar"
		entries = append(entries, layertest.File("store/"+file, string(readAll(t, must(l.Uncompressed())))), layertest.Symlink(file, "../store/"+file))
		names = append(names, file)
	}
	entries = append(entries, layertest.File("c.json", string(must(img.RawConfigFile()))),
		layertest.File("manifest.json", string(must(json.Marshal([]map[string]any{{"Config": "c.json", "RepoTags": []string{tag}, "Layers": names}})))))
	return layertest.Tar(t, entries...)
}

func TestLoadRefused(t *testing.T) {
	sandbox.Require(t)
	img := imageOf(t, layerOf(t, layertest.File("a", "1")))
	docker := dockerArchive(t, "app:1", img)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("host secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	manifest := func(config string, layers ...string) layertest.Entry {
		return layertest.File("manifest.json", string(must(json.Marshal([]map[string]any{{"Config": config, "Layers": layers}}))))
	}
	config := string(must(img.RawConfigFile()))
	for name, c := range map[string]struct {
		raw  []byte
		want string
	}{
		"empty":             {nil, "the input is empty"},
		"not tar":           {[]byte(strings.Repeat("no tar at all ", 100)), "not an image archive"},
		"short text":        {[]byte("hello\n"), "not an image archive"},
		"gzipped text":      {gzipped(t, "hello\n"), "not an image archive"},
		"cut":               {docker[:len(docker)/2], "cut off"},
		"no manifest":       {layertest.Tar(t, layertest.File("readme", "hi")), "neither manifest.json nor index.json"},
		"config by symlink": {layertest.Tar(t, layertest.Symlink("c.json", secret), manifest("c.json")), `has no "c.json"`},
		"config by path":    {layertest.Tar(t, manifest(secret)), "has no"},
		"config by ..":      {layertest.Tar(t, manifest("../../../../../.."+secret)), "has no"},
		"layer by symlink":  {layertest.Tar(t, layertest.File("c.json", config), layertest.Symlink("l.tar", secret), manifest("c.json", "l.tar")), `has no "l.tar"`},
		"symlink loop":      {layertest.Tar(t, layertest.Symlink("c.json", "d.json"), layertest.Symlink("d.json", "c.json"), manifest("c.json")), `has no "c.json"`},
		"layer count":       {layertest.Tar(t, layertest.File("c.json", config), manifest("c.json")), "0 layers"},
		"wrong layer":       {layertest.Tar(t, layertest.File("c.json", config), layertest.File("l.tar", string(layertest.Tar(t, layertest.File("a", "2")))), manifest("c.json", "l.tar")), "its digest is"},
		"cut xz":            {[]byte{0xfd, '7', 'z', 'X', 'Z', 0, 0, 0}, "xz"},
		"bad tag":           {dockerWithTag(t, img, "UPPER"), "lower case"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			_, err := s.Load(context.Background(), bytes.NewReader(c.raw), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, expected %q in it", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "host secret") {
				t.Errorf("the error has a file of the host: %v", err)
			}
			nothingLeft(t, s)
		})
	}
}

func dockerWithTag(t testing.TB, img v1.Image, tag string) []byte {
	return plainDockerArchive(t, tag, img)
}

// TestLoadMovesTag: the newer image has the name, the older one stays without until it is pruned.
func TestLoadMovesTag(t *testing.T) {
	sandbox.Require(t)
	ctx := context.Background()
	s := newStore(t)
	old := imageOf(t, layerOf(t, layertest.File("a", "1")))
	next := imageOf(t, layerOf(t, layertest.File("a", "2")))
	for _, img := range []v1.Image{old, next} {
		if _, err := s.Load(ctx, bytes.NewReader(dockerArchive(t, "app:1", img)), nil); err != nil {
			t.Fatal(err)
		}
	}
	info, err := s.Resolve(ctx, "app:1", v1.Platform{})
	if err != nil || info.ID != must(next.ConfigName()) {
		t.Errorf("app:1 is %v, %v", info.ID, err)
	}
	if _, err := s.Prepare(ctx, "c", must(old.ConfigName())); err != nil {
		t.Errorf("the old image: %v", err)
	}
	if p, err := s.Prune(ctx); err != nil || len(p.Images) != 0 {
		t.Errorf("Prune removed %v, %v while a snapshot uses it", p.Images, err)
	}
	if err := s.Remove(ctx, "c"); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Prune(ctx); err != nil || len(p.Images) != 1 || p.Bytes != 1 {
		t.Errorf("Prune removed %+v, %v", p, err)
	}
	if _, err := s.Resolve(ctx, "app:1", v1.Platform{}); err != nil {
		t.Error(err)
	}
	if layers := must(filepath.Glob(s.dir.Path("layers/sha256/*"))); len(layers) != 1 {
		t.Errorf("layers are %v", layers)
	}
}

func TestDelete(t *testing.T) {
	sandbox.Require(t)
	ctx := context.Background()
	s := newStore(t)
	img := imageOf(t, layerOf(t, layertest.File("a", "1")))
	for _, tag := range []string{"app:1", "app:2"} {
		if _, err := s.Load(ctx, bytes.NewReader(dockerArchive(t, tag, img)), nil); err != nil {
			t.Fatal(err)
		}
	}
	id := must(img.ConfigName())
	if _, err := s.Prepare(ctx, "c1", id); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, "app:1"); err != nil {
		t.Errorf("one of two names: %v", err)
	}
	for _, ref := range []string{"app:2", id.String(), id.Hex[:12]} {
		if err := s.Delete(ctx, ref); !errors.Is(err, errdefs.ErrConflict) || !strings.Contains(err.Error(), "c1") {
			t.Errorf("Delete(%s) while c1 uses it: %v", ref, err)
		}
	}
	if err := s.Remove(ctx, "c1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(ctx, "app:2"); err != nil {
		t.Error(err)
	}
	if err := s.Delete(ctx, "app:2"); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
	if err := s.Settle(ctx); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"layers/*/*", "blobs/*/*", "tmp/*"} {
		if left := must(filepath.Glob(s.dir.Path(pattern))); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

func TestSnapshotKeys(t *testing.T) {
	s := newStore(t)
	for _, key := range []string{"", "..", "a/b", ".hidden", strings.Repeat("k", 200)} {
		if _, err := s.Prepare(context.Background(), key, v1.Hash{}); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("Prepare(%q): %v", key, err)
		}
		if err := s.Remove(context.Background(), key); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("Remove(%q): %v", key, err)
		}
	}
}

// TestPrepareHalfMade: a snapshot that was cut off while it was made is made anew.
func TestPrepareHalfMade(t *testing.T) {
	sandbox.Require(t)
	ctx := context.Background()
	s := newStore(t)
	infos, err := s.Load(ctx, bytes.NewReader(dockerArchive(t, "app:1", imageOf(t, layerOf(t, layertest.File("a", "1"))))), nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := rootsOf(s).InState("snapshots", "c")
	if err := os.MkdirAll(filepath.Join(dir, "upper", "rest"), 0o755); err != nil {
		t.Fatal(err)
	}
	first, err := s.Prepare(ctx, "c", infos[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(first[0].Upper, "written"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prepare(ctx, "c", infos[0].ID); err != nil {
		t.Fatal(err)
	}
	names := must(filepath.Glob(filepath.Join(first[0].Upper, "*")))
	if len(names) != 2 || filepath.Base(names[0]) != ".dockerenv" || filepath.Base(names[1]) != "written" {
		t.Errorf("the upper directory has %v, expected what every root has and what was written after it was whole", names)
	}
	if keys, err := s.Snapshots(ctx); err != nil || len(keys) != 1 || keys[0] != "c" {
		t.Errorf("snapshots are %v, %v", keys, err)
	}
}

func gzipped(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
