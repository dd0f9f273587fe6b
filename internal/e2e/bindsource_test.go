package e2e

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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
