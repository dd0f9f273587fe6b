package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

// unmount takes a mount away inside a container, with other hands.
func unmount(t *testing.T, pid int, target string) {
	t.Helper()
	if out, err := exec.Command(sandbox.Tool(t, "nsenter"), "--target="+strconv.Itoa(pid), "--mount", "--", "umount", target).CombinedOutput(); err != nil {
		t.Fatalf("umount %s: %v: %s", target, err, out)
	}
}

// TestDriftNamesEveryDamage: with healing: false everything that other hands can damage is named, with what is wrong, and nothing is touched; up
// mends it.
func TestDriftNamesEveryDamage(t *testing.T) {
	h := ownHost(t)
	h.configure(t, "healing: false")
	h.startDaemon(t)
	p := &project{t: t, host: h, name: "drift", dir: filepath.Join(t.TempDir(), "drift")} // ownHost looks at what is left
	p.write("compose.yaml", fmt.Sprintf(healing, 18194))
	t.Cleanup(p.takeDownWholly)
	p.up("--wait")
	for _, d := range []struct {
		what       string
		do         func(id func(service string) string)
		name, said string // of the difference that is named
	}{
		{"killed", func(id func(string) string) { mustKill(t, p.status(id("side")).Pid) }, "drift-side-1", "it has exited with code 137"},
		{"deleted", func(id func(string) string) {
			if err := os.RemoveAll(h.state("containers", id("web"))); err != nil {
				t.Fatal(err)
			}
		}, "drift-web-1", "it does not exist"},
		{"bridge", func(func(string) string) { removeLinks(t, "bridge") }, "drift_default", ""},
		{"veth", func(func(string) string) { removeLinks(t, "veth") }, "drift-web-1", ""},
		{"firewall", func(func(string) string) { flushFirewall(t, h) }, "drift_default", ""},
		{"netns", func(id func(string) string) {
			if err := unix.Unmount(h.run("netns", id("web")), unix.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
		}, "drift-web-1", "namespace"},
		{"mount", func(id func(string) string) { unmount(t, p.status(id("db")).Pid, "/data") }, "drift-db-1", "/data"},
		{"volume", func(func(string) string) {
			if err := os.RemoveAll(h.state("volumes", "drift_data", "_data")); err != nil {
				t.Fatal(err)
			}
		}, "drift_data", ""},
		{"limit", func(id func(string) string) {
			if err := os.WriteFile(memoryLimit(t, id("web")), []byte(strconv.Itoa(128<<20)), 0o644); err != nil {
				t.Fatal(err)
			}
		}, "drift-web-1", "memory"},
	} {
		if r := p.run("drift"); r.code != 0 || !strings.Contains(r.stdout, "this host is as the file of the last up says") {
			t.Fatalf("before %s: %s", d.what, r)
		}
		d.do(func(service string) string { return p.one("drift-" + service + "-1").ID })
		// An end is known when the monitor has told it; everything else at the next look.
		p.eventually(d.what+" is a difference", func() bool { return p.run("drift").code == 2 })
		r := p.run("drift")
		contains(t, d.what, r.stdout, "  "+d.name+"\n", d.said)
		var found struct {
			Project string
			Changes []struct {
				ID      struct{ Kind, Name string }
				Name    string
				Action  string
				Reasons []struct{ Path string }
			}
		}
		if r = p.run("drift", "--format", "json"); r.code != 2 || json.Unmarshal([]byte(r.stdout), &found) != nil {
			t.Fatalf("%s: %s", d.what, r)
		}
		named := false
		for _, c := range found.Changes {
			if c.Name == d.name && c.ID.Kind != "" && c.Action != "" && len(c.Reasons) > 0 {
				named = named || strings.Contains(c.Reasons[0].Path, d.said) && c.Reasons[0].Path != ""
			}
		}
		if !named || found.Project != "drift" {
			t.Errorf("%s: %s", d.what, r.stdout)
		}

		p.ok("up", "--detach", "--wait")
	}
}

// TestHealsMounts: a mount that other hands take away inside a container comes back with a restart of it.
func TestHealsMounts(t *testing.T) {
	p := compose(t, "healm", fmt.Sprintf(healing, 18195))
	p.up("--wait")
	p.sh("db", "echo one > /data/file")
	db, web, side := p.runs("db"), p.runs("web"), p.runs("side")
	unmount(t, p.status(p.one("healm-db-1").ID).Pid, "/data")
	p.changed("db", db)
	equal(t, "what is in the volume", p.sh("db", "cat /data/file"), "one")
	p.changed("web", web)
	equal(t, "side", p.runs("side"), side)
}

// TestLeftUnhealthy: what five restarts do not cure is left as it is, and told; a new up begins the count anew. The restarts are 0, 1, 2, 4 and 8 seconds
// apart: that is what it takes.
func TestLeftUnhealthy(t *testing.T) {
	p := compose(t, "healb", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 10ms
    volumes: [./flags:/flags]
    healthcheck: {test: "test ! -e /flags/ill", interval: 50ms, retries: 1}
`)
	if err := os.Mkdir(filepath.Join(p.dir, "flags"), 0o755); err != nil {
		t.Fatal(err)
	}
	p.up("--wait")
	id := p.one("healb-app-1").ID
	earlier, err := os.ReadFile(p.host.log)
	if err != nil {
		t.Fatal(err)
	}
	said := func() string {
		all, err := os.ReadFile(p.host.log)
		if err != nil {
			t.Fatal(err)
		}
		return string(all[len(earlier):])
	}
	p.write("flags/ill", "")
	p.eventually("it is left unhealthy", func() bool { return strings.Contains(said(), "left unhealthy") })
	count := func() int {
		n := 0
		for line := range strings.SplitSeq(said(), "\n") {
			if strings.Contains(line, "msg=healed") && strings.Contains(line, "project=healb") {
				n++
			}
		}
		return n
	}
	if n := count(); n != 5 {
		t.Errorf("it was restarted %d times:\n%s", n, p.host.daemonLog(40))
	}
	if c := p.one("healb-app-1"); c.ID != id || c.State != "running" || c.Health != "unhealthy" {
		t.Errorf("%+v", c)
	}
	p.run("up", "--detach") // forgives
	p.eventually("it is restarted again", func() bool { return count() > 5 })
	if err := os.Remove(filepath.Join(p.dir, "flags/ill")); err != nil {
		t.Fatal(err)
	}
	p.eventually("it is healthy", func() bool { return p.one("healb-app-1").Health == "healthy" })
}
