package unpack_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/image/unpack"
	"github.com/stackrun/stack/internal/layertest"
	"github.com/stackrun/stack/internal/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

func layer(t testing.TB, entries ...layertest.Entry) (string, unpack.Result, error) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := unpack.Layer(context.Background(), root, bytes.NewReader(layertest.Tar(t, entries...)), unpack.Options{})
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
	for name, entries := range map[string][]layertest.Entry{
		"parent in a name":             {layertest.File("../canary/f", "x")},
		"many parents in a name":       {layertest.File("a/../../../../../../canary/f", "x")},
		"absolute name":                {layertest.File("CANARY/f", "x")},
		"absolute symlink":             {layertest.Symlink("out", "CANARY"), layertest.File("out/f", "x")},
		"relative symlink":             {layertest.Symlink("out", "../canary"), layertest.File("out/f", "x")},
		"symlink through symlink":      {layertest.Symlink("a", "../"), layertest.Symlink("b", "a/../canary"), layertest.File("b/f", "x")},
		"symlink in place of a dir":    {layertest.Dir("d", 0o755), layertest.File("d/f", "x"), layertest.Symlink("d", "../canary"), layertest.File("d/f", "x")},
		"write through a file symlink": {layertest.Symlink("f", "../canary/old"), layertest.File("f", "x")},
		"dev is a symlink":             {layertest.Symlink("dev", "CANARY"), layertest.File("dev/f", "x")},
		"hard link to the host":        {layertest.Link("f", "../canary/old"), layertest.File("f", "x")},
		"hard link through a symlink":  {layertest.Symlink("out", "../canary"), layertest.Link("f", "out/old")},
		"hard link to a symlink":       {layertest.Symlink("out", "../canary/old"), layertest.Link("f", "out"), layertest.File("f", "x")},
		"whiteout through a symlink":   {layertest.Symlink("out", "../canary"), layertest.File("out/.wh.old", "")},
		"opaque through a symlink":     {layertest.Symlink("out", "../canary"), layertest.File("out/.wh..wh..opq", "")},
		"whiteout of the parent":       {layertest.File(".wh...", "")},
		"dir over a symlink":           {layertest.Symlink("out", "../canary"), layertest.Dir("out", 0o755), layertest.File("out/f", "x")},
		"chmod through a symlink":      {layertest.Symlink("out", "../canary"), {Header: tar.Header{Typeflag: tar.TypeDir, Name: "out/", Mode: 0o777}}},
		"device through a symlink":     {layertest.Symlink("out", "../canary"), {Header: tar.Header{Typeflag: tar.TypeChar, Name: "out/null", Devmajor: 1, Devminor: 3}}},
		"root is a symlink":            {layertest.Symlink(".", "../canary"), layertest.File("f", "x")},
		"root is a symlink by slash":   {layertest.Symlink("/", "../canary"), layertest.File("f", "x")},
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
			_, err := unpack.Layer(context.Background(), root, bytes.NewReader(layertest.Tar(t, entries...)), unpack.Options{})
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
		layertest.Dir("run", 0o755), layertest.Dir("var", 0o755), layertest.Symlink("var/run", "/run"), layertest.File("var/run/app.pid", "1"),
		layertest.Dir("usr", 0o755), layertest.Dir("usr/lib", 0o755), layertest.Symlink("lib", "usr/lib"), layertest.File("lib/x/libc.so", "elf"),
		layertest.Symlink("srv", "/data/srv"), layertest.File("srv/f", "new"),
		layertest.Link("etc/pid", "var/run/app.pid"))
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
		layertest.Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "./", Mode: 0o711, Uid: 7, Gid: 8, ModTime: at, Format: tar.FormatPAX}},
		layertest.Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o3771, Uid: 1000, Gid: 2000, ModTime: at, Format: tar.FormatPAX}},
		layertest.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: "d/su", Mode: 0o4755, Uid: 0, Gid: 42, ModTime: at, Format: tar.FormatPAX}, Body: "x"},
		layertest.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: "d/ping", Mode: 0o755, Uid: 5, ModTime: at, Format: tar.FormatPAX, PAXRecords: map[string]string{
			"SCHILY.xattr.security.capability":    string(capability),
			"SCHILY.xattr.user.note":              "hello",
			"SCHILY.xattr.trusted.overlay.opaque": "y",
			"SCHILY.xattr.user.overlay.redirect":  "/etc",
		}}, Body: "ping"},
		layertest.Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: "d/" + long, Mode: 0o600, Uid: 3000000, ModTime: at, Format: tar.FormatPAX}, Body: "long"},
		layertest.Entry{Header: tar.Header{Typeflag: tar.TypeFifo, Name: "d/fifo", Mode: 0o620, ModTime: at}},
		layertest.Entry{Header: tar.Header{Typeflag: tar.TypeChar, Name: "d/null", Mode: 0o666, Devmajor: 1, Devminor: 3}},
		layertest.Entry{Header: tar.Header{Typeflag: tar.TypeBlock, Name: "d/loop", Mode: 0o660, Gid: 6, Devmajor: 7, Devminor: 1}},
		layertest.Entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: "d/link", Linkname: "su", Uid: 9, Gid: 9, ModTime: at, Format: tar.FormatPAX}},
		layertest.Link("d/twin", "d/su"),
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
		layertest.Dir("a", 0o755), layertest.File("a/.wh.gone", ""),
		layertest.Dir("b", 0o755), layertest.File("b/.wh..wh..opq", ""), layertest.File("b/new", "x"),
		layertest.File(".wh..wh.plnk", ""), layertest.File("c/.wh..wh.aufs", ""),
		// The layer takes x away and brings its own, in both orders.
		layertest.File(".wh.x", ""), layertest.Dir("x", 0o755), layertest.File("x/new", "1"),
		layertest.Dir("y", 0o755), layertest.File("y/new", "1"), layertest.File(".wh.y", ""),
		layertest.File(".wh.z", ""), layertest.File("z/deep/new", "1"),
		layertest.File(".wh.f", ""), layertest.File("f", "1"),
		layertest.File("g", "1"), layertest.File(".wh.g", ""),
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
		layertest.Dir("d", 0o755), layertest.File("d/sub/f", "1"), layertest.File("d", "now a file"),
		layertest.File("e", "1"), layertest.Dir("e", 0o755), layertest.File("e/f", "2"),
		layertest.File("g", "1"), layertest.Link("h", "g"), layertest.File("g", "2"),
		layertest.Symlink("s", "e"), layertest.File("s/via", "1"), layertest.Dir("s", 0o755), layertest.File("s/own", "2"),
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
		entries []layertest.Entry
		limits  unpack.Limits
		want    error
	}{
		"root is a file":        {entries: []layertest.Entry{layertest.File(".", "x")}, want: unpack.ErrInvalid},
		"root is a symlink":     {entries: []layertest.Entry{layertest.Symlink("/", "/etc")}, want: unpack.ErrInvalid},
		"whiteout of nothing":   {entries: []layertest.Entry{layertest.File("a/.wh.", "")}, want: unpack.ErrInvalid},
		"whiteout of ..":        {entries: []layertest.Entry{layertest.File("a/.wh...", "")}, want: unpack.ErrInvalid},
		"hard link to root":     {entries: []layertest.Entry{layertest.Link("a", "/")}, want: unpack.ErrInvalid},
		"longer than a path":    {entries: []layertest.Entry{layertest.File(strings.Repeat("d/", 2047)+"ff", "x")}, want: unpack.ErrInvalid},
		"owner out of range":    {entries: []layertest.Entry{{Header: tar.Header{Typeflag: tar.TypeDir, Name: "d/", Uid: 1 << 32, Format: tar.FormatGNU}}}, want: unpack.ErrInvalid},
		"symlink loop":          {entries: []layertest.Entry{layertest.Symlink("a", "b"), layertest.Symlink("b", "a"), layertest.File("a/f", "x")}, want: unix.ELOOP},
		"file as a directory":   {entries: []layertest.Entry{layertest.File("a", "x"), layertest.File("a/b", "x")}, want: unix.ENOTDIR},
		"too many entries":      {entries: []layertest.Entry{layertest.File("a", ""), layertest.File("b", ""), layertest.File("c", "")}, limits: unpack.Limits{Entries: 2}, want: unpack.ErrLimit},
		"too many bytes":        {entries: []layertest.Entry{layertest.File("a", "123"), layertest.File("b", "456")}, limits: unpack.Limits{Bytes: 5}, want: unpack.ErrLimit},
		"a name far too long":   {entries: []layertest.Entry{layertest.File(strings.Repeat("n", 300), "")}, want: unix.ENAMETOOLONG},
		"a type that is not":    {entries: []layertest.Entry{{Header: tar.Header{Typeflag: 'Z', Name: "z"}}}, want: unpack.ErrInvalid},
		"a target far too long": {entries: []layertest.Entry{layertest.Symlink("a", strings.Repeat("n/", 3000))}, want: unix.ENAMETOOLONG},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			_, err := unpack.Layer(context.Background(), root, bytes.NewReader(layertest.Tar(t, c.entries...)), unpack.Options{Limits: c.limits})
			if !errors.Is(err, c.want) {
				t.Errorf("error is %v, expected %v", err, c.want)
			}
		})
	}
}

func TestLinksToLowerLayers(t *testing.T) {
	sandbox.Require(t)
	_, r, err := layer(t, layertest.Dir("bin", 0o755), layertest.Link("bin/b", "bin/a"), layertest.Link("c", "no/dir/at/all"))
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
	root, r, err := layer(t, layertest.File("sparse", body))
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
	whole := layertest.Tar(t, layertest.Dir("d", 0o755), layertest.File("d/f", strings.Repeat("x", 5000)))
	for _, n := range []int{100, 600, 1500, 3000} {
		if _, err := unpack.Layer(context.Background(), t.TempDir(), bytes.NewReader(whole[:n]), unpack.Options{}); err == nil {
			t.Errorf("a stream cut after %d bytes is no error", n)
		}
	}
}

// FuzzLayer feeds whatever bytes: nothing outside the root changes, and nothing hangs or panics.
func FuzzLayer(f *testing.F) {
	f.Add(layertest.Tar(f, layertest.Dir("d", 0o755), layertest.File("d/f", "x"), layertest.Link("h", "d/f"), layertest.Symlink("s", "/d"), layertest.File("s/g", "y")))
	f.Add(layertest.Tar(f, layertest.Symlink("out", "../canary"), layertest.File("out/old", "x"), layertest.File("out/.wh.old", "")))
	f.Add(layertest.Tar(f, layertest.File(".wh.x", ""), layertest.File("x/y", ""), layertest.File("x/.wh..wh..opq", "")))
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
