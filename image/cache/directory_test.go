package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/manifest"
)

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// layout writes a layout with the blobs whose index names the last one, a manifest, latest. It returns the directory and the blobs' digests.
func layout(t *testing.T, blobs ...string) (string, []v1.Hash) {
	t.Helper()
	dir := t.TempDir()
	check(t, os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o755))
	var digests []v1.Hash
	for _, b := range blobs {
		d := content.Digest([]byte(b))
		check(t, os.WriteFile(filepath.Join(dir, blobPath(d)), []byte(b), 0o644))
		digests = append(digests, d)
	}
	index(t, dir, digests[len(digests)-1])
	return dir, digests
}

func index(t *testing.T, dir string, latest v1.Hash) {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(dir, indexFile), []byte(`{"schemaVersion":2,"manifests":[{"digest":"`+latest.String()+`","annotations":{"`+refAnnotation+`":"latest"}}]}`), 0o644))
}

func readLayout(t *testing.T, dir string) (*Contents, error) {
	t.Helper()
	d, err := openDirectory(dir, "latest")
	if err != nil {
		return nil, err
	}
	return read(t.Context(), d, dir, "latest")
}

func manifestOf(config string, media string, layers ...string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[%s]}`, media, content.Digest([]byte(config)), len(config), strings.Join(layers, ","))
}

// TestKinds: a cache of ours is read, in an image too; what is none says what it is.
func TestKinds(t *testing.T) {
	diff := "sha256:" + strings.Repeat("d", 64)
	layer := `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:` + strings.Repeat("e", 64) + `","size":1}`
	ours := `{"rootfs":{"type":"layers","diff_ids":["` + diff + `"]},"` + Field + `":{"a":1}}`
	image := `{"rootfs":{"type":"layers","diff_ids":["` + diff + `"]}}`
	const oci = "application/vnd.oci.image.config.v1+json"
	for _, c := range []struct {
		name  string
		blobs []string
		want  error
	}{
		{"ours", []string{ours, manifestOf(ours, string(Media), layer)}, nil},
		{"inline", []string{ours, manifestOf(ours, oci, layer)}, nil},
		{"an image without", []string{image, manifestOf(image, oci, layer)}, ErrNone},
		{"something else", []string{ours, manifestOf(ours, "application/vnd.cncf.helm.config.v1+json", layer)}, ErrNone},
		{"BuildKit's", []string{`{"mediaType":"application/vnd.oci.image.index.v1+json","schemaVersion":2,"manifests":[` + layer + `,{"mediaType":"` + string(mediaOfBuildKit) + `","digest":"` + diff + `","size":1}]}`}, ErrForeign},
		{"BuildKit's as a manifest", []string{ours, manifestOf(ours, string(mediaOfBuildKit), layer)}, ErrForeign},
		{"a layer too few", []string{ours, manifestOf(ours, string(Media))}, content.ErrUnusable},
		{"no manifest", []string{"x"}, nil},
	} {
		dir, _ := layout(t, c.blobs...)
		got, err := readLayout(t, dir)
		switch {
		case c.name == "no manifest":
			if err == nil {
				t.Errorf("%s was read", c.name)
			}
		case !errors.Is(err, c.want):
			t.Errorf("%s: %v, expected %v", c.name, err, c.want)
		case err == nil && (string(got.Document) != `{"a":1}` || !got.Has(hash(t, diff)) || got.Layer(hash(t, diff)).Size != 1):
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	dir, blobs := layout(t, ours, manifestOf(ours, string(Media), layer))
	d, err := openDirectory(dir, blobs[1].String())
	check(t, err)
	if got, err := read(t.Context(), d, dir, d.tag); err != nil || !got.Has(hash(t, diff)) {
		t.Errorf("by its digest: %+v, %v", got, err)
	}
	if _, err := readLayout(t, t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
}

func hash(t *testing.T, s string) v1.Hash {
	t.Helper()
	h, err := v1.NewHash(s)
	check(t, err)
	return h
}

// TestHostile: nothing in a directory leads out of it, or makes who reads it wait, and no other content is taken for a blob.
func TestHostile(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	text := manifestOf("{}", string(Media))
	check(t, os.WriteFile(secret, []byte(text), 0o600))
	dir, digests := layout(t, text)
	blob := filepath.Join(dir, blobPath(digests[0]))
	for what, make := range map[string]func() error{
		"a link that leads out": func() error { return os.Symlink(secret, blob) },
		"a pipe":                func() error { return unix.Mkfifo(blob, 0o644) },
		"a directory":           func() error { return os.Mkdir(blob, 0o755) },
		"another content":       func() error { return os.WriteFile(blob, []byte(text+" "), 0o644) },
	} {
		check(t, os.Remove(blob))
		check(t, make())
		if _, err := readLayout(t, dir); err == nil || !strings.Contains(err.Error(), "not usable") && !strings.Contains(err.Error(), "escapes") {
			t.Errorf("%s: %v", what, err)
		}
	}
	check(t, os.WriteFile(filepath.Join(dir, indexFile), []byte(`{"manifests":[{"digest":"sha256:../../../secret","annotations":{"`+refAnnotation+`":"latest"}}]}`), 0o644))
	if _, err := readLayout(t, dir); err == nil {
		t.Error("a digest that is a path was followed")
	}
}

// TestSweep: what the index leads to stays, whoever has put it there; the rest of the blobs goes. With a manifest that nobody can read nothing does.
func TestSweep(t *testing.T) {
	layer := `{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + content.Digest([]byte("layer")).String() + `","size":5}`
	dir, digests := layout(t, "layer", "conf", "stray", manifestOf("conf", string(Media), layer))
	check(t, os.WriteFile(filepath.Join(dir, blobs, unfinished+"1"), nil, 0o644))
	check(t, os.WriteFile(filepath.Join(dir, blobs, "README"), nil, 0o644))
	d, err := makeDirectory(dir, "mine", nil)
	check(t, err)
	defer d.close()
	mine := []byte(manifestOf("mine", string(Media)))
	check(t, d.Put(t.Context(), content.Digest([]byte("mine")), []byte("mine")))
	check(t, d.Name(t.Context(), manifest.Document{Raw: mine, Media: "application/vnd.oci.image.manifest.v1+json", Digest: content.Digest(mine)}))
	there := func(name string) bool { _, err := os.Lstat(filepath.Join(dir, blobs, name)); return err == nil }
	for i, want := range []bool{true, true, false, true} {
		if there(digests[i].Hex) != want {
			t.Errorf("blob %d is there: %t, expected %t", i, !want, want)
		}
	}
	if there(unfinished+"1") || !there("README") || !there(content.Digest(mine).Hex) || !there(content.Digest([]byte("mine")).Hex) {
		t.Error("what was not finished is to go, the rest is to stay")
	}

	check(t, d.write(func(w io.Writer) (string, error) {
		_, err := w.Write([]byte("{"))
		return blobPath(digests[3]), err
	}))
	check(t, d.writeFile(blobPath(digests[2]), []byte("stray")))
	check(t, d.Name(t.Context(), manifest.Document{Raw: mine, Media: "application/vnd.oci.image.manifest.v1+json", Digest: content.Digest(mine)}))
	if !there(digests[2].Hex) {
		t.Error("with a manifest that cannot be read a blob was removed")
	}
}
