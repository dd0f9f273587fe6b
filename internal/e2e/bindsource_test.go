package e2e

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// absent fails t when there is something at path.
func absent(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is there, or cannot be looked at: %v", path, err)
	}
}

// TestSocketThatIsNotThere: no directory is made in the place of a socket.
func TestSocketThatIsNotThere(t *testing.T) {
	p := compose(t, "nosocket", `
services:
  proxy:
    image: busybox
    init: true
    command: sleep 1000
    volumes: [./mine.sock:/mine.sock]
`)
	mine := filepath.Join(p.dir, "mine.sock")
	p.fails(1, []string{"compose.yaml:7:15: error: a socket of the host that is to be mounted is not there", "start the program that makes it"}, "up", "--detach")
	absent(t, mine)
	p.fails(1, []string{"no such socket on the host"}, "run", "--rm", "--volume", mine+":/other.sock", "proxy", "true")
	absent(t, mine)

	if err := os.Symlink(p.host.run("stack.sock"), mine); err != nil {
		t.Fatal(err)
	}
	p.up()
	p.sh("proxy", "test -S /mine.sock")
}

// TestFileThatIsNotThere: an up that fails since a file to mount was mistyped says so, and leaves no directory of that name, nor those above it. Where a directory is what is
// wanted, it is told that it was made.
func TestFileThatIsNotThere(t *testing.T) {
	const file = `
services:
  web:
    image: busybox
    init: true
    command: sleep 1000
    volumes: ["%s", "./have/new:/data"]
`
	p := compose(t, "nofile", strings.Replace(file, "%s", "./conf/passwrd:/etc/passwd:ro", 1))
	if err := os.Mkdir(filepath.Join(p.dir, "have"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.fails(1, []string{"compose.yaml:7:15: error: cannot start container nofile-web-1", "the target is a file", "there was nothing at " + filepath.Join(p.dir, "conf/passwrd") + " on this host"}, "up", "--detach")
	absent(t, filepath.Join(p.dir, "conf"))
	absent(t, filepath.Join(p.dir, "have", "new"))
	if _, err := os.Stat(filepath.Join(p.dir, "have")); err != nil {
		t.Error("what was there before is gone:", err)
	}

	p.write("compose.yaml", strings.Replace(file, "%s", "./have/new:/more", 1))
	contains(t, "stderr", p.run("up", "--detach").stderr, "Directory "+filepath.Join(p.dir, "have/new")+"  Created")
	if _, err := os.Stat(filepath.Join(p.dir, "have", "new")); err != nil {
		t.Error(err)
	}
}

// TestSourceThatCannotBeMade: the error of a creation has the place of the mount that it is about, and what is told on the way has the error without the place.
func TestSourceThatCannotBeMade(t *testing.T) {
	p := compose(t, "belowfile", `
services:
  web:
    image: busybox
    command: sleep 1000
    volumes:
      - ./dir:/dir
      - ./compose.yaml/sub:/sub
`)
	r := p.fails(1, []string{"compose.yaml:8:9: error: cannot create container belowfile-web-1: ", "compose.yaml/sub: not a directory",
		"\n Container belowfile-web-1  Error  cannot create container belowfile-web-1: cannot mount "}, "up", "--detach")
	if strings.Contains(r.stderr, "Error  "+p.dir) {
		t.Error(r)
	}
	absent(t, filepath.Join(p.dir, "dir"))
}

// TestRestartWithoutASource: what could not be started again is not stopped, and it is said which mount has lost its source.
func TestRestartWithoutASource(t *testing.T) {
	p := compose(t, "lostsource", `
services:
  web:
    image: busybox
    init: true
    command: sleep 1000
    volumes:
      - {type: bind, source: ./conf, target: /conf, bind: {create_host_path: false}}
`)
	conf := filepath.Join(p.dir, "conf")
	if err := os.Mkdir(conf, 0o755); err != nil {
		t.Fatal(err)
	}
	p.up()
	if err := os.Remove(conf); err != nil {
		t.Fatal(err)
	}
	before := p.runs("web")
	p.fails(1, []string{"compose.yaml:8:9: error: cannot restart container lostsource-web-1, which runs on: ", "mount at /conf is not there", conf}, "restart")
	equal(t, "its run", p.runs("web"), before)
	p.ok("stop", "--timeout", "0")
	p.fails(1, []string{"compose.yaml:8:9: error: cannot start container lostsource-web-1: ", conf, "it is the source of the mount at /conf, and must exist"}, "start")
	absent(t, conf)
	if err := os.Mkdir(conf, 0o755); err != nil {
		t.Fatal(err)
	}
	p.ok("start")
	p.ok("restart", "--timeout", "0")
}

// TestLostSourceIsMadeAgain: a directory that up has made for a mount and that has gone since is made again by whatever starts the container next, which says so, and by its
// restart policy.
func TestLostSourceIsMadeAgain(t *testing.T) {
	p := compose(t, "madeagain", `
services:
  web:
    image: busybox
    init: true
    command: sleep 1000
    restart: always
    volumes: ["./deep/data:/data"]
  borrower:
    image: busybox
    init: true
    command: sleep 1000
    volumes_from: [web]
`)
	p.up()
	data := filepath.Join(p.dir, "deep/data")
	lose := func() {
		t.Helper()
		if err := os.RemoveAll(filepath.Dir(data)); err != nil {
			t.Fatal(err)
		}
	}
	for _, again := range [][]string{{"restart", "--timeout", "0", "web"}, {"start", "web"}, {"up", "--detach", "web"}} {
		if again[0] != "restart" {
			p.ok("stop", "--timeout", "0", "web")
		}
		lose()
		r := p.run(again...)
		if r.code != 0 {
			t.Fatal(r)
		}
		contains(t, again[0], r.stderr, "Directory "+data+"  Created")
		p.sh("web", "touch /data/"+again[0])
		if _, err := os.Stat(filepath.Join(data, again[0])); err != nil {
			t.Error(err)
		}
	}
	lose()
	before := p.runs("web")
	if err := syscall.Kill(p.status(p.one("madeagain-web-1").ID).Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.changed("web", before)
	if _, err := os.Stat(data); err != nil {
		t.Error(err)
	}
	lose()
	p.ok("restart", "--timeout", "0", "borrower")
	p.sh("borrower", "test -d /data")
}
