package recipe_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/image/recipe"
	"github.com/stackrun/stack/image/unpack"
	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

// remember unpacks stream and returns the recipe, with where the files are.
func remember(t testing.TB, stream []byte, limit int64) (rec []byte, root string, err error) {
	t.Helper()
	root = t.TempDir()
	var out bytes.Buffer
	c, err := recipe.NewRecorder(&out, limit)
	if err != nil {
		t.Fatal(err)
	}
	in := c.Tee(bytes.NewReader(stream))
	if _, err := unpack.Layer(context.Background(), root, in, unpack.Options{Contents: c}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		t.Fatal(err)
	}
	err = c.Close()
	if c.Total() != int64(len(stream)) {
		t.Errorf("a stream of %d bytes is said to have %d", len(stream), c.Total())
	}
	return out.Bytes(), root, err
}

func file(format tar.Format, name, body string) layertest.Entry {
	return layertest.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o640, Format: format, Uname: "somebody", ModTime: time.Unix(1e9, 0)}, Body: body}
}

func noise(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// TestAgain: the stream that comes out is the one that went in, however it was written, and what is remembered of it is little.
func TestAgain(t *testing.T) {
	sandbox.Require(t)
	long := strings.Repeat("long/", 60) + "name"
	withXattr := file(tar.FormatPAX, "x", "y")
	withXattr.PAXRecords = map[string]string{"SCHILY.xattr.user.a": "b"}
	plain := layertest.Tar(t, layertest.File("a", "b"))
	for name, stream := range map[string][]byte{
		"empty":              layertest.Tar(t),
		"kinds of entries":   layertest.Tar(t, layertest.Dir("d", 0o755), layertest.File("d/f", "f"), layertest.Link("d/h", "d/f"), layertest.Symlink("d/s", "f"), layertest.File("d/.wh.gone", ""), layertest.File("d/empty", "")),
		"forms of headers":   layertest.Tar(t, file(tar.FormatUSTAR, "u", "u"), file(tar.FormatPAX, "p", "p"), file(tar.FormatGNU, "g", "g"), file(tar.FormatGNU, long+"1", "1"), file(tar.FormatPAX, long+"2", "2"), withXattr),
		"names that climb":   layertest.Tar(t, layertest.File("../../a", "1"), layertest.File("./b", "2"), layertest.File("/c", "3")),
		"through a link":     layertest.Tar(t, layertest.Dir("run", 0o755), layertest.Symlink("var", "run"), layertest.File("var/pid", "17")),
		"large":              layertest.Tar(t, layertest.File("a", noise(3<<20)), layertest.File("b", noise(777)), layertest.File("zeros", strings.Repeat("\x00", 1<<20))),
		"no end":             plain[:len(plain)-1024],
		"more after the end": append(bytes.Clone(plain), []byte(noise(200000))...),
		"an old tar's end":   append(bytes.Clone(plain), make([]byte, 8192)...),
	} {
		t.Run(name, func(t *testing.T) {
			rec, root, err := remember(t, stream, 0)
			if err != nil {
				t.Fatal(err)
			}
			var again bytes.Buffer
			if err := recipe.Rebuild(t.Context(), &again, bytes.NewReader(rec), root); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again.Bytes(), stream) {
				t.Errorf("%d bytes came out, another stream than the %d that went in", again.Len(), len(stream))
			}
			if name == "large" && len(rec) > 4096 {
				t.Errorf("the recipe of three files has %d bytes: it has their content", len(rec))
			}
		})
	}
}

// TestNotAgain: what cannot be put together is told, and nothing beside the root is read.
func TestNotAgain(t *testing.T) {
	sandbox.Require(t)
	stream := layertest.Tar(t, layertest.Dir("d", 0o755), layertest.File("d/f", "content"))
	rec, root, err := remember(t, stream, 0)
	if err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(outside, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(root, "d/f")
	for name, damage := range map[string]func() error{
		"a link in its place": func() error { return os.Symlink(outside, at) },
		"a link on the way": func() error {
			return errors.Join(os.Remove(filepath.Dir(at)), os.Symlink(filepath.Dir(outside), filepath.Dir(at)))
		},
		"another size": func() error {
			return errors.Join(os.Remove(filepath.Dir(at)), os.Mkdir(filepath.Dir(at), 0o755), os.WriteFile(at, []byte("more content"), 0o600))
		},
		"a directory": func() error { return os.Mkdir(at, 0o755) },
		"nothing":     func() error { return nil },
	} {
		if err := os.RemoveAll(at); err != nil {
			t.Fatal(err)
		}
		if err := damage(); err != nil {
			t.Fatal(name, err)
		}
		if err := recipe.Rebuild(t.Context(), io.Discard, bytes.NewReader(rec), root); !errors.Is(err, recipe.ErrDiffers) {
			t.Errorf("%s: %v", name, err)
		}
		os.Remove(at) //nolint:errcheck // the next one says it
		if fi, err := os.Lstat(filepath.Dir(at)); err == nil && fi.Mode()&os.ModeSymlink != 0 {
			os.Remove(filepath.Dir(at))       //nolint:errcheck
			os.Mkdir(filepath.Dir(at), 0o755) //nolint:errcheck
		}
	}
	for n := range len(rec) {
		if err := recipe.Rebuild(t.Context(), io.Discard, bytes.NewReader(rec[:n]), root); !errors.Is(err, recipe.ErrDiffers) {
			t.Fatalf("cut off after %d of %d bytes: %v", n, len(rec), err)
		}
	}
}

// TestTooMuch: what of a stream is no file's has a bound.
func TestTooMuch(t *testing.T) {
	sandbox.Require(t)
	stream := append(layertest.Tar(t, layertest.File("a", "b")), []byte(noise(100000))...)
	if _, _, err := remember(t, stream, 50000); !errors.Is(err, recipe.ErrNoRecipe) {
		t.Errorf("100000 bytes behind the end are remembered where 50000 are the limit: %v", err)
	}
}

// FuzzRebuild: no recipe reads beside the root, or takes memory by its word.
func FuzzRebuild(f *testing.F) {
	root := f.TempDir()
	if err := os.WriteFile(filepath.Join(root, "f"), []byte("content"), 0o600); err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{{1, 1, 'x', 3}, {2, 7, 1, 'f', 3}, {2, 7, 4, '.', '.', '/', 'f', 3}, {1, 0xff, 0xff, 0xff, 0xff, 0x7f}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, records []byte) {
		var packed bytes.Buffer
		if err := recipe.Pack(&packed, records); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		err := recipe.Rebuild(t.Context(), &out, &packed, root)
		if err == nil && len(records) == 0 {
			t.Error("a recipe without an end is one")
		}
		if out.Len() > 8*len(records)+7 {
			t.Errorf("%d bytes out of %d", out.Len(), len(records))
		}
	})
}
