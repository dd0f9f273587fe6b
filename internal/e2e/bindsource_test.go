package e2e

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

// TestRestartWithoutASource: what could not be started again is not stopped, and it is said which mount has lost its source.
func TestRestartWithoutASource(t *testing.T) {
	p := compose(t, "lostsource", `
services:
  web:
    image: busybox
    init: true
    command: sleep 1000
    volumes: ["./conf:/conf"]
`)
	p.up()
	conf := filepath.Join(p.dir, "conf")
	if err := os.Remove(conf); err != nil {
		t.Fatal(err)
	}
	before := p.pidsOf("web")
	p.fails(1, []string{"compose.yaml:7:15: error: cannot restart container lostsource-web-1, which runs on: ", "mount at /conf is not there", conf}, "restart")
	equal(t, "processes", p.pidsOf("web"), before)
	if err := os.Mkdir(conf, 0o755); err != nil {
		t.Fatal(err)
	}
	p.ok("restart", "--timeout", "0")
}
