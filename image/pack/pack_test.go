package pack

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

// TestDiffOfLive: whatever a container does to its files while they are read, each in the moment between the look at it and the opening, the stream
// is a whole one and has nothing of the host.
func TestDiffOfLive(t *testing.T) {
	sandbox.Require(t)
	dir := t.TempDir()
	upper, host := filepath.Join(dir, "upper"), filepath.Join(dir, "host")
	for _, d := range []string{upper, host, filepath.Join(upper, "dir"), filepath.Join(upper, "nodir")} {
		noError(t, os.Mkdir(d, 0o755))
	}
	write := func(path, text string) { noError(t, os.WriteFile(path, []byte(text), 0o600)) }
	for _, name := range []string{"dir/shadow", "gone", "grows", "link", "pipe", "shrinks"} {
		write(filepath.Join(upper, name), "content")
	}
	write(filepath.Join(host, "shadow"), "SECRET")
	at := func(name string) string { return filepath.Join(upper, name) }
	replace := func(name string, by func(path string) error) error {
		return errors.Join(os.Rename(at(name), filepath.Join(dir, "was-"+name)), by(at(name)))
	}
	link := func(to string) func(string) error { return func(path string) error { return os.Symlink(to, path) } }
	meanwhile := map[string]func() error{
		"dir": func() error { return replace("dir", link(host)) },
		"nodir": func() error {
			return replace("nodir", func(path string) error { return os.WriteFile(path, nil, 0o600) })
		},
		"gone":    func() error { return os.Remove(at("gone")) },
		"grows":   func() error { return os.WriteFile(at("grows"), []byte("more content"), 0o600) },
		"link":    func() error { return replace("link", link(filepath.Join(host, "shadow"))) },
		"pipe":    func() error { return replace("pipe", func(path string) error { return unix.Mkfifo(path, 0o600) }) },
		"shrinks": func() error { return os.Truncate(at("shrinks"), 3) },
	}
	var out bytes.Buffer
	d := &differ{
		ctx: t.Context(), root: upper, again: true, live: true, below: func(string) bool { return false },
		tar: tar.NewWriter(&out), links: map[uint64]string{}, buf: make([]byte, 1024),
	}
	d.skip = func(name string, _ *unix.Stat_t) bool {
		if do := meanwhile[name]; do != nil {
			noError(t, do())
		}
		return false
	}
	noError(t, d.run(false))
	if bytes.Contains(out.Bytes(), []byte("SECRET")) {
		t.Error("the stream has a file of the host")
	}
	got := map[string]string{}
	for r := tar.NewReader(&out); ; {
		hdr, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		noError(t, err)
		b, err := io.ReadAll(r)
		noError(t, err)
		got[hdr.Name] = string(b)
	}
	if want := map[string]string{"dir/": "", "nodir/": "", "grows": "more content", "shrinks": "con"}; !maps.Equal(got, want) {
		t.Errorf("the stream has %q, want %q", got, want)
	}

	// Shorter after it was opened: as long as its header says.
	out.Reset()
	d.tar = tar.NewWriter(&out)
	noError(t, d.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "x", Size: 7}))
	noError(t, d.content("x", strings.NewReader("con"), 7))
	noError(t, d.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "y", Size: 3}))
	noError(t, d.content("y", strings.NewReader("content"), 3))
	noError(t, d.tar.Close())
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
