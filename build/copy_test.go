package build_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/build"
)

// TestCopy: where files go, whose they are and what they are, as docker has it.
func TestCopy(t *testing.T) {
	h := newHost(t)
	h.write("a.txt", "a")
	h.write("b.txt", "b")
	h.write("dir/x", "x")
	h.write("dir/sub/y", "y")
	h.write("dir/sub/z.log", "z")
	must(t, os.Chmod(filepath.Join(h.context, "dir/sub"), 0o750))
	must(t, os.Symlink("sub/y", filepath.Join(h.context, "dir/link")))
	must(t, os.Symlink("dir", filepath.Join(h.context, "toDir")))
	must(t, os.Symlink("a.txt", filepath.Join(h.context, "toFile")))
	must(t, os.Link(filepath.Join(h.context, "dir/x"), filepath.Join(h.context, "dir/x2")))
	must(t, os.Chown(filepath.Join(h.context, "a.txt"), 1234, 1234))
	whole := []string{
		"0:0 /d/link -> sub/y", "0750 0:0 /d/sub/", "0644 0:0 /d/sub/y = y", "0644 0:0 /d/sub/z.log = z", "0644 0:0 /d/x = x", "0644 0:0 /d/x2 = x",
	}
	for _, c := range []struct {
		name, steps string
		want        []string
	}{
		{"a file to a name", "COPY a.txt /d/n", []string{"0644 0:0 /d/n = a"}},
		{"a file to a directory", "COPY a.txt /d/", []string{"0644 0:0 /d/a.txt = a"}},
		{"a file to a directory that is there", "RUN mkdir /d\nCOPY a.txt /d", []string{"0644 0:0 /d/a.txt = a"}},
		{"two files", "COPY a.txt b.txt /d/", []string{"0644 0:0 /d/a.txt = a", "0644 0:0 /d/b.txt = b"}},
		{"a wildcard", "COPY *.txt /d/", []string{"0644 0:0 /d/a.txt = a", "0644 0:0 /d/b.txt = b"}},
		{"a wildcard for one", "COPY ?.txt* /d/\nRUN rm /d/b.txt", []string{"0644 0:0 /d/a.txt = a"}},
		{"the JSON form", `COPY ["a.txt", "/d/with space"]`, []string{"0644 0:0 /d/with space = a"}},
		{"a directory's content", "COPY dir /d", whole},
		{"the same with slashes", "COPY dir/ /d/", whole},
		{"a link to a directory is followed", "COPY toDir /d", whole},
		{"a link to a file is followed", "COPY toFile /d/", []string{"0644 0:0 /d/toFile = a"}},
		{"relative to WORKDIR", "WORKDIR /d\nCOPY a.txt .", []string{"0644 0:0 /d/a.txt = a"}},
		{"relative, deeper", "WORKDIR /d\nCOPY a.txt sub/n", []string{"0755 0:0 /d/sub/", "0644 0:0 /d/sub/n = a"}},
		{"chown by name", "COPY --chown=web a.txt /d/", []string{"0644 1000:1001 /d/a.txt = a"}},
		{"chown by name and group", "COPY --chown=web:staff a.txt /d/", []string{"0644 1000:50 /d/a.txt = a"}},
		{"chown by number", "COPY --chown=7 a.txt /d/", []string{"0644 7:7 /d/a.txt = a"}},
		{"chown of everything", "COPY --chown=7:8 dir/sub /d/e/", []string{"0750 7:8 /d/e/", "0644 7:8 /d/e/y = y", "0644 7:8 /d/e/z.log = z"}},
		{"chmod", "COPY --chmod=755 a.txt /d/", []string{"0755 0:0 /d/a.txt = a"}},
		{"chmod by letters", "COPY --chmod=u=rwX,go=rX dir/sub /d/e/", []string{"0755 0:0 /d/e/", "0644 0:0 /d/e/y = y", "0644 0:0 /d/e/z.log = z"}},
		{"exclude", "COPY --exclude=**/*.log --exclude=x* dir /d", []string{"0:0 /d/link -> sub/y", "0750 0:0 /d/sub/", "0644 0:0 /d/sub/y = y"}},
		{"parents", "COPY --parents dir/sub/y a.txt /d/", []string{"0644 0:0 /d/a.txt = a", "0755 0:0 /d/dir/", "0755 0:0 /d/dir/sub/", "0644 0:0 /d/dir/sub/y = y"}},
		{"parents from a point", "COPY --parents dir/./sub/* /d/", []string{"0755 0:0 /d/sub/", "0644 0:0 /d/sub/y = y", "0644 0:0 /d/sub/z.log = z"}},
		{"link", "COPY --link a.txt /d/", []string{"0644 0:0 /d/a.txt = a"}},
		{"an ARG in the words", "ARG f=a\nCOPY ${f}.txt /d/$f", []string{"0644 0:0 /d/a = a"}},
		{"over a file and a link", "RUN mkdir /d && echo old >/d/a.txt && ln -s a.txt /d/b.txt\nCOPY *.txt /d/", []string{"0644 0:0 /d/a.txt = a", "0644 0:0 /d/b.txt = b"}},
		{"into what a link leads to", "RUN mkdir /d && ln -s /d /to\nCOPY a.txt /to/", []string{"0644 0:0 /d/a.txt = a"}},
		{"through a link of the image", "RUN mkdir -p /d/real && ln -s real /d/alias\nCOPY dir/sub /d/alias\nRUN rm /d/alias", []string{"0755 0:0 /d/real/", "0644 0:0 /d/real/y = y", "0644 0:0 /d/real/z.log = z"}},
		{"a directory there keeps its mode", "RUN mkdir -m 700 /d && chown 5:5 /d && mkdir -m 777 /d/sub\nCOPY dir/sub /d\nRUN stat -c %a:%u /d >/d/s", []string{"0644 0:0 /d/s = 700:5\n", "0777 0:0 /d/sub/", "0644 0:0 /d/y = y", "0644 0:0 /d/z.log = z"}},
		{"from a stage, owners are kept", "RUN mkdir -p /s/q && touch /s/f && chown 9:9 /s/f /s/q\nFROM busybox\nCOPY --from=0 /s /d", []string{"0644 9:9 /d/f = ", "0755 9:9 /d/q/"}},
		{"from an image", "COPY --from=busybox /etc/group /d/", []string{"0644 0:0 /d/group = root:x:0:\nweb:x:1001:\nstaff:x:50:\n"}},
		{"from a context", "COPY --from=more y /d/", []string{"0644 0:0 /d/y = y"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := *h
			h.t = t
			info, _ := h.make("FROM busybox\n"+c.steps+"\n", func(r *build.Request) { r.Contexts = map[string]string{"more": filepath.Join(h.context, "dir/sub")} })
			h.has(info.ID, "/d", c.want...)
		})
	}
}

func TestCopyRefuses(t *testing.T) {
	h := newHost(t)
	h.write("a.txt", "a")
	h.write("dir/x", "x")
	must(t, unix.Mknod(filepath.Join(h.context, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
	for _, c := range []struct{ steps, want string }{
		{"COPY nothing /d", `the context has no "nothing"`},
		{"COPY *.none /d/", `the context has no "*.none"`},
		{"COPY ../secret /d", "nothing outside of it can be copied"},
		{"COPY a.txt dir /d", "write the destination with a slash"},
		{"COPY * /d", "write the destination with a slash"},
		{"COPY null /d", "is a device"},
		{"COPY --chown=nobody a.txt /d", `no user "nobody"`},
		{"COPY --chmod=9 a.txt /d", "--chmod=9"},
		{"COPY --from=later /x /x\nFROM busybox AS later\nFROM busybox\nCOPY --from=0 / /", "is not before this one"},
		{"COPY --from=scratch / /", "it is empty"},
		{"RUN mkdir -p /d/a.txt\nCOPY a.txt /d", "is a directory, which a file does not replace"},
		{"RUN mkdir /d && touch /d/x\nCOPY a.txt /d/x/y", "not a directory"},
		{"ADD git@example.org:x/y.git /d", "git repositories are not fetched"},
		{"ADD --checksum=sha256:00 a.txt /d", "--checksum"},
		{"COPY --nonsense a.txt /d", "nonsense"},
	} {
		text := h.refused("FROM busybox\n" + c.steps + "\n")
		if !strings.Contains(text, c.want) || !strings.HasPrefix(text, "Dockerfile:") {
			t.Errorf("%s: %s", c.steps, text)
		}
	}
}

// TestIgnore: what .dockerignore leaves out is not there, by whatever name.
func TestIgnore(t *testing.T) {
	h := newHost(t)
	for _, name := range []string{"keep", "secret.env", "logs/a.log", "logs/keep.log", "node_modules/m/x", "deep/er/b.tmp", "deep/c"} {
		h.write(name, name)
	}
	must(t, os.Symlink("secret.env", filepath.Join(h.context, "alias")))
	must(t, os.Symlink("node_modules", filepath.Join(h.context, "mods")))
	h.write(".dockerignore", "# a comment\n*.env\nlogs\n!logs/keep.log\nnode_modules\n**/*.tmp\n.dockerignore\n")
	info, _ := h.make("FROM busybox\nCOPY . /d\n")
	h.has(info.ID, "/d",
		"0:0 /d/alias -> secret.env", "0755 0:0 /d/deep/", "0644 0:0 /d/deep/c = deep/c", "0755 0:0 /d/deep/er/", "0644 0:0 /d/keep = keep",
		"0755 0:0 /d/logs/", "0644 0:0 /d/logs/keep.log = logs/keep.log", "0:0 /d/mods -> node_modules")
	for _, source := range []string{"secret.env", "alias", "mods", "node_modules/m/x", "logs/a.log", "*.env"} {
		if text := h.refused("FROM busybox\nCOPY " + source + " /d/\n"); !strings.Contains(text, "has no") {
			t.Errorf("COPY %s: %s", source, text)
		}
	}
	// One beside the Dockerfile goes before it.
	h.write("other.Dockerfile", "FROM busybox\nCOPY . /d\n")
	h.write("other.Dockerfile.dockerignore", "*\n!keep\n")
	info, _ = h.make("", func(r *build.Request) { r.Dockerfile = filepath.Join(h.context, "other.Dockerfile") })
	h.has(info.ID, "/d", "0644 0:0 /d/keep = keep")
}

// TestCopyStaysInside: links of the context and of the image mean what they mean inside, and the host's files are as they were.
func TestCopyStaysInside(t *testing.T) {
	h := newHost(t)
	canary := filepath.Join(filepath.Dir(h.context), "canary")
	must(t, os.WriteFile(canary, []byte("of the host"), 0o600))
	h.write("f", "f")
	h.write("evil/x", "x")
	up := strings.Repeat("../", 20) + strings.TrimPrefix(canary, "/")
	must(t, os.Symlink(canary, filepath.Join(h.context, "abs")))
	must(t, os.Symlink(up, filepath.Join(h.context, "rel")))
	must(t, os.Symlink(filepath.Dir(canary), filepath.Join(h.context, "dirlink")))
	for _, source := range []string{"abs", "rel", "dirlink/canary", "../canary", up, "/" + up} {
		if text := h.refused("FROM busybox\nCOPY " + source + " /d\n"); strings.Contains(text, "of the host") {
			t.Errorf("COPY %s: %s", source, text)
		}
	}
	// A link that is copied as a link is a name, and harms nobody.
	info, _ := h.make("FROM busybox\nCOPY . /d\n")
	if files := h.files(info.ID, "/d"); !slices.Contains(files, "0:0 /d/abs -> "+canary) {
		t.Errorf("the files are %q", files)
	}
	// A link of the image leads inside the image: directories are made there.
	dir := filepath.Dir(canary)
	for _, steps := range []string{
		"RUN ln -s " + canary + " /to\nCOPY f /to",
		"RUN ln -s " + dir + " /to\nCOPY f /to/canary",
		"RUN ln -s " + strings.Repeat("../", 20) + strings.TrimPrefix(dir, "/") + " /to\nCOPY f /to/canary",
		"RUN ln -s " + dir + " /to\nWORKDIR /to/made",
		"RUN mkdir /d && ln -s " + dir + " /d/evil\nCOPY . /d",
		"RUN ln -s /proc/self/root /to\nCOPY f /to" + canary,
	} {
		if _, _, err := h.try("FROM busybox\n" + steps + "\n"); err != nil && !strings.Contains(err.Error(), "Dockerfile:3") {
			t.Errorf("%s: %v", steps, err)
		}
		b, err := os.ReadFile(canary)
		must(t, err)
		if string(b) != "of the host" {
			t.Fatalf("%s: the host's file is %q", steps, b)
		}
		for _, made := range []string{"made", "x"} {
			if _, err := os.Lstat(filepath.Join(dir, made)); err == nil {
				t.Fatalf("%s: %s was made on the host", steps, made)
			}
		}
	}
}

func pack(t *testing.T, headers ...*tar.Header) string {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		content := ""
		if h.Typeflag == tar.TypeReg {
			content = "content"
			h.Size = int64(len(content))
		}
		must(t, w.WriteHeader(h))
		_, err := w.Write([]byte(content))
		must(t, err)
	}
	must(t, w.Close())
	return buf.String()
}

// TestAdd: local archives are unpacked, others are copied; no name of an archive leads out.
func TestAdd(t *testing.T) {
	h := newHost(t)
	plain := pack(t,
		&tar.Header{Typeflag: tar.TypeDir, Name: "p/", Mode: 0o711, Uid: 3, Gid: 4},
		&tar.Header{Typeflag: tar.TypeReg, Name: "p/f", Mode: 0o4755, Uid: 5, Gid: 6},
		&tar.Header{Typeflag: tar.TypeSymlink, Name: "p/l", Linkname: "f"},
		&tar.Header{Typeflag: tar.TypeLink, Name: "p/h", Linkname: "p/f"},
	)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write([]byte(plain))
	must(t, z.Close())
	h.write("a.tar", plain)
	h.write("named.txt", zipped.String()) // what it is called does not matter
	h.write("text.tar", "this is none")
	want := []string{"0711 3:4 /d/p/", "4755 5:6 /d/p/f = content", "4755 5:6 /d/p/h = content", "0:0 /d/p/l -> f"}
	for _, steps := range []string{"ADD a.tar /d", "ADD a.tar /d/", "ADD named.txt /d", "RUN mkdir -p /d/p && echo old >/d/p/f\nADD a.tar /d"} {
		info, _ := h.make("FROM busybox\n" + steps + "\n")
		h.has(info.ID, "/d", want...)
	}
	for _, name := range []string{"hello.tar.xz", "hello.tar.bz2"} {
		b, err := os.ReadFile(filepath.Join("..", "image", "content", "testdata", name))
		must(t, err)
		h.write(name, string(b))
		info, _ := h.make("FROM busybox\nADD " + name + " /d/\n")
		h.has(info.ID, "/d", "0644 0:0 /d/hello = hello\n")
	}
	info, _ := h.make("FROM busybox\nADD text.tar /d/\nADD --unpack=false a.tar /d/\nCOPY a.tar /d/b.tar\n")
	files := h.files(info.ID, "/d")
	if len(files) != 3 || !strings.HasPrefix(files[2], "0644 0:0 /d/text.tar = this is none") {
		t.Errorf("there is %q", files)
	}

	canary := filepath.Join(filepath.Dir(h.context), "canary")
	must(t, os.WriteFile(canary, []byte("of the host"), 0o600))
	h.write("evil.tar", pack(t,
		&tar.Header{Typeflag: tar.TypeReg, Name: "../../../../../../../.." + canary, Mode: 0o644},
		&tar.Header{Typeflag: tar.TypeReg, Name: canary, Mode: 0o644},
		&tar.Header{Typeflag: tar.TypeSymlink, Name: "out", Linkname: filepath.Dir(canary)},
		&tar.Header{Typeflag: tar.TypeReg, Name: "out/canary", Mode: 0o644},
	))
	h.make("FROM busybox\nADD evil.tar /d\n")
	h.write("link.tar", pack(t, &tar.Header{Typeflag: tar.TypeLink, Name: "l", Linkname: canary}))
	if text := h.refused("FROM busybox\nADD link.tar /d\n"); !strings.Contains(text, "hard link") {
		t.Errorf("a hard link to the host: %s", text)
	}
	if b, err := os.ReadFile(canary); err != nil || string(b) != "of the host" {
		t.Errorf("the host's file is %q: %v", b, err)
	}
}

// TestAddURL: a file is fetched, and held against its checksum.
func TestAddURL(t *testing.T) {
	h := newHost(t)
	archive := pack(t, &tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o644})
	requests := 0
	server := &httptest.Server{Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		switch r.URL.Path {
		case "/file.txt":
			fmt.Fprint(w, "fetched")
		case "/a.tar":
			fmt.Fprint(w, archive)
		default:
			http.NotFound(w, r)
		}
	})}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server.Listener = l
	server.Start()
	defer server.Close()
	const sum = "sha256:2eb5a1eb8d2a5d7c5d6e3bf3e6e3f2a5c0a5d1df1e5ff0a6d6b1c6c8d9b3f4a1"
	info, _ := h.make("FROM busybox\nADD " + server.URL + "/file.txt /d/\nADD " + server.URL + "/a.tar /d/\nADD --unpack=true " + server.URL + "/a.tar /d/\n")
	files := h.files(info.ID, "/d")
	if len(files) != 3 || files[1] != "0644 0:0 /d/f = content" || files[2] != "0600 0:0 /d/file.txt = fetched" {
		t.Errorf("there is %q", files)
	}
	_, p := h.make("FROM busybox\nADD " + server.URL + "/file.txt /d/\n")
	if got := p.phases(); got[1] != "ADD cached" {
		t.Errorf("the same file is added again: %q", got)
	}
	if text := h.refused("FROM busybox\nADD --checksum=" + sum + " " + server.URL + "/file.txt /d/\n"); !strings.Contains(text, "its checksum is sha256:") {
		t.Errorf("another checksum: %s", text)
	}
	if text := h.refused("FROM busybox\nADD " + server.URL + "/none /d/\n"); !strings.Contains(text, "404") {
		t.Errorf("a file that is not there: %s", text)
	}
	if requests < 5 {
		t.Errorf("there were %d requests", requests)
	}
}
