package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
)

// TestFullDiskIsToldOnce however many look at the error on its way.
func TestFullDiskIsToldOnce(t *testing.T) {
	dir := t.TempDir()
	err := diskError(dir, fmt.Errorf("cannot do it: %w", diskError(dir, &os.PathError{Op: "mkdir", Path: "x", Err: unix.ENOSPC})))
	if n := strings.Count(err.Error(), "free some"); n != 1 || !errors.Is(err, unix.ENOSPC) || !errors.Is(err, errdefs.ErrUnavailable) {
		t.Errorf("told %d times: %v", n, err)
	}
}

// TestDiffOfLive: whatever a container does to its files while they are read, each in the moment between the look at it and the opening, the stream
// is a whole one and has nothing of the host.
func TestDiffOfLive(t *testing.T) {
	sandbox.Require(t)
	dir := t.TempDir()
	upper, host := filepath.Join(dir, "upper"), filepath.Join(dir, "host")
	for _, d := range []string{upper, host, filepath.Join(upper, "dir"), filepath.Join(upper, "nodir")} {
		check(t, os.Mkdir(d, 0o755))
	}
	write := func(path, text string) { check(t, os.WriteFile(path, []byte(text), 0o600)) }
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
			check(t, do())
		}
		return false
	}
	check(t, d.run(false))
	if bytes.Contains(out.Bytes(), []byte("SECRET")) {
		t.Error("the stream has a file of the host")
	}
	got := map[string]string{}
	for r := tar.NewReader(&out); ; {
		hdr, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		b, err := io.ReadAll(r)
		check(t, err)
		got[hdr.Name] = string(b)
	}
	if want := map[string]string{"dir/": "", "nodir/": "", "grows": "more content", "shrinks": "con"}; !maps.Equal(got, want) {
		t.Errorf("the stream has %q, want %q", got, want)
	}

	// Shorter after it was opened: as long as its header says.
	out.Reset()
	d.tar = tar.NewWriter(&out)
	check(t, d.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "x", Size: 7}))
	check(t, d.content("x", strings.NewReader("con"), 7))
	check(t, d.tar.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "y", Size: 3}))
	check(t, d.content("y", strings.NewReader("content"), 3))
	check(t, d.tar.Close())
}
