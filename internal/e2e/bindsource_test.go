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

// TestSocketThatIsNotThere: no directory is made in the place of a socket, and of docker's it is told how the daemon gets there.
func TestSocketThatIsNotThere(t *testing.T) {
	p := compose(t, "nosocket", `
services:
  proxy:
    image: busybox
    init: true
    command: sleep 1000
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock:ro
      - ./mine.sock:/mine.sock
`)
	docker, mine := "/var/run/docker.sock", filepath.Join(p.dir, "mine.sock")
	p.fails(1, []string{"compose.yaml:8:9: error: a socket of the host that is to be mounted is not there", "ln -s " + p.host.run("stack.sock") + " " + docker,
		"compose.yaml:9:9: error: a socket of the host", "start the program that makes it"}, "up", "--detach")
	absent(t, docker)
	absent(t, mine)
	p.fails(1, []string{"no such socket on the host"}, "run", "--rm", "--volume", mine+":/other.sock", "proxy", "true")
	absent(t, mine)

	for _, link := range []string{docker, mine} {
		if err := os.Symlink(p.host.run("stack.sock"), link); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(link) })
	}
	p.up()
	p.sh("proxy", "test -S /var/run/docker.sock && test -S /mine.sock")
}
