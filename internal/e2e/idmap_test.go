package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

// mounted mounts a file system at dir for as long as t runs.
func mounted(t *testing.T, kind, dir, data string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(kind, dir, kind, 0, data); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("cannot unmount %s: %v", dir, err)
		}
	})
}

// mapped mounts a file system at dir that can be mapped, for as long as t runs.
func mapped(t *testing.T, dir string) {
	t.Helper()
	mounted(t, "tmpfs", dir, "mode=755")
	sandbox.Since(t, 6, 3, "map a tmpfs")
}

func owned(t *testing.T, path string) string {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d:%d", st.Uid, st.Gid)
}

// TestIDMap: with x-idmap what the container's user makes in a bind is its owner's on the host, and what is the owner's is the user's; nobody else in the container can make anything there.
func TestIDMap(t *testing.T) {
	h := theHost(t) // which may skip
	src := filepath.Join(t.TempDir(), "src")
	mapped(t, src)
	for name, id := range map[string]int{"": 1234, "owners": 1234, "roots": 0, "others": 4321} {
		path := filepath.Join(src, name)
		if name != "" {
			write(t, path, name+"\n")
		}
		if err := os.Chown(path, id, id+1); id != 0 && err != nil {
			t.Fatal(err)
		}
	}
	mount := func(user string) string {
		return fmt.Sprintf("    image: busybox\n    init: true\n    command: [sleep, infinity]\n    cap_add: [SYS_ADMIN, MKNOD]\n    user: %q\n    volumes:\n      - {type: bind, source: %s, target: /srv, bind: {x-idmap: match-user}}\n", user, src)
	}
	p := newProject(t, h, "idmap", map[string]string{"compose.yaml": "services:\n  web:\n" + mount("33:44") + "  root:\n" + mount("") +
		"  lent:\n    image: busybox\n    init: true\n    command: [sleep, infinity]\n    user: \"55:66\"\n    volumes_from: [web]\n"})
	p.ok("up", "--detach", "--wait")
	sh := func(user, service, line, want string) {
		t.Helper()
		r := p.run("exec", "-T", "--user", user, service, "sh", "-c", "exec 2>&1; "+line)
		if got := strings.TrimSpace(r.stdout); !strings.Contains(got, want) {
			t.Errorf("%s as %s in %s: %q, expected %q", line, user, service, got, want)
		}
	}
	for _, c := range []struct{ service, user string }{{"web", "33:44"}, {"root", "0:0"}} {
		sh(c.user, c.service, "stat -c %u:%g /srv/owners", c.user)
		sh(c.user, c.service, "stat -c %u:%g /srv/others", "65534:65534")
		sh(c.user, c.service, "mkdir -p /srv/dir && echo x >/srv/dir/by-"+c.service+" && echo y >>/srv/owners && echo fine", "fine")
		equal(t, "on the host", owned(t, filepath.Join(src, "dir/by-"+c.service)), "1234:1235")
		// Whoever it is, nothing can be made there or given away that is not the owner's.
		for _, user := range []string{"0:0", "1234:1235", "4321:4322", "33:0", "0:44", "65534:65534"} {
			if user == c.user {
				continue
			}
			sh("0:0", c.service, "chmod 777 /srv /srv/dir; echo", "")
			sh(user, c.service, "touch /srv/dir/stranger && echo made", "Value too large")
			sh(user, c.service, "mkdir /srv/dir/strange && echo made", "Value too large")
		}
		if c.user != "0:0" { // root that is mapped may, as in any bind
			sh("0:0", c.service, "mknod /srv/dir/null c 1 3 && echo made", "Value too large")
		}
		for _, to := range []string{"1", "1234", "4321"} {
			sh("0:0", c.service, "chown "+to+" /srv/dir/by-"+c.service+" && echo given", "Value too large")
		}
		sh("0:0", c.service, "echo x >>/srv/roots && echo written", "Permission denied")
		sh("0:0", c.service, "echo x >>/srv/others && echo written", "Permission denied")
		sh("0:0", c.service, "chmod 4777 /srv/roots && echo changed", "Value too large")
		// A mount of the same once more, or of the directory made anew, has the same owners.
		sh("0:0", c.service, "mkdir -p /tmp/again && mount -o bind /srv /tmp/again && stat -c %u:%g /tmp/again/others", "65534:65534")
	}
	// Who has it from another one has it as its own user.
	sh("55:66", "lent", "stat -c %u:%g /srv/owners && touch /srv/dir/by-lent && echo made", "55:66\nmade")
	equal(t, "on the host", owned(t, filepath.Join(src, "dir/by-lent")), "1234:1235")
	for _, name := range []string{"dir/stranger", "dir/strange", "dir/null"} {
		if _, err := os.Lstat(filepath.Join(src, name)); err == nil {
			t.Errorf("%s is there, of %s", name, owned(t, filepath.Join(src, name)))
		}
	}
	before := p.ids()
	p.ok("up", "--detach")
	if now := p.ids(); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("containers were %v and are %v", before, now)
	}
	equal(t, "drift", p.ok("drift"), "idmap: this host is as the file of the last up says\n")
	p.ok("restart", "--timeout", "0", "web")
	sh("33:44", "web", "stat -c %u:%g /srv/owners", "33:44")
	// The daemon's hands are bound too, whether the container runs or not: what goes in by a copy is the owner's, or nobody's.
	p.write("file", "copied\n")
	for _, state := range []string{"running", "stopped"} {
		p.ok("cp", "file", "root:/srv/copied-"+state)
		equal(t, "copied when it is "+state, owned(t, filepath.Join(src, "copied-"+state)), "1234:1235")
		if r := p.run("cp", "file", "web:/srv/refused-"+state); r.code == 0 || !strings.Contains(r.stderr, "value too large") {
			t.Errorf("copied to a user who is not root when it is %s: %s", state, r)
		}
		p.ok("stop", "--timeout", "0")
	}
	p.ok("start")
	contains(t, "config", p.ok("config"), "x-idmap: match-user")
	p.write("compose.yaml", strings.ReplaceAll("services:\n  web:\n"+mount("33:44"), ", bind: {x-idmap: match-user}", ""))
	r := p.run("plan")
	contains(t, "plan", r.stdout, `x-idmap: "match-user" -> (none)`)
}

// TestIDMapRefused: what cannot be mapped is told at its line before anything is made.
func TestIDMapRefused(t *testing.T) {
	h := theHost(t)
	dir := t.TempDir()
	for _, d := range []string{"lower", "upper", "work", "roots", "tree"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", dir)
	mounted(t, "overlay", filepath.Join(dir, "overlay"), data)
	mapped(t, filepath.Join(dir, "tree"))
	mounted(t, "proc", filepath.Join(dir, "tree/below"), "")
	for _, d := range []string{"overlay", "tree"} {
		if err := os.Chown(filepath.Join(dir, d), 1234, 1234); err != nil {
			t.Fatal(err)
		}
	}
	p := newProject(t, h, "idmapno", nil)
	file := func(user, source, more string) {
		p.write("compose.yaml", fmt.Sprintf("services:\n  web:\n    image: busybox\n    init: true\n    command: [sleep, infinity]\n    user: %q\n    volumes:\n      - type: bind\n        source: %s\n        target: /srv\n        bind:\n          x-idmap: match-user\n%s", user, filepath.Join(dir, source), more))
	}
	for _, c := range []struct {
		user, source string
		told         []string
	}{
		{"33:44", "overlay", []string{"compose.yaml:12:20: error: a bind cannot have x-idmap", "its file system (overlay)", `user: "1234:1234"`}},
		{"33:44", "tree", []string{"compose.yaml:12:20: error: a bind cannot have x-idmap", "or one that is mounted below it", "recursive: disabled"}},
		{"33:44", "roots", []string{"compose.yaml:12:20: error: a bind cannot have x-idmap", "belongs to root and the container's user is 33:44", "give the source another owner"}},
		{"33:44", "nothing", []string{"compose.yaml:12:20: error: a bind cannot have x-idmap", "is not there, and nobody would know whose"}},
	} {
		file(c.user, c.source, "")
		r := p.fails(1, c.told, "up", "--detach")
		if strings.Contains(r.stderr, "Network") || len(p.ps()) > 0 {
			t.Errorf("%s: something was made: %s", c.source, r)
		}
	}
	file("33:44", "tree", "          recursive: disabled\n")
	p.ok("up", "--detach")
	equal(t, "inside", p.ok("exec", "-T", "web", "sh", "-c", "stat -c %u:%g /srv"), "33:44\n")
	p.ok("down", "--timeout", "0")
	// Nothing is mapped where there is nothing to: root's directory is root's.
	file("", "roots", "")
	p.ok("up", "--detach")
	equal(t, "inside", p.ok("exec", "-T", "web", "sh", "-c", "touch /srv/a; stat -c %u:%g /srv/a"), "0:0\n")
	// The image's or a name's user is known at the start only.
	if err := os.Chown(filepath.Join(dir, "tree"), 1234, 0); err != nil {
		t.Fatal(err)
	}
	file("33:44", "tree", "          recursive: disabled\n")
	p.fails(1, []string{"compose.yaml:", "belongs to 1234:0 and the container's user is 33:44"}, "up", "--detach")
	// Who the user is must not depend on what is mounted over the files that say so.
	if err := os.Chown(filepath.Join(dir, "tree"), 1234, 1234); err != nil {
		t.Fatal(err)
	}
	p.write("passwd", "root:x:0:0::/:/bin/sh\nsomebody:x:77:88::/:/bin/sh\n")
	file("somebody", "tree", "          recursive: disabled\n      - ./passwd:/etc/passwd\n")
	p.fails(1, []string{"somebody", "for x-idmap it is to be in the image's own files, or in numbers"}, "up", "--detach")
	p.write("passwd", "root:x:0:99::/:/bin/sh\n")
	file("root", "tree", "          recursive: disabled\n      - ./passwd:/etc/passwd\n")
	p.fails(1, []string{"x-idmap: it is 0:0 by the image's own", "0:99 by what is mounted over them"}, "up", "--detach")
	p.write("compose.yaml", "services:\n  web:\n    image: busybox\n    volumes:\n      - {type: bind, source: ., target: /x, bind: {x-idmap: all}}\n")
	p.fails(1, []string{"compose.yaml:5:", "match-user"}, "config")
}
