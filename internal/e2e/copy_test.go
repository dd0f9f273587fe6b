package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const copyYAML = `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    volumes: [data:/data]
    tmpfs: [/scratch]
volumes: {data: {}}
`

// tarOf is an archive of files, name → content; a name that ends with a slash is a directory.
func tarOf(t *testing.T, files ...[2]string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f[0], Mode: 0o644, Size: int64(len(f[1])), Uid: 1234, Gid: 1234}
		if strings.HasSuffix(f[0], "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// untar is what an archive has: regular files with their content, directories and links with what they are.
func untar(t *testing.T, archive string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for r := tar.NewReader(strings.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		switch h.Typeflag {
		case tar.TypeDir:
			body = []byte("dir")
		case tar.TypeSymlink:
			body = []byte("to " + h.Linkname)
		}
		found[h.Name] = string(body)
	}
}

// TestCopyRules is the table of docker cp's reference, in both directions: SRC is a file or a directory, with and without /., DEST is there or not, a file or a
// directory, with and without a slash.
func TestCopyRules(t *testing.T) {
	p := compose(t, "copyrules", copyYAML)
	p.up()
	for _, out := range []bool{false, true} {
		for _, c := range []struct {
			src, dest string
			at        string // where the content of src's file is then; "" = refused
			says      string
		}{
			{"file", "new", "new", ""},
			{"file", "new/", "", "must exist"},
			{"file", "no/new", "", "there is no directory"},
			{"file", "afile", "afile", ""},
			{"file", "afile/", "", "is not a directory"},
			{"file", "adir", "adir/file", ""},
			{"file", "adir/", "adir/file", ""},
			{"file", "adir/.", "adir/file", ""},
			{"tofile", "new", "", ""}, // the link
			{"todir/", "new", "new/f", ""},
			{"dir", "new", "new/f", ""},
			{"dir/", "new", "new/f", ""},
			{"dir", "new/", "new/f", ""},
			{"dir", "afile", "", "cannot copy a directory"},
			{"dir", "adir", "adir/dir/f", ""},
			{"dir/", "adir", "adir/dir/f", ""},
			{"dir", "adir/", "adir/dir/f", ""},
			{"dir", "toadir", "adir/dir/f", ""},
			{"dir/.", "new", "new/f", ""},
			{"dir/.", "afile", "", "cannot copy a directory"},
			{"dir/.", "adir", "adir/f", ""},
			{"dir/.", "toadir/", "adir/f", ""},
			{"nothing", "new", "", "no such file or directory"},
			{"file/", "new", "", "not a directory"},
		} {
			t.Run(fmt.Sprintf("out=%v/%s to %s", out, strings.ReplaceAll(c.src, "/", "|"), strings.ReplaceAll(c.dest, "/", "|")), func(t *testing.T) {
				p := *p
				p.t = t
				here := t.TempDir()
				make := "cd %s && mkdir dir adir && echo content >file && echo content >dir/f && echo old >afile && ln -s file tofile && ln -s dir todir && ln -s adir toadir"
				p.sh("app", "rm -rf /src /dest; mkdir /src /dest; "+fmt.Sprintf(make, "/src")+"; "+fmt.Sprintf(make, "/dest")+"; rm /dest/file /dest/tofile")
				for _, side := range []string{"src", "dest"} {
					for name, content := range map[string]string{"dir/f": "content\n", "file": "content\n", "afile": "old\n", "adir/": ""} {
						if strings.HasSuffix(name, "/") {
							if err := os.MkdirAll(filepath.Join(here, side, name), 0o755); err != nil {
								t.Fatal(err)
							}
							continue
						}
						write(t, filepath.Join(here, side, name), content)
					}
					for name, to := range map[string]string{"tofile": "file", "todir": "dir", "toadir": "adir"} {
						if err := os.Symlink(to, filepath.Join(here, side, name)); err != nil {
							t.Fatal(err)
						}
					}
				}
				src, dest := here+"/src/"+c.src, "app:/dest/"+c.dest
				if out {
					src, dest = "app:/src/"+c.src, here+"/dest/"+c.dest
				}
				link := c.src == "tofile"
				if c.at == "" && !link {
					p.fails(1, []string{c.says}, "cp", src, dest)
					return
				}
				p.ok("cp", src, dest)
				if link {
					at := here + "/dest/new"
					var target string
					if out {
						target, _ = os.Readlink(at)
					} else {
						target = p.sh("app", "readlink /dest/new")
					}
					equal(t, "the link", target, "file")
					return
				}
				if out {
					b, err := os.ReadFile(here + "/dest/" + c.at)
					if err != nil || string(b) != "content\n" {
						t.Errorf("%s holds %q, %v", c.at, b, err)
					}
					return
				}
				equal(t, c.at, p.sh("app", "cat /dest/"+c.at), "content")
			})
		}
	}
}

// TestCopyOptions: archives by - in both directions, links, owners, and which containers are meant.
func TestCopyOptions(t *testing.T) {
	p := compose(t, "copyoptions", strings.Replace(copyYAML, "    volumes", "    deploy: {replicas: 2}\n    volumes", 1))
	p.up()
	archive := tarOf(t, [2]string{"d/", ""}, [2]string{"d/f", "one\n"}, [2]string{"new\nline", "two\n"})
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	io.WriteString(z, archive) //nolint:errcheck // into memory
	z.Close()
	for _, stdin := range []string{archive, zipped.String()} {
		p.sh("app", "rm -rf /root/*")
		if r := p.host.exec(t, p.dir, stdin, nil, "cp", "-", "app:/root"); r.code != 0 {
			t.Fatal(r)
		}
		for _, index := range []string{"1", "2"} { // all replicas
			equal(t, "replica "+index, p.ok("exec", "-T", "--index", index, "app", "cat", "/root/d/f"), "one\n")
		}
	}
	got := untar(t, p.ok("cp", "app:/root/.", "-"))
	if want := map[string]string{"./": "dir", "d/": "dir", "d/f": "one\n", "new\nline": "two\n"}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the archive has %q, expected %q", got, want)
	}
	if got := untar(t, p.ok("cp", "app:/root/d", "-")); got["d/f"] != "one\n" {
		t.Errorf("the archive has %q", got)
	}

	p.write("f", "2\n")
	p.ok("cp", "--index", "2", "f", "app:/root/f")
	p.fails(1, nil, "exec", "-T", "--index", "1", "app", "cat", "/root/f")
	p.fails(1, []string{"no such file or directory"}, "cp", "app:/root/f", "copy") // out of the first
	p.ok("cp", "--index=2", "app:/root/f", "copy")
	p.ok("run", "-d", "--name", "copy-run", "app", "sleep", "infinity")
	p.ok("cp", "f", "app:/root/g")
	p.ok("cp", "--all", "f", "app:/root/h")
	for name, want := range map[string]bool{"g": false, "h": true} {
		c := p.one("copy-run")
		_, err := os.Stat(p.host.state("snapshots", c.ID, "upper", "root", name))
		if (err == nil) != want {
			t.Errorf("%s in the container of run: %v", name, err)
		}
	}
	p.ok("rm", "--force", "--stop")

	if p.up(); os.Getuid() == 0 {
		p.sh("app", "cp /bin/busybox /root/su && chown 1000:2000 /root/su && chmod 6755 /root/su && ln -s su /root/l")
		for _, c := range [][2]string{{"-a", "1000:2000 6755"}, {"", "0:0 755"}} {
			flags, want := c[0], c[1]
			args := strings.Fields("cp " + flags + " app:/root/su out" + flags)
			p.ok(args...)
			var st unix.Stat_t
			if err := unix.Stat(filepath.Join(p.dir, "out"+flags), &st); err != nil {
				t.Fatal(err)
			}
			equal(t, "out "+flags, fmt.Sprintf("%d:%d %o", st.Uid, st.Gid, st.Mode&0o7777), want)
			p.ok(strings.Fields("cp " + flags + " out-a app:/root/in" + flags)...)
			equal(t, "in "+flags, p.sh("app", "stat -c '%u:%g %a' /root/in"+flags), want)
		}
	}
	p.ok("cp", "-L", "app:/root/l", "followed")
	if info, err := os.Lstat(filepath.Join(p.dir, "followed")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("-L: %v, %v", info, err)
	}
}

// TestCopyStates: whatever state a container is in; what it has only while it runs is refused by name.
func TestCopyStates(t *testing.T) {
	p := compose(t, "copystates", strings.Replace(copyYAML, "volumes: {data: {}}", `  locked:
    image: busybox
    command: [sleep, infinity]
    read_only: true
    volumes: ["data:/mnt:ro"]
volumes: {data: {}}`, 1))
	p.write("f", "1\n")
	p.ok("create")
	p.ok("cp", "f", "app:/data/created")
	p.ok("cp", "f", "app:/root/created")
	p.up()
	equal(t, "created", p.sh("app", "cat /data/created /root/created"), "1\n1")
	p.ok("cp", "f", "app:/scratch/f")
	p.fails(1, []string{"copystates-locked-1", "/root is on a file system that is mounted read-only", "(read_only)"}, "cp", "f", "locked:/root/f")
	p.fails(1, []string{"/mnt is on a file system that is mounted read-only"}, "cp", "f", "locked:/mnt/f")
	p.ok("cp", "locked:/mnt/created", "copy")
	p.fails(1, []string{"whose files are the kernel's"}, "cp", "f", "app:/proc/sys/kernel/domainname")
	p.fails(1, []string{"something is mounted there"}, "cp", "f", "app:/etc/hosts")
	p.ok("stop", "-t", "0")
	p.ok("cp", "app:/data/created", "copy")
	p.fails(1, []string{"something that is there only while the container runs"}, "cp", "f", "app:/scratch/f")
	p.fails(1, []string{"(read_only)"}, "cp", "f", "locked:/root/f")
	p.ok("cp", "f", "app:/data/stopped")
	p.ok("start")
	equal(t, "stopped", p.sh("app", "cat /data/stopped"), "1")

	export := p.ok("export", "app")
	p.ok("export", "-o", "app.tar", "app")
	file, err := os.ReadFile(filepath.Join(p.dir, "app.tar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{export, string(file)} {
		got := untar(t, text)
		if got["root/created"] != "1\n" || got["data/"] != "dir" || got["data/created"] != "" || got["etc/passwd"] == "" || got["proc/"] != "dir" {
			t.Errorf("the export has %d entries: %q %q %q %d %q", len(got), got["root/created"], got["data/"], got["data/created"], len(got["etc/passwd"]), got["proc/"])
		}
	}
	if info, err := os.Stat(filepath.Join(p.dir, "app.tar")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
	p.fails(1, []string{"not a regular file"}, "export", "-o", ".", "app")
}

// TestCopyRefused: command lines that make no copy say why, and streams that would lead elsewhere do not.
func TestCopyRefused(t *testing.T) {
	p := compose(t, "copyrefused", copyYAML)
	p.write("f", "1\n")
	p.fails(1, []string{"no container found for service \"app\""}, "cp", "f", "app:/f")
	p.fails(1, []string{"no container found for service \"app\""}, "export", "app")
	p.up()
	for _, c := range []struct {
		says string
		args []string
	}{
		{"copying between services is not supported", []string{"app:/f", "app:/g"}},
		{"unknown copy direction", []string{"f", "g"}},
		{"unknown copy direction", []string{"./a:b", "/c:d"}},
		{"source can not be empty", []string{"", "app:/g"}},
		{"destination can not be empty", []string{"f", ""}},
		{"cp needs what is copied and where to", []string{"f"}},
		{"Not copied", []string{"app:/no", "out"}},
		{"out: it is a device", []string{"app:/dev/null", "out"}},
		{"nosuch", []string{"f", "nosuch:/f"}},
		{"no container found for service \"app\" with index 7", []string{"--index", "7", "f", "app:/f"}},
		{"there is no directory /no", []string{"f", "app:/no/f"}},
		{"must be a directory", []string{"-", "app:/etc/passwd"}},
		{"neither a directory nor a regular file", []string{"f", "app:/dev/null"}},
	} {
		p.fails(1, []string{c.says}, append([]string{"cp"}, c.args...)...)
	}
	before := p.sh("app", "find / -xdev -newer /proc/1 | sort")
	r := p.host.exec(t, p.dir, tarOf(t, [2]string{"../../../f", "x"}), nil, "cp", "-", "app:/root")
	if r.code != 1 || !strings.Contains(r.stderr, "leads upwards") {
		t.Error(r)
	}
	p.host.exec(t, p.dir, "this is no archive", nil, "cp", "-", "app:/root")
	equal(t, "what is in the container", p.sh("app", "find / -xdev -newer /proc/1 | sort"), before)

	// What is here and not there: a link that a copy has left is not followed by the next one.
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	p.sh("app", "mkdir -p /evil && ln -s "+outside+" /evil/d")
	p.ok("cp", "app:/evil/.", "out")
	p.sh("app", "rm /evil/d && mkdir /evil/d && echo 1 >/evil/d/f")
	p.fails(1, []string{"out/d"}, "cp", "app:/evil/.", "out")
	if names, err := os.ReadDir(outside); err != nil || len(names) > 0 {
		t.Errorf("outside of the destination there is %v, %v", names, err)
	}
}

// TestCopyCutOff: a command or a daemon that is killed in the middle leaves nothing open, and no part of a file.
func TestCopyCutOff(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	p := &project{t: t, host: h, name: "copycut", dir: filepath.Join(h.dir, "copycut")}
	p.write("compose.yaml", copyYAML)
	t.Cleanup(p.takeDownWholly)
	p.up()
	// The beginning of an archive with one file, and no more of it.
	begun := tarOf(t, [2]string{"late", strings.Repeat("x", 1<<20)})[:64<<10]
	for _, kill := range []string{"command", "daemon"} {
		for _, state := range []string{"running", "stopped"} {
			if state == "stopped" {
				p.ok("stop", "-t", "0")
			}
			r, feed, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer feed.Close()
			c := p.beginWith(r, "--progress", "plain", "cp", "-", "app:/root")
			r.Close()
			go io.WriteString(feed, begun) //nolint:errcheck // who reads it is killed
			c.says("Copying")
			if kill == "command" {
				c.signal(unix.SIGKILL).ends(-1)
			} else {
				h.killDaemon(t)
				c.ends(1)
				h.startDaemon(t)
			}
			p.up()
			equal(t, kill+", "+state, p.sh("app", "ls -A /root"), "")
		}
	}
}
