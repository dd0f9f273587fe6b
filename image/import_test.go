package image

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/stackrun/stack/image/content"
	"github.com/stackrun/stack/image/platform"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/sandbox"
)

// TestImport: a root file system becomes an image that is as any other; what is none becomes nothing.
func TestImport(t *testing.T) {
	sandbox.Require(t)
	s := newStore(t)
	tarred := layertest.Tar(t, layertest.Dir("bin", 0o755), layertest.File("bin/sh", "program"))
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(tarred)
	z.Close()
	change := func(c *v1.Config) error { c.Cmd = []string{"sh"}; return nil }
	for _, form := range [][]byte{tarred, zipped.Bytes()} {
		info, err := s.Import(t.Context(), bytes.NewReader(form), v1.Platform{}, change, "from somewhere", "root:1")
		check(t, err)
		conf, err := s.ConfigFile(t.Context(), info.ID)
		check(t, err)
		if conf.RootFS.DiffIDs[0] != content.Digest(tarred) || conf.Config.Cmd[0] != "sh" || conf.History[0].Comment != "from somewhere" || conf.Architecture != platform.Host().Architecture {
			t.Errorf("%+v", conf)
		}
		if b, err := os.ReadFile(filepath.Join(s.layers.FS(conf.RootFS.DiffIDs[0]), "bin/sh")); err != nil || string(b) != "program" {
			t.Errorf("%q, %v", b, err)
		}
	}
	small := newStore(t, func(o *Options) { o.Limits.Bytes = 100 })
	for what, text := range map[string][]byte{"no tar": []byte("hello, this is no tar stream, and it is longer than the header that is looked for first......"), "too large": layertest.Tar(t, layertest.File("f", string(make([]byte, 1000)))), "cut off": tarred[:1027]} {
		store := s
		if what == "too large" {
			store = small
		}
		if _, err := store.Import(t.Context(), bytes.NewReader(text), v1.Platform{}, change, "", "root:2"); !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := s.Resolve(t.Context(), "root:2", v1.Platform{}); !errors.Is(err, errdefs.ErrNotFound) {
		t.Errorf("what was refused: %v", err)
	}
}
