package e2e

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// manyOf is project i of many: all of them ask for the same names, and for ports of their own and of the daemon's choice.
func manyOf(i int) string {
	return fmt.Sprintf(`
services:
  web:
    image: busybox
    init: true
    environment: {ME: many%[1]d}
    command: ["sh", "-c", "mkdir /www; echo $$ME >/www/index.html; exec httpd -f -p 80 -h /www"]
    ports: ["127.0.0.1:%[2]d:80", "127.0.0.1::80"]
    depends_on: {db: {condition: service_healthy}}
  db:
    image: busybox
    init: true
    environment: {ME: many%[1]d}
    command: ["sh", "-c", "echo $$ME >/data/me; mkdir /www; cp /data/me /www/index.html; exec httpd -f -p 80 -h /www"]
    volumes: [data:/data]
    healthcheck: {test: ["CMD", "test", "-s", "/www/index.html"], interval: 1s}
volumes:
  data:
`, i, 19000+i)
}

// TestManyProjects brings many projects up and down at once, by a command each: every one ends as if it had been alone.
func TestManyProjects(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	var projects []*project
	for i := range shortOrLong(12, 50) {
		p := &project{t: t, host: h, name: fmt.Sprintf("many%d", i), dir: filepath.Join(h.dir, fmt.Sprintf("many%d", i))}
		p.write("compose.yaml", manyOf(i))
		projects = append(projects, p)
	}
	all := func(args ...string) { t.Helper(); together(h, projects, args...) }
	all("up", "--detach", "--wait")
	seen := map[string]string{} // what there may be once only → whose it is
	once := func(what, owner string) {
		t.Helper()
		if other, taken := seen[what]; taken {
			t.Errorf("%s is %s's and %s's", what, other, owner)
		}
		seen[what] = owner
	}
	for _, p := range projects {
		web := p.one(p.name + "-web-1")
		served := 0
		for _, port := range web.Publishers {
			if port.PublishedPort == 0 {
				continue
			}
			served++
			once(fmt.Sprintf("port %d", port.PublishedPort), p.name)
			p.eventually(fmt.Sprintf("port %d serves %s", port.PublishedPort, p.name), func() bool {
				_, body, _, err := get(fmt.Sprintf("http://127.0.0.1:%d/", port.PublishedPort))
				return err == nil && body == p.name+"\n"
			})
		}
		if served != 2 {
			t.Errorf("%s publishes %d ports: %v", p.name, served, web.Publishers)
		}
		once("container "+web.ID, p.name)
		p.reaches("web", "db", p.name+"\n") // the health check of db looks at its page, not at its server
		var subnet string
		for _, service := range []string{"web", "db"} {
			f := strings.Fields(p.sh(service, "ip -4 -o addr show eth0"))
			at, err := netip.ParsePrefix(f[3])
			if err != nil {
				t.Fatalf("%s of %s: %q: %v", service, p.name, f, err)
			}
			once("address "+at.Addr().String(), p.name)
			if subnet != "" && subnet != at.Masked().String() {
				t.Errorf("%s is in two subnets: %s, %s", p.name, subnet, at.Masked())
			}
			subnet = at.Masked().String()
		}
		once("subnet "+subnet, p.name)
		if n := len(p.ps()); n != 2 {
			t.Errorf("%s has %d containers", p.name, n)
		}
	}
	before := (&crashRun{t: t, h: h}).living()
	all("up", "--detach", "--wait")
	for name, c := range (&crashRun{t: t, h: h}).living() {
		if before[name].pid != c.pid {
			t.Errorf("another up of all restarted %s", name)
		}
	}
	all("down", "--volumes", "--timeout", "0")
	h.settled(t)
	for _, dir := range h.objects() {
		for _, left := range below(t, dir) {
			if strings.Contains(left, "many") {
				t.Errorf("left in %s: %s", dir, left)
			}
		}
	}
	t.Logf("%d projects", len(projects))
}

// TestManyUpsOfOneProject: ten commands at once that want the same get it once.
func TestManyUpsOfOneProject(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	p := newProject(t, h, "same", map[string]string{"compose.yaml": chainOf("1")})
	results := make([]result, 10)
	var work sync.WaitGroup
	for i := range results {
		work.Go(func() { results[i] = p.run("up", "--detach", "--wait") })
	}
	work.Wait()
	for _, r := range results {
		if r.code != 0 {
			t.Errorf("%s", r)
		}
	}
	r := &crashRun{crashCase: crashCase{name: p.name}, t: t, h: h}
	for i := range 5 {
		begins := 0
		p.eventually(fmt.Sprintf("s%d has begun", i), func() bool { // it is healthy before it has written a line
			begins = r.countsRight("ten ups", fmt.Sprintf("s%d-1", i))
			return begins > 0
		})
		if begins != 1 {
			t.Errorf("s%d was started %d times", i, begins)
		}
	}
	if n := len(p.ps()); n != 5 {
		t.Errorf("there are %d containers", n)
	}
}

// together runs one command for each of projects at once, all of h. Each must succeed.
func together(h *host, projects []*project, args ...string) {
	t := projects[0].t
	t.Helper()
	results := make([]result, len(projects))
	var work sync.WaitGroup
	for i, p := range projects {
		work.Go(func() { results[i] = p.run(args...) })
	}
	work.Wait()
	for _, r := range results {
		if r.code != 0 {
			t.Errorf("%s", r)
		}
	}
	if t.Failed() {
		t.Logf("the daemon's log:\n%s", h.daemonLog(20))
	}
}
