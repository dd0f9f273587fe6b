package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/roots"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/proto"
)

// status is what the monitor of a running container has left for whoever adopts it.
func (p *project) status(id string) proto.Status {
	p.t.Helper()
	b, err := os.ReadFile(p.host.run("containers", id, proto.StatusName))
	if err != nil {
		p.t.Fatal(err)
	}
	var s proto.Status
	if err := json.Unmarshal(b, &s); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// runs tells one run of a container from every other: empty while it does not run.
func (p *project) runs(service string) string {
	c, ok := p.ps()[p.name+"-"+service+"-1"]
	if !ok || c.State != "running" || c.Health != "" && c.Health != "healthy" {
		return ""
	}
	b, err := os.ReadFile(p.host.run("containers", c.ID, proto.StatusName))
	var s proto.Status
	if err != nil || json.Unmarshal(b, &s) != nil {
		return ""
	}
	return fmt.Sprintf("%s %d/%d", c.ID, s.Pid, s.PidStart)
}

// changed waits until service runs in another run than before.
func (p *project) changed(service, before string) {
	p.t.Helper()
	p.eventually(service+" runs again", func() bool { now := p.runs(service); return now != "" && now != before })
}

// serves waits until the published port answers.
func (p *project) serves(port string) {
	p.t.Helper()
	p.eventually("port "+port+" answers", func() bool {
		code, _, _, err := get("http://127.0.0.1:" + port + "/")
		return err == nil && code == 200
	})
}

const healing = `
services:
  db:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 100ms
    volumes: [data:/data]
    healthcheck: {test: "true", interval: 1s}
  web:
    image: busybox
    command: ` + httpd + `
    stop_grace_period: 100ms
    ports: ["127.0.0.1:%d:80"]
    mem_limit: 64m
    depends_on:
      db: {condition: service_healthy, restart: true}
  side:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 100ms
    depends_on: [db]
volumes:
  data:
`

func mustKill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// TestHealsContainers: killed or deleted by other hands they come back, dependents with restart: true follow, others do not.
func TestHealsContainers(t *testing.T) {
	p := compose(t, "healc", fmt.Sprintf(healing, 18190))
	p.up()
	for _, d := range []struct {
		what, service string
		fresh         bool // another container
		do            func(id string)
	}{
		{"its init is killed", "db", false, func(id string) { mustKill(t, p.status(id).Pid) }},
		{"its monitor is killed", "side", false, func(id string) { mustKill(t, p.status(id).MonitorPid) }},
		{"its record is deleted", "web", true, func(id string) {
			if err := os.RemoveAll(p.host.state("containers", id)); err != nil {
				t.Fatal(err)
			}
		}},
		{"all of it is deleted", "db", true, func(id string) {
			s := p.status(id)
			mustKill(t, s.MonitorPid)
			for _, dir := range []string{p.host.state("containers", id), p.host.state("snapshots", id), p.host.run("containers", id)} {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
			}
		}},
	} {
		p.ok("up", "--detach", "--wait") // forgives what was before
		before := map[string]string{}
		for _, s := range []string{"db", "web", "side"} {
			before[s] = p.runs(s)
		}
		c := p.one("healc-" + d.service + "-1")
		d.do(c.ID)
		p.changed(d.service, before[d.service])
		if now := p.one("healc-" + d.service + "-1"); (now.ID != c.ID) != d.fresh {
			t.Errorf("%s: container %.12s, then %.12s", d.what, c.ID, now.ID)
		}
		if d.service == "db" {
			p.changed("web", before["web"])
		}
		p.serves("18190")
		if d.service != "side" {
			equal(t, d.what+": side", p.runs("side"), before["side"])
		}
		p.eventually(d.what+": nothing differs", func() bool { return p.run("drift").code == 0 })
	}
	contains(t, "the daemon's log", p.host.daemonLog(200), "it was killed, and not by a command", "name=healc-db-1")
}

// TestHealingRespectsWishes: what a command has stopped, or the file says in so many words, is left.
func TestHealingRespectsWishes(t *testing.T) {
	p := compose(t, "healw", `
services:
  a: {image: busybox, command: [sleep, infinity]}
  b: {image: busybox, command: [sleep, infinity], restart: "no"}
  c: {image: busybox, command: [sleep, infinity]}
  d: {image: busybox, command: [sleep, infinity]}
`)
	p.up("a", "b", "c")
	p.ok("stop", "--timeout", "0", "a")
	mustKill(t, p.status(p.one("healw-b-1").ID).Pid)
	p.eventually("b has ended", func() bool { return p.one("healw-b-1").State == "exited" })
	before := p.runs("c")
	mustKill(t, p.status(p.one("healw-c-1").ID).Pid)
	p.changed("c", before) // by then the others would be back too
	equal(t, "a", p.one("healw-a-1").State, "exited")
	equal(t, "b", p.one("healw-b-1").State, "exited")
	if _, ok := p.ps()["healw-d-1"]; ok {
		t.Error("d was brought up by nobody")
	}
}

// TestHealsNetworks: bridge, veth, firewall and namespace come back around running containers.
func TestHealsNetworks(t *testing.T) {
	p := compose(t, "healn", fmt.Sprintf(healing, 18191))
	p.up()
	p.serves("18191")
	for _, d := range []struct {
		what string
		do   func(id string)
	}{
		{"the bridge is removed", func(string) { removeLinks(t, "bridge") }},
		{"the veths are removed", func(string) { removeLinks(t, "veth") }},
		{"the firewall is flushed", func(string) { flushFirewall(t, p.host) }},
		{"the namespace's file is unmounted and removed", func(id string) {
			path := p.host.run("netns", id)
			if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		p.ok("up", "--detach", "--wait")
		p.serves("18191")
		before := p.runs("web")
		d.do(p.one("healn-web-1").ID)
		p.eventually(d.what+": it serves again", func() bool {
			code, _, _, err := get("http://127.0.0.1:18191/")
			return err == nil && code == 200 && p.run("drift").code == 0
		})
		equal(t, d.what+": web runs on", p.runs("web"), before)
		p.sh("side", "nslookup web >/dev/null && wget -q -O - http://web/")
	}
}

// removeLinks deletes the project's links of a kind with other hands.
func removeLinks(t *testing.T, kind string) {
	t.Helper()
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, l := range links {
		if l.Type() == kind && netlink.LinkDel(l) == nil {
			n++
		}
	}
	if n == 0 {
		t.Fatalf("there is no %s", kind)
	}
}

// flushFirewall deletes the tables of h with other hands.
func flushFirewall(t *testing.T, h *host) {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := c.ListTables()
	if err != nil || len(tables) == 0 {
		t.Fatalf("tables: %v, %v", tables, err)
	}
	instance := roots.Roots{State: h.state(), Run: h.run()}.Instance()
	for _, table := range tables {
		if strings.Contains(table.Name, instance) {
			c.DelTable(table)
		}
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

// TestHealsVolumes: a volume's directory is made again, and who mounts it restarted.
func TestHealsVolumes(t *testing.T) {
	p := compose(t, "healv", fmt.Sprintf(healing, 18192))
	p.up()
	p.sh("db", "echo one > /data/file")
	before := p.runs("db")
	if err := os.RemoveAll(p.host.state("volumes", "healv_data", "_data")); err != nil {
		t.Fatal(err)
	}
	p.changed("db", before)
	p.sh("db", "test ! -e /data/file && echo two > /data/file")
	if b, err := os.ReadFile(p.host.state("volumes", "healv_data", "_data", "file")); err != nil || string(b) != "two\n" {
		t.Errorf("the volume holds %q, %v", b, err)
	}
}

// TestHealsLimits: a cgroup limit that other hands have changed is put back as the container runs.
func TestHealsLimits(t *testing.T) {
	p := compose(t, "heall", "services:\n  web: {image: busybox, command: [sleep, infinity], mem_limit: 64m}\n")
	p.up()
	web, id := p.runs("web"), p.one("heall-web-1").ID
	limit := memoryLimit(t, id)
	if err := os.WriteFile(limit, []byte(strconv.Itoa(128<<20)), 0o644); err != nil {
		t.Fatal(err)
	}
	p.eventually("the limit is put back", func() bool {
		b, err := os.ReadFile(limit)
		return err == nil && strings.TrimSpace(string(b)) == strconv.Itoa(64<<20)
	})
	equal(t, "web runs on", p.runs("web"), web)
}

// memoryLimit is the file of a container's limit, in either version.
func memoryLimit(t *testing.T, id string) string {
	t.Helper()
	var found string
	filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error { //nolint:errcheck // found says it
		if err == nil && strings.Contains(path, id) && (d.Name() == "memory.limit_in_bytes" || d.Name() == "memory.max") {
			found = path
		}
		return nil
	})
	if found == "" {
		t.Fatalf("container %.12s has no memory limit", id)
	}
	return found
}

// TestHealsUnhealthy: a container that its health check calls unhealthy is restarted, and the cause is told.
func TestHealsUnhealthy(t *testing.T) {
	p := compose(t, "healu", `
services:
  app:
    image: busybox
    command: ["sh", "-c", "touch /tmp/ok; exec sleep infinity"]
    stop_grace_period: 100ms
    healthcheck: {test: "test -e /tmp/ok", interval: 100ms, retries: 2, start_period: 1h}
  user:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 100ms
    depends_on:
      app: {condition: service_healthy, restart: true}
`)
	p.up()
	app, user := p.runs("app"), p.runs("user")
	p.sh("app", "rm /tmp/ok")
	p.changed("app", app)
	p.changed("user", user)
	contains(t, "the daemon's log", p.host.daemonLog(100), "it is unhealthy")
}

// TestReboot: after a power cut with a run root that is empty, what was up comes up in its order, and what was stopped stays so.
func TestReboot(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	p := &project{t: t, host: h, name: "boot", dir: filepath.Join(t.TempDir(), "boot")}
	p.write("compose.yaml", `
services:
  db:
    image: busybox
    command: ["sh", "-c", "sleep 0.3; touch /tmp/up; exec sleep infinity"]
    tmpfs: [/tmp]
    healthcheck: {test: "test -e /tmp/up", interval: 1s}
  web:
    image: busybox
    command: `+httpd+`
    ports: ["127.0.0.1:18193:80"]
    depends_on: {db: {condition: service_healthy}}
  stopped:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 100ms
    restart: always
  done:
    image: busybox
    command: ["true"]
`)
	t.Cleanup(p.takeDownWholly)
	p.ok("up", "--detach", "--wait")
	p.ok("stop", "--timeout", "0", "stopped")
	p.serves("18193")
	ids := idsOf(p.ps())

	pids := map[string]proto.Status{}
	for _, s := range []string{"db", "web"} {
		pids[s] = p.status(p.one("boot-" + s + "-1").ID)
	}
	h.killDaemon(t)
	for _, s := range pids {
		mustKill(t, s.MonitorPid) // the containers go with it
		mustKill(t, s.Pid)
	}
	for _, s := range pids {
		sandbox.Eventually(t, "everything has ended", func() bool { return syscall.Kill(s.Pid, 0) != nil })
	}
	removeLinks(t, "bridge")
	flushFirewall(t, h)
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(h.run("netns"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		// EINVAL: the daemon was killed between the unmount and the removal of what a container that had ended had.
		if err := unix.Unmount(h.run("netns", e.Name()), unix.MNT_DETACH); err != nil && err != unix.EINVAL {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(h.run()); err != nil {
		t.Fatal(err)
	}
	anotherBoot(t, h)

	h.startDaemon(t)
	p.serves("18193")
	equal(t, "containers", idsOf(p.ps()), ids)
	db, web := p.status(p.one("boot-db-1").ID), p.status(p.one("boot-web-1").ID)
	// Not StartedAt of db: its program begins before that is taken.
	if ready, err := os.Stat(fmt.Sprintf("/proc/%d/root/tmp/up", db.Pid)); err != nil || web.StartedAt.Before(ready.ModTime()) {
		t.Errorf("web was started at %s, before db, of %s, was healthy: %v, %v", web.StartedAt, db.StartedAt, ready, err)
	}
	equal(t, "stopped", p.one("boot-stopped-1").State, "exited")
	equal(t, "done", p.one("boot-done-1").State, "exited")
	p.ok("exec", "-T", "web", "wget", "-q", "-O", "-", "http://web/")
}

// anotherBoot makes the records of runs those of another boot of the host: the kernel is the same one here.
func anotherBoot(t *testing.T, h *host) {
	t.Helper()
	runs, err := filepath.Glob(h.state("containers", "*", "run.json"))
	if err != nil || len(runs) == 0 {
		t.Fatalf("%v, %v", runs, err)
	}
	for _, path := range runs {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var r map[string]any
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
		r["boot"] = "00000000-0000-0000-0000-000000000000"
		if b, err = json.Marshal(r); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHealsSharedNetworks: who lives in the network of a service that was stopped and started has been left behind in a namespace of
// which nobody else knows, and is started again.
func TestHealsSharedNetworks(t *testing.T) {
	p := compose(t, "heals", `
services:
  owner:
    image: busybox
    command: `+httpd+`
    stop_grace_period: 100ms
  side:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 100ms
    network_mode: service:owner
`)
	p.up()
	before := p.runs("side")
	p.ok("stop", "owner")
	p.ok("start", "owner")
	p.changed("side", before)
	p.reaches("side", "127.0.0.1", "")
	contains(t, "the daemon's log", p.host.daemonLog(100), "the network namespace of heals-owner-1, which it lives in, was made anew")
}
