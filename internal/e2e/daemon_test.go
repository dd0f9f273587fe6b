package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

// TestDaemonKilled: containers run on, the next daemon takes them over, and nothing is lost or restarted.
func TestDaemonKilled(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	// What the killed daemon leaves (sysctls, its socket) is the next one's: compare the project's objects only.
	p := &project{t: t, host: h, name: "survive", dir: filepath.Join(t.TempDir(), "survive")}
	p.write("compose.yaml", `
services:
  web:
    image: busybox
    hostname: web
    command: `+httpd+`
    ports: ["127.0.0.1:18085:80"]
  ticker:
    image: busybox
    command: ["sh", "-c", "i=0; while :; do i=$$((i+1)); echo tick $$i; sleep 0.05; done"]
  oneshot:
    image: busybox
    command: ["sh", "-c", "while ! test -e /go/now; do sleep 0.05; done; exit 9"]
    volumes: ["./go:/go"]
`)
	t.Cleanup(p.takeDownWholly)
	p.ok("up", "--detach")
	p.eventually("the server has begun to listen", func() bool {
		code, _, _, err := get("http://127.0.0.1:18085/")
		return err == nil && code == 200
	})
	ids := idsOf(p.ps())
	h.killDaemon(t)
	p.write("go/now", "")
	code, body, _, err := get("http://127.0.0.1:18085/")
	if err != nil || code != 200 || body != "web\n" {
		t.Errorf("without a daemon the published port gives %d, %q, %v", code, body, err)
	}
	h.startDaemon(t)
	equal(t, "containers", idsOf(p.ps()), ids)
	equal(t, "web", p.one("survive-web-1").State, "running")
	p.eventually("the exit status is not lost", func() bool {
		c := p.one("survive-oneshot-1")
		return c.State == "exited" && c.ExitCode == 9
	})
	n := 0
	for line := range strings.Lines(p.ok("logs", "--no-log-prefix", "ticker")) {
		n++
		if want := "tick " + strconv.Itoa(n) + "\n"; line != want {
			t.Fatalf("line %d of the log is %q, want %q", n, line, want)
		}
	}
	r := p.run("up", "--detach", "web", "ticker")
	if r.code != 0 {
		t.Errorf("up after a crash: %s", r)
	}
	equal(t, "web was not recreated", p.one("survive-web-1").ID, idOf(ids, "survive-web-1"))
	p.ok("exec", "-T", "web", "true")
	p.ok("down", "--volumes", "--timeout", "0")
	for _, dir := range h.objects() {
		if strings.HasSuffix(dir, "network") {
			continue
		}
		p.eventually("nothing is left in "+dir, func() bool { return len(below(t, dir)) == 0 }) // a down does not wait for all of it
	}
}

// TestLeavesNothing: a new instance, up, down --volumes. The image and empty directories stay, and nothing else.
func TestLeavesNothing(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	p := newProject(t, h, "nothing", map[string]string{"compose.yaml": `
services:
  web:
    image: busybox
    command: ` + httpd + `
    ports: ["127.0.0.1:18086:80"]
    volumes: [data:/data, /anonymous]
    networks: [a, b]
    mem_limit: 64m
volumes:
  data:
networks:
  a:
  b: {internal: true}
`})
	p.up()
	p.ok("down", "--volumes", "--timeout", "0")
	// newProject compares.
}

// TestAutoStart: the first command starts a daemon; without a project it leaves by itself.
func TestAutoStart(t *testing.T) {
	h := ownHost(t)
	h.env = append(h.env, "STACK_IDLE=1s")
	p := &project{t: t, host: h, name: "auto", dir: filepath.Join(t.TempDir(), "auto")}
	p.write("compose.yaml", "services:\n  app:\n    image: busybox\n    command: [sleep, infinity]\n")
	t.Cleanup(p.takeDownWholly)
	p.up()
	equal(t, "app", p.one("auto-app-1").State, "running")
	p.ok("down", "--timeout", "0")
	sandbox.Eventually(t, "the daemon leaves when it has nothing to do", func() bool {
		s, err := sandbox.Take()
		return err == nil && !slices.ContainsFunc(s.Processes, func(p string) bool { return strings.Contains(p, h.state()) })
	})
	if _, err := os.Stat(h.run("stack.sock")); err == nil {
		t.Error("the daemon left its socket behind")
	}
}

// TestShutOut: a daemon that nobody can reach any more, since its socket or more of the run root was removed, leaves and says so. The next one has the containers, those that it cannot
// find again made anew.
func TestShutOut(t *testing.T) {
	for name, x := range map[string]struct {
		removed []string // below the run root
		same    bool     // the container runs on
	}{
		"its socket":               {[]string{"stack.sock"}, true},
		"its lock":                 {[]string{"daemon.lock"}, true},
		"and where containers are": {[]string{"containers", "stack.sock"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := ownHost(t)
			h.env = append(h.env, "STACK_IDLE=1s")
			h.startDaemon(t)
			p := &project{t: t, host: h, name: "shut", dir: filepath.Join(t.TempDir(), "shut")}
			p.write("compose.yaml", "services:\n  app:\n    image: busybox\n    command: [sleep, infinity]\n")
			t.Cleanup(p.takeDownWholly)
			p.up()
			begun := p.sh("app", "cut -d' ' -f22 /proc/1/stat")
			for _, name := range x.removed {
				if err := os.RemoveAll(h.run(name)); err != nil {
					t.Fatal(err)
				}
			}
			select {
			case <-h.ended:
			case <-time.After(patience):
				t.Fatalf("the daemon stays; what it does:\n%s", h.stacks(t))
			}
			contains(t, "the daemon's log", h.daemonLog(5), "other hands have removed")
			h.daemon = nil
			p.eventually("the container runs", func() bool { return p.one("shut-app-1").State == "running" })
			if now := p.sh("app", "cut -d' ' -f22 /proc/1/stat"); (now == begun) != x.same {
				t.Errorf("the program began at %q and now at %q", begun, now)
			}
			p.ok("down", "--timeout", "0")
		})
	}
}

// TestUpgrade: the commands of a new version take the place of the daemon that one of the old has started; containers run on. While a command of the
// old one is connected it stays, and the user is told.
func TestUpgrade(t *testing.T) {
	h := ownHost(t)
	h.env = append(h.env, "STACK_IDLE=1s")
	newer := h.bin
	older, version := otherVersion(t, h)
	p := &project{t: t, host: h, name: "upgrade", dir: filepath.Join(t.TempDir(), "upgrade")}
	p.write("compose.yaml", "services:\n  app:\n    image: busybox\n    command: [sh, -c, echo here; exec sleep infinity]\n")
	t.Cleanup(func() { h.bin = newer; p.run("down", "--volumes", "--timeout", "0") })
	h.bin = older
	p.up()
	before := p.one("upgrade-app-1")
	begun := p.sh("app", "cut -d' ' -f22 /proc/1/stat")
	follower := p.begin("logs", "--follow").says("here")
	h.bin = newer
	p.fails(1, []string{version}, "ps")
	follower.signal(syscall.SIGKILL).cmd.Wait() //nolint:errcheck // it was killed
	sandbox.Eventually(t, "the new version answers", func() bool { return p.run("up", "--detach").code == 0 })
	after := p.one("upgrade-app-1")
	equal(t, "the container", after.ID+" "+after.State, before.ID+" "+before.State)
	equal(t, "its process", p.sh("app", "cut -d' ' -f22 /proc/1/stat"), begun)
}

func TestVersionAndDoctor(t *testing.T) {
	p := compose(t, "info", "services:\n  app:\n    image: busybox\n")
	version := strings.TrimSpace(p.ok("version", "--short"))
	contains(t, "version", p.ok("version"), version)
	var v struct{ Version string }
	if err := json.Unmarshal([]byte(p.ok("version", "--format", "json")), &v); err != nil || v.Version != version {
		t.Errorf("version --format json: %+v, %v; want %s", v, err, version)
	}
	if r := p.run("doctor"); r.code != 0 || !strings.Contains(r.stdout, "overlay") {
		t.Errorf("doctor: %s", r)
	}
}

// TestProgressJSON: one JSON object per line on stderr, and errors too.
func TestProgressJSON(t *testing.T) {
	p := compose(t, "progress", "services:\n  app:\n    image: busybox\n    command: [sleep, infinity]\n")
	r := p.run("--progress", "json", "up", "--detach")
	lines := 0
	for line := range strings.Lines(r.stderr) {
		lines++
		var v map[string]any
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Errorf("not JSON: %q", line)
		}
	}
	if r.code != 0 || lines == 0 {
		t.Errorf("%s", r)
	}
	r = p.run("--progress", "json", "up", "--detach", "nosuch")
	contains(t, "an error", r.stderr, `"error":true`)
}

func idOf(ids, name string) string {
	for line := range strings.Lines(ids) {
		if n, id, _ := strings.Cut(strings.TrimSpace(line), "="); n == name {
			return id
		}
	}
	return ""
}

// below lists what dir holds; a missing dir holds nothing.
func below(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// TestFollowersOutliveTheDaemon: `logs --follow` and `events` go on with the next daemon when theirs is killed, or ends; of the logs no line is missing or
// twice.
func TestFollowersOutliveTheDaemon(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.env = append(h.env, "STACK_IDLE=1h") // commands start the daemon
	k := &killer{t: t, h: h}
	t.Cleanup(k.endDaemons)
	p := &project{t: t, host: h, name: "followed", dir: filepath.Join(h.dir, "followed")}
	p.write("compose.yaml", chainOf("1"))
	t.Cleanup(p.takeDownWholly)
	p.ok("up", "--detach", "--wait")
	all := []*running{p.begin("logs", "--follow", "--no-color", "--tail", "3", "s0", "s1"), p.begin("logs", "--follow", "--no-color", "s2")}
	events := p.begin("events")
	grow := func(when string) {
		t.Helper()
		for _, r := range all {
			size := len(r.text())
			p.eventually("the log grows "+when, func() bool { return len(r.text()) > size+200 })
		}
	}
	for n, signal := range []unix.Signal{unix.SIGKILL, unix.SIGTERM, unix.SIGKILL} {
		grow("before a kill")
		for _, pid := range k.daemons() {
			unix.Kill(pid, signal) //nolint:errcheck // seen below
		}
		p.eventually("events says that a next daemon tells", func() bool { return strings.Count(events.text(), "the next one tells") == n+1 })
	}
	grow("at the end")
	p.ok("restart", "--timeout", "0", "s4")
	events.says("followed-s4-1")
	for _, r := range append(all, events) {
		r.signal(syscall.SIGINT)
		r.ends(130)
	}
	last := map[string]int{}
	for _, r := range all {
		for line := range strings.Lines(r.text()) {
			name, text, _ := strings.Cut(line, "|")
			n, err := strconv.Atoi(strings.TrimSpace(text))
			if err != nil {
				continue // "begin"
			}
			if before, known := last[name]; known && n != before+1 {
				t.Errorf("%s: %d comes after %d", strings.TrimSpace(name), n, before)
			}
			last[name] = n
		}
	}
	if len(last) != 3 {
		t.Errorf("there are lines of %v", last)
	}
}
