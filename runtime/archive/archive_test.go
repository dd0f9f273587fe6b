package archive_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/archive"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type entry struct {
	tar.Header
	body string
}

func file(name, body string) entry {
	return entry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(body))}, body}
}

func dir(name string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}}
}

func soft(name, target string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}}
}

func hard(name, target string) entry {
	return entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}}
}

func stream(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		e.Size = int64(len(e.body))
		must(t, w.WriteHeader(&e.Header))
		_, err := io.WriteString(w, e.body)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// tree is a root and a canary beside it.
type tree struct {
	t            testing.TB
	root, canary string
	opened       *os.File
}

func newTree(t testing.TB) *tree {
	t.Helper()
	base := t.TempDir()
	r := &tree{t: t, root: filepath.Join(base, "root"), canary: filepath.Join(base, "canary")}
	must(t, os.Mkdir(r.root, 0o755))
	must(t, os.Mkdir(r.canary, 0o755))
	must(t, os.WriteFile(filepath.Join(r.canary, "old"), []byte("old"), 0o600))
	f, err := archive.Root(r.root)
	must(t, err)
	t.Cleanup(func() { f.Close() })
	r.opened = f
	return r
}

func (r *tree) path(name string) string { return filepath.Join(r.root, name) }

func (r *tree) mkdir(name string) { r.t.Helper(); must(r.t, os.MkdirAll(r.path(name), 0o755)) }

func (r *tree) write(name, body string) {
	r.t.Helper()
	r.mkdir(filepath.Dir(name))
	must(r.t, os.WriteFile(r.path(name), []byte(body), 0o644))
}

func (r *tree) link(name, target string) { r.t.Helper(); must(r.t, os.Symlink(target, r.path(name))) }

func (r *tree) unpack(d archive.Destination, entries ...entry) error {
	r.t.Helper()
	d.UID, d.GID = -1, -1
	return archive.Unpack(r.t.Context(), r.opened, d, bytes.NewReader(stream(r.t, entries...)))
}

// state is everything of a directory that an attack could change.
func state(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		content := []byte(nil)
		if info.Mode().IsRegular() {
			content, _ = os.ReadFile(path)
		}
		fmt.Fprintln(&b, strings.TrimPrefix(path, dir), info.Mode(), st.Nlink, st.Uid, string(content))
		return nil
	}))
	return b.String()
}

// TestContained holds what streams that try to leave the tree do beside it: nothing, in either way of following links.
func TestContained(t *testing.T) {
	for name, entries := range map[string][]entry{
		"parent in a name":             {file("../canary/f", "x")},
		"many parents in a name":       {file("a/../../../../../../canary/f", "x")},
		"absolute name":                {file("CANARY/f", "x")},
		"absolute symlink":             {soft("out", "CANARY"), file("out/f", "x")},
		"relative symlink":             {soft("out", "../canary"), file("out/f", "x")},
		"symlink through symlink":      {soft("a", "../"), soft("b", "a/../canary"), file("b/f", "x")},
		"write through a file symlink": {soft("f", "../canary/old"), file("f", "x")},
		"hard link to the host":        {hard("f", "../canary/old"), file("f", "x")},
		"absolute hard link":           {hard("f", "CANARY/old"), file("f", "x")},
		"hard link through a symlink":  {soft("out", "../canary"), hard("f", "out/old"), file("f", "x")},
		"hard link to a symlink":       {soft("out", "../canary/old"), hard("f", "out"), file("f", "x")},
		"dir over a symlink":           {soft("out", "../canary"), dir("out"), file("out/f", "x")},
		"chmod through a symlink":      {soft("out", "../canary"), {Header: tar.Header{Typeflag: tar.TypeDir, Name: "out/", Mode: 0o777}}},
		"fifo through a symlink":       {soft("out", "../canary"), {Header: tar.Header{Typeflag: tar.TypeFifo, Name: "out/f", Mode: 0o666}}},
		"root is a symlink":            {soft(".", "../canary"), file("f", "x")},
		"proc":                         {soft("out", "/proc/self/root"), file("out/f", "x")},
	} {
		for _, d := range []archive.Destination{{Path: "/"}, {Path: "/", Closed: true}, {Path: "d", Archive: true, Parents: true}} {
			t.Run(fmt.Sprintf("%s/%+v", name, d), func(t *testing.T) {
				r := newTree(t)
				before := state(t, r.canary)
				for i := range entries {
					entries[i].Name = strings.ReplaceAll(entries[i].Name, "CANARY", r.canary)
					entries[i].Linkname = strings.ReplaceAll(entries[i].Linkname, "CANARY", r.canary)
				}
				t.Log("error:", r.unpack(d, entries...))
				if after := state(t, r.canary); after != before {
					t.Errorf("the canary changed:\n%s\nwas\n%s", after, before)
				}
			})
		}
	}
}

// TestRefusedByName: what is refused says what it is, and has changed nothing of what was there.
func TestRefusedByName(t *testing.T) {
	sandbox.Require(t)
	for name, c := range map[string]struct {
		entries []entry
		prepare func(r *tree)
		d       archive.Destination
		kind    error
		says    string
	}{
		"upwards":               {entries: []entry{file("a/../../f", "x")}, kind: errdefs.ErrInvalidArgument, says: "leads upwards"},
		"upwards, linked":       {entries: []entry{hard("a", "../etc/passwd")}, kind: errdefs.ErrInvalidArgument, says: "leads upwards"},
		"a newline is shown":    {entries: []entry{file("a\nb/../f", "x")}, kind: errdefs.ErrInvalidArgument, says: `"a\nb/../f"`},
		"character device":      {entries: []entry{{Header: tar.Header{Typeflag: tar.TypeChar, Name: "sda", Devmajor: 8}}}, kind: errdefs.ErrNotSupported, says: "/sda: it is a device"},
		"block device":          {entries: []entry{{Header: tar.Header{Typeflag: tar.TypeBlock, Name: "sda", Devmajor: 8}}}, kind: errdefs.ErrNotSupported, says: "/sda: it is a device"},
		"in place of a device":  {entries: []entry{file("null", "x")}, prepare: func(r *tree) { must(r.t, unix.Mknod(r.path("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3)))) }, kind: errdefs.ErrNotSupported, says: "/null: it is a device"},
		"link to a device":      {entries: []entry{hard("a", "null")}, prepare: func(r *tree) { must(r.t, unix.Mknod(r.path("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3)))) }, kind: errdefs.ErrNotSupported, says: "hard link to a device"},
		"to a device":           {entries: []entry{file("f", "x")}, d: archive.Destination{Path: "/null", Copy: true}, prepare: func(r *tree) { must(r.t, unix.Mknod(r.path("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3)))) }, kind: errdefs.ErrConflict, says: "/null is neither a directory nor a regular file"},
		"to a fifo":             {entries: []entry{file("f", "x")}, d: archive.Destination{Path: "/fifo", Copy: true}, prepare: func(r *tree) { must(r.t, unix.Mkfifo(r.path("fifo"), 0o666)) }, kind: errdefs.ErrConflict, says: "/fifo is neither a directory nor a regular file"},
		"file over directory":   {entries: []entry{file("d", "x")}, prepare: func(r *tree) { r.write("d/f", "1") }, kind: errdefs.ErrConflict, says: "cannot replace the directory /d"},
		"directory over file":   {entries: []entry{dir("f")}, prepare: func(r *tree) { r.write("f", "1") }, kind: errdefs.ErrConflict, says: "cannot replace /f with a directory"},
		"link below, closed":    {entries: []entry{file("l/f", "x")}, d: archive.Destination{Path: "/", Closed: true}, prepare: func(r *tree) { r.mkdir("d"); r.link("l", "d") }, kind: errdefs.ErrConflict, says: "which is not followed"},
		"dir over link, closed": {entries: []entry{dir("l"), file("l/f", "x")}, d: archive.Destination{Path: "/", Closed: true}, prepare: func(r *tree) { r.mkdir("d"); r.link("l", "d") }, kind: errdefs.ErrConflict, says: "cannot replace /l"},
		"an owner that none is": {entries: []entry{{Header: tar.Header{Typeflag: tar.TypeDir, Name: "d/", Uid: 1 << 32, Format: tar.FormatGNU}}}, d: archive.Destination{Path: "/", Archive: true}, kind: errdefs.ErrInvalidArgument, says: "an owner"},
		"a type that is not":    {entries: []entry{{Header: tar.Header{Typeflag: 'Z', Name: "z"}}}, kind: errdefs.ErrInvalidArgument, says: "unknown type"},
		"a path far too long":   {entries: []entry{file(strings.Repeat("d/", 2047)+"ff", "x")}, kind: errdefs.ErrInvalidArgument, says: "longer than a path can be"},
		"two things":            {entries: []entry{dir("a"), file("b", "x")}, d: archive.Destination{Path: "/", Copy: true}, kind: errdefs.ErrInvalidArgument, says: "expected a stream of a"},
		"nothing":               {d: archive.Destination{Path: "/", Copy: true}, kind: errdefs.ErrInvalidArgument, says: "empty"},
		"no directory":          {entries: []entry{file("a", "x")}, d: archive.Destination{Path: "/no"}, kind: errdefs.ErrNotFound, says: "there is no directory /no"},
		"proc":                  {entries: []entry{file("a", "x")}, d: archive.Destination{Path: "/proc"}, prepare: procfs, kind: errdefs.ErrNotSupported, says: "the kernel's"},
		"below proc":            {entries: []entry{file("sys/kernel/domainname", "x")}, d: archive.Destination{Path: "/proc"}, prepare: procfs, kind: errdefs.ErrNotSupported, says: "the kernel's"},
		"by a link to proc":     {entries: []entry{file("a/sys/kernel/domainname", "x")}, prepare: func(r *tree) { procfs(r); r.link("a", "/proc") }, kind: errdefs.ErrNotSupported, says: "the kernel's"},
		"as a file in proc":     {entries: []entry{file("f", "x")}, d: archive.Destination{Path: "/f", Copy: true}, prepare: func(r *tree) { procfs(r); r.link("f", "/proc/sys/kernel/domainname") }, kind: errdefs.ErrNotSupported, says: "the kernel's"},
		"a mount point": {entries: []entry{file("f", "x")}, prepare: func(r *tree) {
			r.write("f", "1")
			must(r.t, unix.Mount(r.path("f"), r.path("f"), "", unix.MS_BIND, ""))
			r.t.Cleanup(func() { unix.Unmount(r.path("f"), unix.MNT_DETACH) })
		}, kind: errdefs.ErrConflict, says: "something is mounted there"},
		"read-only": {entries: []entry{file("f", "x")}, d: archive.Destination{Path: "/m"}, prepare: func(r *tree) {
			r.mkdir("m")
			must(r.t, unix.Mount("none", r.path("m"), "tmpfs", unix.MS_RDONLY, ""))
			r.t.Cleanup(func() { unix.Unmount(r.path("m"), unix.MNT_DETACH) })
		}, kind: archive.ErrReadOnly, says: "/m is on a file system that is mounted read-only"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTree(t)
			if c.prepare != nil {
				c.prepare(r)
			}
			if c.d.Path == "" {
				c.d.Path = "/"
			}
			err := r.unpack(c.d, c.entries...)
			if text := fmt.Sprint(err); !errors.Is(err, c.kind) || !strings.Contains(text, c.says) || strings.Contains(text, "//") {
				t.Errorf("the error is %v, expected %q (%v)", err, c.says, c.kind)
			}
		})
	}
}

// TestDevicesAreLeftOut: who asks for it gets all the rest of a tree, and hears what is not in it; a copy of nothing but a device is still none.
func TestDevicesAreLeftOut(t *testing.T) {
	sandbox.Require(t)
	null := func(name string) entry {
		return entry{Header: tar.Header{Typeflag: tar.TypeChar, Name: name, Devmajor: 1, Devminor: 3, Mode: 0o666}}
	}
	var told []string
	r := newTree(t)
	d := archive.Destination{Path: "/to", Copy: true, Closed: true, LeftOut: func(text string) { told = append(told, text) }}
	if err := r.unpack(d, dir("from"), dir("from/dev"), null("from/dev/null"), file("from/f", "x")); err != nil {
		t.Fatal(err)
	}
	if want := []string{"to/dev/null is a device, and left out"}; !slices.Equal(told, want) {
		t.Errorf("told %q, expected %q", told, want)
	}
	if _, err := os.Lstat(r.path("to/dev/null")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the device: %v", err)
	}
	if got, err := os.ReadFile(r.path("to/f")); string(got) != "x" {
		t.Errorf("what follows it: %q, %v", got, err)
	}
	if err := r.unpack(d, null("null")); !errors.Is(err, errdefs.ErrConflict) && !errors.Is(err, errdefs.ErrNotSupported) {
		t.Errorf("a device into the directory: %v", err)
	}
	d.Path = "/null"
	if err := r.unpack(d, null("null")); !errors.Is(err, errdefs.ErrNotSupported) {
		t.Errorf("a device itself: %v", err)
	}

	// One with two names is left out twice.
	r.mkdir("dev")
	must(t, unix.Mknod(r.path("dev/a"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	must(t, os.Link(r.path("dev/a"), r.path("dev/b")))
	var b bytes.Buffer
	must(t, archive.Pack(t.Context(), r.opened, archive.Source{Path: "/dev"}, &b, nil))
	told, d.Path = nil, "/copy"
	if err := archive.Unpack(t.Context(), r.opened, d, &b); err != nil || len(told) != 2 {
		t.Errorf("two names: %v, told %q", err, told)
	}
}

func procfs(r *tree) {
	r.mkdir("proc")
	must(r.t, unix.Mount("proc", r.path("proc"), "proc", 0, ""))
	r.t.Cleanup(func() { unix.Unmount(r.path("proc"), unix.MNT_DETACH) })
}

// TestLinksWork is the opposite fault: real images have /var/run -> /run and /lib -> usr/lib.
func TestLinksWork(t *testing.T) {
	r := newTree(t)
	for _, d := range []string{"run", "var", "usr/lib", "data"} {
		r.mkdir(d)
	}
	r.link("var/run", "/run")
	r.link("lib", "usr/lib")
	r.link("srv", "../../../data")
	must(t, r.unpack(archive.Destination{Path: "/"}, dir("lib"), file("lib/x", "elf"), file("var/run/app.pid", "1"), file("srv/deep/f", "2"), hard("etc/pid", "var/run/app.pid")))
	for name, want := range map[string]string{"usr/lib/x": "elf", "run/app.pid": "1", "data/deep/f": "2", "etc/pid": "1"} {
		if b, err := os.ReadFile(r.path(name)); err != nil || string(b) != want {
			t.Errorf("%s holds %q, %v; expected %q", name, b, err, want)
		}
	}
	for _, p := range []string{"/var/run/app.pid", "/var/run/", "var/run/.", "/srv/deep"} {
		if _, _, err := pack(t, r.opened, archive.Source{Path: p}); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	must(t, r.unpack(archive.Destination{Path: "/var/run/app.pid", Copy: true}, file("f", "3")))
	if b, _ := os.ReadFile(r.path("run/app.pid")); string(b) != "3" {
		t.Errorf("through /var/run: %q", b)
	}
}

// pack is the stream as "name → what", and the warnings.
func pack(t testing.TB, root *os.File, s archive.Source) (map[string]string, []string, error) {
	t.Helper()
	var b bytes.Buffer
	var warned []string
	err := archive.Pack(t.Context(), root, s, &b, func(text string) { warned = append(warned, text) })
	if err != nil {
		return nil, warned, err
	}
	found := map[string]string{}
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if err == io.EOF {
			return found, warned, nil
		}
		must(t, err)
		body, err := io.ReadAll(r)
		must(t, err)
		found[h.Name] = map[byte]string{tar.TypeReg: "file ", tar.TypeDir: "dir", tar.TypeSymlink: "to " + h.Linkname, tar.TypeLink: "is " + h.Linkname, tar.TypeFifo: "fifo", tar.TypeChar: "char"}[h.Typeflag] + string(body)
	}
}

// TestNames: the first entry is what the path ends with, and the rest is below it.
func TestNames(t *testing.T) {
	r := newTree(t)
	r.write("a/b/f", "1")
	r.write("a/new\nline", "2")
	r.link("a/l", "b")
	r.link("a/lf", "/a/b/f")
	r.link("out", "../canary")
	must(t, os.Link(r.path("a/b/f"), r.path("a/b/g")))
	must(t, unix.Mkfifo(r.path("a/b/p"), 0o600))
	for _, c := range []struct {
		s    archive.Source
		want map[string]string
		err  error
	}{
		{s: archive.Source{Path: "a/b/f"}, want: map[string]string{"f": "file 1"}},
		{s: archive.Source{Path: "/a/../a/b/./f"}, want: map[string]string{"f": "file 1"}},
		{s: archive.Source{Path: "/a/l"}, want: map[string]string{"l": "to b"}},
		{s: archive.Source{Path: "/a/lf", Follow: true}, want: map[string]string{"lf": "file 1"}},
		{s: archive.Source{Path: "/a/new\nline"}, want: map[string]string{"new\nline": "file 2"}},
		{s: archive.Source{Path: "/out"}, want: map[string]string{"out": "to ../canary"}},
		{s: archive.Source{Path: "/out", Follow: true}, err: errdefs.ErrNotFound}, // there is no /canary in the tree
		{s: archive.Source{Path: "/out/old"}, err: errdefs.ErrNotFound},
		{s: archive.Source{Path: "/a/b/f/"}, err: unix.ENOTDIR},
	} {
		got, _, err := pack(t, r.opened, c.s)
		if !errors.Is(err, c.err) || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%+v: %q, %v; expected %q, %v", c.s, got, err, c.want, c.err)
		}
	}
	linked := func(prefix string) map[string]string { // which of two names comes first is the directory's choice
		return map[string]string{prefix + "p": "fifo", prefix + "f": "file 1", prefix + "g": "is " + prefix + "f"}
	}
	for _, c := range []struct {
		s      archive.Source
		prefix string
		more   map[string]string
	}{
		{archive.Source{Path: "/a/b"}, "b/", map[string]string{"b/": "dir"}},
		{archive.Source{Path: "/a/l/"}, "l/", map[string]string{"l/": "dir"}},
		{archive.Source{Path: "/a/l", Follow: true}, "l/", map[string]string{"l/": "dir"}},
		{archive.Source{Path: "/a/b/."}, "", map[string]string{"./": "dir"}},
		{archive.Source{Path: "/a/l/.", Bare: true}, "", nil},
		{archive.Source{Path: "/a/b", Rooted: true}, "b/", map[string]string{"b/": "dir"}},
		{archive.Source{Path: "/a/b/.", Rooted: true}, "./", map[string]string{"./": "dir"}},
	} {
		got, _, err := pack(t, r.opened, c.s)
		must(t, err)
		want := linked(c.prefix)
		if strings.HasPrefix(got[c.prefix+"f"], "is ") {
			want[c.prefix+"f"], want[c.prefix+"g"] = "is "+c.prefix+"g", "file 1"
		}
		for k, v := range c.more {
			want[k] = v
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v: %q, expected %q", c.s, got, want)
		}
	}
}

// TestRooted: names below the root begin with it.
func TestRooted(t *testing.T) {
	r := newTree(t)
	r.write("a/f", "1")
	got, _, err := pack(t, r.opened, archive.Source{Path: "/", Rooted: true})
	if want := map[string]string{"/": "dir", "/a/": "dir", "/a/f": "file 1"}; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, %v, expected %q", got, err, want)
	}
}

// TestRules is the table of docker cp: what is there, what comes, what becomes of it.
func TestRules(t *testing.T) {
	one := []entry{file("src", "new")}
	tree := []entry{dir("src"), file("src/f", "new")}
	contents := []entry{dir("."), file("f", "new")}
	for _, c := range []struct {
		name, dest string
		stream     []entry
		at         string // of the new file; "" = refused
		kind       error
	}{
		{"file to nothing", "/new", one, "new", nil},
		{"file to nothing, by a relative path", "new", one, "new", nil},
		{"file to nothing, as a directory", "/new/", one, "", errdefs.ErrNotFound},
		{"file to nothing in nothing", "/no/new", one, "", errdefs.ErrNotFound},
		{"file to file", "/file", one, "file", nil},
		{"file to file, as a directory", "/file/", one, "", errdefs.ErrConflict},
		{"file to directory", "/dir", one, "dir/src", nil},
		{"file to directory/", "/dir/", one, "dir/src", nil},
		{"file to directory/.", "/dir/.", one, "dir/src", nil},
		{"file to root", "/", one, "src", nil},
		{"file to link to file", "/tofile", one, "file", nil},
		{"file to link to directory", "/todir", one, "dir/src", nil},
		{"file to link to nothing", "/tonothing", one, "dir/none", nil},
		{"directory to nothing", "/new", tree, "new/f", nil},
		{"directory to nothing/", "/new/", tree, "new/f", nil},
		{"directory to nothing in nothing", "/no/new", tree, "", errdefs.ErrNotFound},
		{"directory to file", "/file", tree, "", errdefs.ErrConflict},
		{"directory to directory", "/dir", tree, "dir/src/f", nil},
		{"directory to directory with one of the name", "/full", tree, "full/src/f", nil},
		{"directory to link to directory", "/todir", tree, "dir/src/f", nil},
		{"contents to nothing", "/new", contents, "new/f", nil},
		{"contents to file", "/file", contents, "", errdefs.ErrConflict},
		{"contents to directory", "/dir", contents, "dir/f", nil},
		{"contents to link to directory", "/todir/", contents, "dir/f", nil},
		{"contents to root", "/", contents, "f", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newTree(t)
			r.write("file", "old")
			r.mkdir("dir")
			r.write("full/src/old", "old")
			r.link("tofile", "file")
			r.link("todir", "/dir")
			r.link("tonothing", "dir/none")
			before := state(t, r.root)
			err := r.unpack(archive.Destination{Path: c.dest, Copy: true}, c.stream...)
			if !errors.Is(err, c.kind) || (err == nil) != (c.kind == nil) {
				t.Fatalf("error %v, expected %v", err, c.kind)
			}
			if c.at == "" {
				if after := state(t, r.root); after != before {
					t.Errorf("it is refused and has changed\n%s\ninto\n%s", before, after)
				}
				return
			}
			if b, err := os.ReadFile(r.path(c.at)); err != nil || string(b) != "new" {
				t.Errorf("%s: %q, %v in\n%s", c.at, b, err, state(t, r.root))
			}
			if _, err := os.Lstat(r.path("full/src/old")); err != nil {
				t.Error(err)
			}
			for _, l := range []string{"tofile", "todir", "tonothing"} {
				if info, err := os.Lstat(r.path(l)); err != nil || info.Mode()&os.ModeSymlink == 0 {
					t.Errorf("the link %s is none any more", l)
				}
			}
		})
	}
}

// TestAttributes: what goes there and back is the same with Archive, and without it belongs to the destination's owner and has no power of another's.
func TestAttributes(t *testing.T) {
	sandbox.Require(t)
	from := newTree(t)
	at := time.Unix(1234567890, 0)
	from.write("d/su", "x")
	from.write("d/plain", "y")
	from.link("d/l", "su")
	must(t, unix.Mkfifo(from.path("d/p"), 0o640))
	must(t, os.Mkdir(from.path("d/sub"), 0o555))
	caps := append([]byte{1, 0, 0, 2, 0, 4, 0, 0}, make([]byte, 12)...) // version 2, cap_net_bind_service, effective
	must(t, unix.Setxattr(from.path("d/plain"), "security.capability", caps, 0))
	noUserXattrs := unix.Setxattr(from.path("d/plain"), "user.note", []byte("hello"), 0)
	must(t, unix.Setxattr(from.path("d/plain"), "trusted.stack", []byte("1"), 0))
	for _, name := range []string{"d/su", "d/l", "d/p", "d/sub", "d"} {
		must(t, os.Lchown(from.path(name), 1000, 2000))
	}
	must(t, os.Chmod(from.path("d/su"), 0o6755|os.ModeSetuid|os.ModeSetgid))
	must(t, os.Chmod(from.path("d"), 0o1750|os.ModeSticky))
	for _, name := range []string{"d/su", "d/plain", "d/sub", "d"} {
		must(t, os.Chtimes(from.path(name), at, at))
	}
	var b bytes.Buffer
	must(t, archive.Pack(t.Context(), from.opened, archive.Source{Path: "/d"}, &b, nil))
	for _, whole := range []bool{true, false} {
		to := newTree(t)
		must(t, archive.Unpack(t.Context(), to.opened, archive.Destination{Path: "/d", Copy: true, Archive: whole, UID: 7, GID: 8}, bytes.NewReader(b.Bytes())))
		for name, mode := range map[string]uint32{"d": 0o1750, "d/su": 0o6755, "d/plain": 0o644, "d/p": 0o640, "d/sub": 0o555, "d/l": 0o777} {
			var a, st unix.Stat_t
			must(t, unix.Lstat(from.path(name), &a))
			must(t, unix.Lstat(to.path(name), &st))
			uid, gid := a.Uid, a.Gid
			if !whole {
				uid, gid, mode = 7, 8, mode&^0o6000
			}
			if st.Uid != uid || st.Gid != gid || st.Mode&0o7777 != mode {
				t.Errorf("archive %v: %s is of %d:%d, mode %o; expected %d:%d, %o", whole, name, st.Uid, st.Gid, st.Mode&0o7777, uid, gid, mode)
			}
			if name != "d/l" && name != "d/p" && st.Mtim.Sec != at.Unix() {
				t.Errorf("archive %v: %s was modified at %d", whole, name, st.Mtim.Sec)
			}
		}
		got := make([]byte, 64)
		if n, err := unix.Getxattr(to.path("d/plain"), "security.capability", got); (err == nil && bytes.Equal(got[:n], caps)) != whole {
			t.Errorf("archive %v: file capabilities %x, %v", whole, got[:max(n, 0)], err)
		}
		if n, err := unix.Getxattr(to.path("d/plain"), "user.note", got); noUserXattrs == nil && (err != nil || string(got[:n]) != "hello") {
			t.Errorf("archive %v: user.note is %q, %v", whole, got[:max(n, 0)], err)
		}
		if _, err := unix.Getxattr(to.path("d/plain"), "trusted.stack", got); err == nil {
			t.Error("an attribute that is not a file's own has travelled")
		}
	}
}

// TestReplacedAtOnce: of a file that is cut off nothing is left, and the old one is whole; there is no moment at which neither is there.
func TestReplacedAtOnce(t *testing.T) {
	r := newTree(t)
	r.write("f", "old")
	must(t, os.Link(r.path("f"), r.path("other")))
	whole := stream(t, file("f", strings.Repeat("x", 5000)))
	before := state(t, r.root)
	for _, n := range []int{100, 600, 3000, 5000} {
		if err := archive.Unpack(t.Context(), r.opened, archive.Destination{Path: "/", UID: -1, GID: -1}, bytes.NewReader(whole[:n])); err == nil {
			t.Errorf("a stream that is cut off after %d bytes is no error", n)
		}
		if after := state(t, r.root); after != before {
			t.Errorf("after %d bytes:\n%s", n, after)
		}
	}
	must(t, r.unpack(archive.Destination{Path: "/"}, file("f", "new")))
	if b, _ := os.ReadFile(r.path("other")); string(b) != "old" {
		t.Errorf("the other name of the old file has %q", b)
	}
	must(t, r.unpack(archive.Destination{Path: "/"}, hard("f", "other"), hard("f", "other"), soft("other", "f"), soft("other", "g")))
	names, err := os.ReadDir(r.root)
	must(t, err)
	if len(names) != 2 {
		t.Errorf("there is more than two names: %v", names)
	}
}

// TestFull: a disk that is full is an error, and leaves no part of the file; zeros take none of it.
func TestFull(t *testing.T) {
	sandbox.Require(t)
	r := newTree(t)
	r.mkdir("m")
	must(t, unix.Mount("none", r.path("m"), "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { unix.Unmount(r.path("m"), unix.MNT_DETACH) })
	err := r.unpack(archive.Destination{Path: "/m"}, file("zeros", strings.Repeat("\x00", 8<<20)+"end"), file("small", "1"), file("large", strings.Repeat("x", 2<<20)))
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("error %v, expected ENOSPC", err)
	}
	if got := state(t, r.path("m")); !strings.Contains(got, "/small") || strings.Contains(got, "/large") {
		t.Errorf("there is %.200s", got)
	}
	names, err := os.ReadDir(r.path("m"))
	must(t, err)
	if len(names) != 2 {
		t.Errorf("there is %v", names)
	}
}

// TestSparse: what is not there is not read, and not written.
func TestSparse(t *testing.T) {
	from, to := newTree(t), newTree(t)
	const size = 64 << 20
	f, err := os.Create(from.path("s"))
	must(t, err)
	for _, at := range []int64{0, 20 << 20, size - 4} {
		_, err := f.WriteAt([]byte("data"), at)
		must(t, err)
	}
	must(t, f.Close())
	r, w := io.Pipe()
	go func() {
		w.CloseWithError(archive.Pack(context.Background(), from.opened, archive.Source{Path: "s"}, w, nil))
	}()
	must(t, archive.Unpack(t.Context(), to.opened, archive.Destination{Path: "/", UID: -1, GID: -1}, r))
	a, err := os.ReadFile(from.path("s"))
	must(t, err)
	b, err := os.ReadFile(to.path("s"))
	must(t, err)
	if !bytes.Equal(a, b) {
		t.Error("the copy differs")
	}
	var st unix.Stat_t
	must(t, unix.Stat(to.path("s"), &st))
	if st.Blocks*512 > 4<<20 {
		t.Errorf("the copy takes %d KiB", st.Blocks/2)
	}
}

// TestShorter: a file that becomes shorter ends in zeros, and it is told.
func TestShorter(t *testing.T) {
	r := newTree(t)
	r.write("f", strings.Repeat("x", 4<<20))
	var b bytes.Buffer
	var warned []string
	cut := cutter{w: &b, cut: func() { must(t, os.Truncate(r.path("f"), 1<<20)) }}
	must(t, archive.Pack(t.Context(), r.opened, archive.Source{Path: "f"}, &cut, func(text string) { warned = append(warned, text) }))
	h, err := tar.NewReader(bytes.NewReader(b.Bytes())).Next()
	must(t, err)
	if h.Size != 4<<20 || b.Len() < 4<<20 || len(warned) != 1 || !strings.Contains(warned[0], "became shorter") {
		t.Errorf("%d bytes of %d, warnings %q", b.Len(), h.Size, warned)
	}
}

type cutter struct {
	w   io.Writer
	cut func()
}

func (c *cutter) Write(p []byte) (int, error) {
	if c.cut != nil {
		c.cut()
		c.cut = nil
	}
	return c.w.Write(p)
}

// TestDirectoryTwice: a directory that has two entries, one after the other, is as they say, and not as it has to be while it is filled.
func TestDirectoryTwice(t *testing.T) {
	for _, keep := range []bool{false, true} {
		r := newTree(t)
		d, f := dir("d"), file("d/f", "1")
		d.Mode, d.ModTime = 0o500, time.Unix(1_000_000_000, 0)
		d.Uid, d.Gid = os.Getuid(), os.Getgid() // for who is not root
		f.Uid, f.Gid = d.Uid, d.Gid
		t.Cleanup(func() { os.Chmod(r.path("d"), 0o700) }) //nolint:errcheck // what is not there needs none
		must(t, r.unpack(archive.Destination{Path: "/", Archive: keep}, d, d, f))
		st, err := os.Stat(r.path("d"))
		must(t, err)
		if st.Mode().Perm() != 0o500 || !st.ModTime().Equal(d.ModTime) {
			t.Errorf("Archive %v: %v, %v", keep, st.Mode(), st.ModTime())
		}
	}
}

// TestDeep: nesting is bounded by what a path can be, in both directions, and many directories in each other need few descriptors.
func TestDeep(t *testing.T) {
	r := newTree(t)
	name := strings.TrimSuffix(strings.Repeat("d/", 200), "/")
	must(t, r.unpack(archive.Destination{Path: "/"}, dir("d"), file(name+"/f", "1"), file("d/g", "2")))
	if b, err := os.ReadFile(r.path(name + "/f")); err != nil || string(b) != "1" {
		t.Error(string(b), err)
	}
	fd, err := unix.Open(r.root, unix.O_PATH|unix.O_DIRECTORY, 0)
	must(t, err)
	long := strings.Repeat("n", 200)
	for range 30 {
		must(t, unix.Mkdirat(fd, long, 0o755))
		next, err := unix.Openat(fd, long, unix.O_PATH|unix.O_DIRECTORY, 0)
		must(t, err)
		unix.Close(fd)
		fd = next
	}
	unix.Close(fd)
	if _, _, err := pack(t, r.opened, archive.Source{Path: "/"}); err == nil || !strings.Contains(err.Error(), "nested deeper") {
		t.Errorf("error %v", err)
	}
}

// TestMemory: what a tree makes of its names is bounded: neither files of several names at the end of long paths, nor full directories in each other, take
// more memory than a few of them.
func TestMemory(t *testing.T) {
	held := func(r *tree) uint64 {
		t.Helper()
		var most, before goruntime.MemStats
		goruntime.GC()
		goruntime.ReadMemStats(&before)
		most = before
		entries := 0
		look := func() {
			goruntime.GC()
			var now goruntime.MemStats
			goruntime.ReadMemStats(&now)
			if now.HeapAlloc > most.HeapAlloc {
				most = now
			}
		}
		must(t, archive.Pack(t.Context(), r.opened, archive.Source{Path: "/", Bare: true}, writer(func(b []byte) (int, error) {
			if entries += len(b); entries >= 4<<20 {
				entries = 0
				look()
			}
			return len(b), nil
		}), nil))
		return most.HeapAlloc - before.HeapAlloc
	}
	t.Run("links", func(t *testing.T) {
		r := newTree(t)
		long := strings.TrimSuffix(strings.Repeat(strings.Repeat("d", 250)+"/", 15), "/")
		must(t, r.unpack(archive.Destination{Path: "/"}, dir(long)))
		fd, err := unix.Open(r.path(long), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		defer unix.Close(fd)
		for i := range 10_000 { // 38 MB of names
			name := strconv.Itoa(i)
			must(t, unix.Mknodat(fd, name, unix.S_IFREG|0o644, 0))
			must(t, unix.Linkat(fd, name, fd, name+"-", 0))
		}
		if n := held(r); n > 28<<20 {
			t.Errorf("%d bytes are held", n)
		}
	})
	t.Run("directories", func(t *testing.T) {
		r := newTree(t)
		fd, err := unix.Open(r.root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		must(t, err)
		long := strings.Repeat("n", 240)
		for range 100 { // 14 MB of names, if all of them are held
			must(t, unix.Mkdirat(fd, "d", 0o755))
			for i := range 500 {
				must(t, unix.Mknodat(fd, long+strconv.Itoa(i), unix.S_IFREG|0o644, 0))
			}
			next, err := unix.Openat(fd, "d", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
			must(t, err)
			unix.Close(fd)
			fd = next
		}
		unix.Close(fd)
		if n := held(r); n > 7<<20 {
			t.Errorf("%d bytes are held", n)
		}
	})
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }

// TestLeftOut: sockets and the kernel's files are left out, and it is told.
func TestLeftOut(t *testing.T) {
	sandbox.Require(t)
	r := newTree(t)
	procfs(r)
	r.write("f", "1")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Bind(fd, &unix.SockaddrUnix{Name: r.path("sock")}))
	got, warned, err := pack(t, r.opened, archive.Source{Path: "/."})
	must(t, err)
	if want := map[string]string{"./": "dir", "f": "file 1", "proc/": "dir"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, expected %q", got, want)
	}
	slices.Sort(warned)
	if len(warned) != 2 || !strings.HasPrefix(warned[0], "proc is on a file system of type proc") || !strings.HasPrefix(warned[1], "sock is a socket") {
		t.Errorf("warnings %q", warned)
	}
	for _, p := range []string{"/proc/version", "/proc", "/proc/self/root", "/proc/self/root/"} {
		if _, _, err := pack(t, r.opened, archive.Source{Path: p, Follow: true}); err == nil {
			t.Errorf("%s is read", p)
		}
	}
	if got, _, err := pack(t, r.opened, archive.Source{Path: "/proc/self"}); !errors.Is(err, errdefs.ErrNotSupported) {
		t.Errorf("a link on procfs is read: %q, %v", got, err)
	}
}
