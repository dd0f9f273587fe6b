package e2e

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// smallHost is an instance whose state root is a file system of its own, of size; fill leaves it no room, until room is called.
func smallHost(t *testing.T, size string) (h *host, fill, room func()) {
	t.Helper()
	h = ownHost(t)
	state := h.state()
	if err := os.MkdirAll(state, 0o711); err != nil {
		t.Fatal(err)
	}
	mountTmpfs(t, state, "size="+size+",mode=711")
	h.makeDirs(t)
	filler := filepath.Join(state, "filler")
	fill = func() {
		t.Helper()
		f, err := os.OpenFile(filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for _, n := range []int{1 << 20, 4096} {
			for err = nil; err == nil; {
				_, err = f.Write(make([]byte, n))
			}
		}
		if !errors.Is(err, unix.ENOSPC) {
			t.Fatal(err)
		}
	}
	return h, fill, func() {
		t.Helper()
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFullDiskEndsNothing: on a full disk nothing that runs is ended for what cannot come in its place, and what is asked for says so; what needs no room works, down too. With
// room all is as before.
func TestFullDiskEndsNothing(t *testing.T) {
	h, fill, room := smallHost(t, "48m")
	h.startDaemon(t)
	p := newProject(t, h, "full", map[string]string{"compose.yaml": `
services:
  db: {image: busybox, command: [sleep, infinity], init: true, stop_grace_period: 0s, volumes: [/data]}
  web:
    image: busybox
    command: [sh, -c, "echo $$LEVEL; exec sleep infinity"]
    environment: {LEVEL: "${LEVEL:-1}"}
    init: true
    stop_grace_period: 0s
    depends_on: {db: {condition: service_started, restart: true}}
`})
	p.up()
	p.sh("db", "echo kept >/data/x")
	before := p.living(t)
	same := func(after string) {
		t.Helper()
		for name, pid := range p.living(t) {
			if pid != before[name] {
				t.Errorf("after %s %s is process %d, it was %d", after, name, pid, before[name])
			}
		}
		equal(t, "containers after "+after, names(p.ids()), "full-db-1 full-web-1")
	}
	fill()
	full := []string{"no space left on"}
	p.fails(1, append(full, "the file system of "+h.state(), "`stack gc`"), "restart")
	same("a restart")
	p.fails(1, full, "restart", "db")
	same("a restart of what web depends on")
	p.fails(1, full, "up", "--detach", "--force-recreate")
	same("a recreate")
	p.env = []string{"LEVEL=2"}
	p.fails(1, full, "up", "--detach")
	same("an up of another file")
	p.ok("logs")
	room()

	p.ok("restart")
	p.ok("up", "--detach")
	p.eventually("web says its level", func() bool { return p.sh("web", "echo $LEVEL") == "2" })
	equal(t, "what is in the anonymous volume", p.sh("db", "cat /data/x"), "kept")
	equal(t, "containers", names(p.ids()), "full-db-1 full-web-1")

	fill()
	p.ok("down", "--volumes", "--timeout", "0")
	equal(t, "containers", names(p.ids()), "")
	room()
	p.ok("up", "--detach")
	p.takeDownWholly()
	for _, dir := range []string{"containers", "snapshots"} {
		if left, err := os.ReadDir(h.state(dir)); err != nil || len(left) > 0 {
			t.Errorf("left in %s: %v, %v", dir, left, err)
		}
	}
}

// TestFullDiskKeepsNothingDown: a container that crashes on a full disk is started again by its policy as on another, more than once.
func TestFullDiskKeepsNothingDown(t *testing.T) {
	h, fill, room := smallHost(t, "48m")
	h.startDaemon(t)
	p := newProject(t, h, "crash", map[string]string{"compose.yaml": `
services:
  web: &crash
    image: busybox
    command: [sh, -c, "trap 'exit 3' TERM; while :; do sleep 0.05; done"]
    restart: always
  few:
    <<: *crash
    restart: on-failure:2
`})
	p.up()
	crash := func(service string) {
		t.Helper()
		before := p.living(t)["crash-"+service+"-1"]
		p.ok("kill", "--signal", "TERM", service)
		p.eventually(service+" runs again", func() bool {
			now := p.living(t)["crash-"+service+"-1"]
			return now != 0 && now != before
		})
	}
	p.eventually("room is kept", func() bool {
		kept, err := filepath.Glob(filepath.Join(h.state("containers"), "*", ".run.json.reserve"))
		return err == nil && len(kept) == 2
	})
	fill()
	for range 3 {
		crash("web")
	}
	crash("few")
	room()
	crash("few")
	p.takeDownWholly()
}

// names are the keys of m, in order.
func names(m map[string]string) string { return strings.Join(slices.Sorted(maps.Keys(m)), " ") }
