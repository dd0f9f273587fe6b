package unpack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/unpack"
	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

type entry struct {
	tar.Header
	body string
}

func dir(name string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: time.Unix(1e9, 0)}}
}
func file(name, body string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, ModTime: time.Unix(1e9, 0)}, body}
}
func hard(name, target string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}}
}
func soft(name, target string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}}
}

func stream(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := e.Header
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(e.body))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func layer(t testing.TB, entries ...entry) (string, unpack.Result, error) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := unpack.Layer(context.Background(), root, bytes.NewReader(stream(t, entries...)), unpack.Options{})
	return root, r, err
}

func isWhiteout(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

func isOpaque(path string) bool {
	b := make([]byte, 8)
	n, err := unix.Lgetxattr(path, "trusted.overlay.opaque", b)
	return err == nil && string(b[:n]) == "y"
}

// TestContained holds what streams that try to leave their root do to the host: nothing. Each writes through a
// way that leads to a canary beside the root, and either fails or ends inside.
func TestContained(t *testing.T) {
	sandbox.Require(t)
	for name, entries := range map[string][]entry{
		"parent in a name":             {file("../canary/f", "x")},
		"many parents in a name":       {file("a/../../../../../../canary/f", "x")},
		"absolute name":                {file("CANARY/f", "x")},
		"absolute symlink":             {soft("out", "CANARY"), file("out/f", "x")},
		"relative symlink":             {soft("out", "../canary"), file("out/f", "x")},
		"symlink through symlink":      {soft("a", "../"), soft("b", "a/../canary"), file("b/f", "x")},
		"symlink in place of a dir":    {dir("d"), file("d/f", "x"), soft("d", "../canary"), file("d/f", "x")},
		"write through a file symlink": {soft("f", "../canary/old"), file("f", "x")},
		"dev is a symlink":             {soft("dev", "CANARY"), file("dev/f", "x")},
		"hard link to the host":        {hard("f", "../canary/old"), file("f", "x")},
		"hard link through a symlink":  {soft("out", "../canary"), hard("f", "out/old")},
		"hard link to a symlink":       {soft("out", "../canary/old"), hard("f", "out"), file("f", "x")},
		"whiteout through a symlink":   {soft("out", "../canary"), file("out/.wh.old", "")},
		"opaque through a symlink":     {soft("out", "../canary"), file("out/.wh..wh..opq", "")},
		"whiteout of the parent":       {file(".wh...", "")},
		"dir over a symlink":           {soft("out", "../canary"), dir("out"), file("out/f", "x")},
		"chmod through a symlink":      {soft("out", "../canary"), {Header: tar.Header{Typeflag: tar.TypeDir, Name: "out/", Mode: 0o777}}},
		"device through a symlink":     {soft("out", "../canary"), {Header: tar.Header{Typeflag: tar.TypeChar, Name: "out/null", Devmajor: 1, Devminor: 3}}},
		"root is a symlink":            {soft(".", "../canary"), file("f", "x")},
		"root is a symlink by slash":   {soft("/", "../canary"), file("f", "x")},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			canary, root := filepath.Join(base, "canary"), filepath.Join(base, "root")
			for _, d := range []string{canary, root} {
				if err := os.Mkdir(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(canary, "old"), []byte("old"), 0o600); err != nil {
				t.Fatal(err)
			}
			before := state(t, canary)
			for i := range entries {
				entries[i].Name = strings.ReplaceAll(entries[i].Name, "CANARY", canary)
				entries[i].Linkname = strings.ReplaceAll(entries[i].Linkname, "CANARY", canary)
			}
			_, err := unpack.Layer(context.Background(), root, bytes.NewReader(stream(t, entries...)), unpack.Options{})
			t.Log("error:", err)
			if after := state(t, canary); after != before {
				t.Errorf("the canary changed:\n%s\nwas\n%s", after, before)
			}
		})
	}
}

// state is everything about a directory that an attack could change.
func state(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		xattrs := make([]byte, 1024)
		n, _ := unix.Llistxattr(path, xattrs)
		content := []byte(nil)
		if info.Mode().IsRegular() {
			content, _ = os.ReadFile(path)
		}
		b.WriteString(strings.Join([]string{path, info.Mode().String(), string(rune('0' + st.Nlink)), string(content), string(xattrs[:n])}, " ") + "\n")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestFollowsLinksInside is the opposite fault: real images have /var/run -> /run and /lib -> usr/lib.
func TestFollowsLinksInside(t *testing.T) {
	sandbox.Require(t)
	root, r, err := layer(t,
		dir("run"), dir("var"), soft("var/run", "/run"), file("var/run/app.pid", "1"),
		dir("usr"), dir("usr/lib"), soft("lib", "usr/lib"), file("lib/x/libc.so", "elf"),
		soft("srv", "/data/srv"), file("srv/f", "new"),
		hard("etc/pid", "var/run/app.pid"))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"run/app.pid": "1", "usr/lib/x/libc.so": "elf", "data/srv/f": "new", "etc/pid": "1"} {
		if b, err := os.ReadFile(filepath.Join(root, path)); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v; expected %q", path, b, err, want)
		}
	}
	if want := []string{"data", "etc", "data/srv", "usr/lib/x"}; !slices.Equal(r.Implied, want) {
		t.Errorf("implied directories are %q, expected %q", r.Implied, want)
	}
}

func TestAttributes(t *testing.T) {
	sandbox.Require(t)
	// security.capability in version 2 (linux/capability.h): cap_net_bind_service=ep.
	capability := make([]byte, 20)
	binary.LittleEndian.PutUint32(capability, 0x02000001)
	binary.LittleEndian.PutUint32(capability[4:], 1<<10)
	at := time.Unix(1234567890, 123456000)
	long := strings.Repeat("long-name-", 20)
	root, _, err := layer(t,
		entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o711, Uid: 7, Gid: 8, ModTime: at, Format: tar.FormatPAX}},
		entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o3771, Uid: 1000, Gid: 2000, ModTime: at, Format: tar.FormatPAX}},
		entry{tar.Header{Typeflag: tar.TypeReg, Name: "d/su", Mode: 0o4755, Uid: 0, Gid: 42, ModTime: at, Format: tar.FormatPAX}, "x"},
		entry{tar.Header{Typeflag: tar.TypeReg, Name: "d/ping", Mode: 0o755, Uid: 5, ModTime: at, Format: tar.FormatPAX, PAXRecords: map[string]string{
			"SCHILY.xattr.security.capability":    string(capability),
			"SCHILY.xattr.user.note":              "hello",
			"SCHILY.xattr.trusted.overlay.opaque": "y",
			"SCHILY.xattr.user.overlay.redirect":  "/etc",
		}}, "ping"},
		entry{tar.Header{Typeflag: tar.TypeReg, Name: "d/" + long, Mode: 0o600, Uid: 3000000, ModTime: at, Format: tar.FormatPAX}, "long"},
		entry{Header: tar.Header{Typeflag: tar.TypeFifo, Name: "d/fifo", Mode: 0o620, ModTime: at}},
		entry{Header: tar.Header{Typeflag: tar.TypeChar, Name: "d/null", Mode: 0o666, Devmajor: 1, Devminor: 3}},
		entry{Header: tar.Header{Typeflag: tar.TypeBlock, Name: "d/loop", Mode: 0o660, Gid: 6, Devmajor: 7, Devminor: 1}},
		entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: "d/link", Linkname: "su", Uid: 9, Gid: 9, ModTime: at, Format: tar.FormatPAX}},
		hard("d/twin", "d/su"),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		mode     uint32
		uid, gid uint32
		rdev     uint64
	}{
		{".", unix.S_IFDIR | 0o711, 7, 8, 0},
		{"d", unix.S_IFDIR | 0o3771, 1000, 2000, 0},
		{"d/su", unix.S_IFREG | 0o4755, 0, 42, 0},
		{"d/ping", unix.S_IFREG | 0o755, 5, 0, 0},
		{"d/" + long, unix.S_IFREG | 0o600, 3000000, 0, 0},
		{"d/fifo", unix.S_IFIFO | 0o620, 0, 0, 0},
		{"d/null", unix.S_IFCHR | 0o666, 0, 0, unix.Mkdev(1, 3)},
		{"d/loop", unix.S_IFBLK | 0o660, 0, 6, unix.Mkdev(7, 1)},
		{"d/link", unix.S_IFLNK | 0o777, 9, 9, 0},
	} {
		var st unix.Stat_t
		if err := unix.Lstat(filepath.Join(root, c.name), &st); err != nil {
			t.Error(err)
			continue
		}
		if st.Mode != c.mode || st.Uid != c.uid || st.Gid != c.gid || st.Rdev != c.rdev {
			t.Errorf("%.12s: mode %o owner %d:%d device %x, expected %o %d:%d %x", c.name, st.Mode, st.Uid, st.Gid, st.Rdev, c.mode, c.uid, c.gid, c.rdev)
		}
		if c.name == "." || c.name == "d" || c.name == "d/su" || c.name == "d/link" {
			if got := time.Unix(st.Mtim.Unix()); !got.Equal(at) {
				t.Errorf("%s: modified %v, expected %v", c.name, got, at)
			}
		}
		if c.name == "d/su" && st.Nlink != 2 {
			t.Errorf("d/su has %d links, expected 2", st.Nlink)
		}
	}
	ping := filepath.Join(root, "d/ping")
	buf := make([]byte, 64)
	if n, err := unix.Lgetxattr(ping, "security.capability", buf); err != nil || !bytes.Equal(buf[:n], capability) {
		t.Errorf("security.capability is %x, %v", buf[:max(n, 0)], err)
	}
	if isOpaque(ping) {
		t.Error("the layer set overlayfs's own attribute")
	}
	// EOPNOTSUPP: a tmpfs before Linux 6.6 has no user attributes at all.
	if _, err := unix.Lgetxattr(ping, "user.overlay.redirect", buf); !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("the layer set user.overlay.redirect: %v", err)
	}
}

func TestWhiteouts(t *testing.T) {
	sandbox.Require(t)
	root, r, err := layer(t,
		dir("a"), file("a/.wh.gone", ""),
		dir("b"), file("b/.wh..wh..opq", ""), file("b/new", "x"),
		file(".wh..wh.plnk", ""), file("c/.wh..wh.aufs", ""),
		// The layer takes x away and brings its own, in both orders.
		file(".wh.x", ""), dir("x"), file("x/new", "1"),
		dir("y"), file("y/new", "1"), file(".wh.y", ""),
		file(".wh.z", ""), file("z/deep/new", "1"),
		file(".wh.f", ""), file("f", "1"),
		file("g", "1"), file(".wh.g", ""),
	)
	if err != nil {
		t.Fatal(err)
	}
	if !isWhiteout(filepath.Join(root, "a/gone")) {
		t.Error("a/gone is no whiteout")
	}
	for _, name := range []string{"b", "x", "y", "z"} {
		if !isOpaque(filepath.Join(root, name)) {
			t.Errorf("%s is not opaque: what lower layers have there would show", name)
		}
	}
	for _, name := range []string{"b/new", "x/new", "y/new", "z/deep/new", "f", "g"} {
		if info, err := os.Lstat(filepath.Join(root, name)); err != nil || !info.Mode().IsRegular() {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	for _, name := range []string{".wh..wh.plnk", "c/.wh..wh.aufs", "b/.wh..wh..opq", "a/.wh.gone"} {
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil {
			t.Errorf("%s is in the tree", name)
		}
	}
	if want := []string{"z", "z/deep"}; !slices.Equal(r.Implied, want) {
		t.Errorf("implied directories are %q, expected %q", r.Implied, want)
	}
}

func TestLaterEntryReplaces(t *testing.T) {
	sandbox.Require(t)
	root, r, err := layer(t,
		dir("d"), file("d/sub/f", "1"), file("d", "now a file"),
		file("e", "1"), dir("e"), file("e/f", "2"),
		file("g", "1"), hard("h", "g"), file("g", "2"),
		soft("s", "e"), file("s/via", "1"), dir("s"), file("s/own", "2"),
	)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"d": "now a file", "e/f": "2", "g": "2", "h": "1", "e/via": "1", "s/own": "2"} {
		if b, err := os.ReadFile(filepath.Join(root, path)); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v; expected %q", path, b, err, want)
		}
	}
	if len(r.Implied) != 0 {
		t.Errorf("implied directories are %q, expected none: d is gone", r.Implied)
	}
}

func TestRefused(t *testing.T) {
	sandbox.Require(t)
	for name, c := range map[string]struct {
		entries []entry
		limits  unpack.Limits
		want    error
	}{
		"root is a file":        {entries: []entry{file(".", "x")}, want: unpack.ErrInvalid},
		"root is a symlink":     {entries: []entry{soft("/", "/etc")}, want: unpack.ErrInvalid},
		"whiteout of nothing":   {entries: []entry{file("a/.wh.", "")}, want: unpack.ErrInvalid},
		"whiteout of ..":        {entries: []entry{file("a/.wh...", "")}, want: unpack.ErrInvalid},
		"hard link to root":     {entries: []entry{hard("a", "/")}, want: unpack.ErrInvalid},
		"longer than a path":    {entries: []entry{file(strings.Repeat("d/", 2047)+"ff", "x")}, want: unpack.ErrInvalid},
		"owner out of range":    {entries: []entry{{Header: tar.Header{Typeflag: tar.TypeDir, Name: "d/", Uid: 1 << 32, Format: tar.FormatGNU}}}, want: unpack.ErrInvalid},
		"symlink loop":          {entries: []entry{soft("a", "b"), soft("b", "a"), file("a/f", "x")}, want: unix.ELOOP},
		"file as a directory":   {entries: []entry{file("a", "x"), file("a/b", "x")}, want: unix.ENOTDIR},
		"too many entries":      {entries: []entry{file("a", ""), file("b", ""), file("c", "")}, limits: unpack.Limits{Entries: 2}, want: unpack.ErrLimit},
		"too many bytes":        {entries: []entry{file("a", "123"), file("b", "456")}, limits: unpack.Limits{Bytes: 5}, want: unpack.ErrLimit},
		"a name far too long":   {entries: []entry{file(strings.Repeat("n", 300), "")}, want: unix.ENAMETOOLONG},
		"a type that is not":    {entries: []entry{{Header: tar.Header{Typeflag: 'Z', Name: "z"}}}, want: unpack.ErrInvalid},
		"a target far too long": {entries: []entry{soft("a", strings.Repeat("n/", 3000))}, want: unix.ENAMETOOLONG},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			_, err := unpack.Layer(context.Background(), root, bytes.NewReader(stream(t, c.entries...)), unpack.Options{Limits: c.limits})
			if !errors.Is(err, c.want) {
				t.Errorf("error is %v, expected %v", err, c.want)
			}
		})
	}
}

func TestLinksToLowerLayers(t *testing.T) {
	sandbox.Require(t)
	_, r, err := layer(t, dir("bin"), hard("bin/b", "bin/a"), hard("c", "no/dir/at/all"))
	if err != nil {
		t.Fatal(err)
	}
	want := []unpack.Link{{Path: "bin/b", Target: "bin/a"}, {Path: "c", Target: "no/dir/at/all"}}
	if !slices.Equal(r.Links, want) {
		t.Errorf("links are %v, expected %v", r.Links, want)
	}
}

func TestHoles(t *testing.T) {
	sandbox.Require(t)
	const mib = 1 << 20
	body := strings.Repeat("\x00", 3*mib) + "data" + strings.Repeat("\x00", 5*mib+7)
	root, r, err := layer(t, file("sparse", body))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "sparse")
	if b, err := os.ReadFile(path); err != nil || string(b) != body {
		t.Errorf("content differs (%d bytes, %v)", len(b), err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		t.Fatal(err)
	}
	if st.Blocks*512 > mib {
		t.Errorf("8 MiB of zeros take %d KiB", st.Blocks/2)
	}
	if r.Bytes != int64(len(body)) {
		t.Errorf("%d bytes counted, expected %d", r.Bytes, len(body))
	}
}

func TestCutStream(t *testing.T) {
	sandbox.Require(t)
	whole := stream(t, dir("d"), file("d/f", strings.Repeat("x", 5000)))
	for _, n := range []int{100, 600, 1500, 3000} {
		if _, err := unpack.Layer(context.Background(), t.TempDir(), bytes.NewReader(whole[:n]), unpack.Options{}); err == nil {
			t.Errorf("a stream cut after %d bytes is no error", n)
		}
	}
}

// FuzzLayer feeds whatever bytes: nothing outside the root changes, and nothing hangs or panics.
func FuzzLayer(f *testing.F) {
	f.Add(stream(f, dir("d"), file("d/f", "x"), hard("h", "d/f"), soft("s", "/d"), file("s/g", "y")))
	f.Add(stream(f, soft("out", "../canary"), file("out/old", "x"), file("out/.wh.old", "")))
	f.Add(stream(f, file(".wh.x", ""), file("x/y", ""), file("x/.wh..wh..opq", "")))
	f.Fuzz(func(t *testing.T, b []byte) {
		base := t.TempDir()
		canary, root := filepath.Join(base, "canary"), filepath.Join(base, "root")
		if err := errors.Join(os.Mkdir(canary, 0o755), os.Mkdir(root, 0o755), os.WriteFile(filepath.Join(canary, "old"), []byte("old"), 0o600)); err != nil {
			t.Fatal(err)
		}
		before := state(t, canary)
		unpack.Layer(context.Background(), root, bytes.NewReader(b), unpack.Options{Limits: unpack.Limits{Bytes: 1 << 20, Entries: 1000}}) //nolint:errcheck // either way
		if after := state(t, canary); after != before {
			t.Errorf("the canary changed:\n%s\nwas\n%s", after, before)
		}
	})
}
