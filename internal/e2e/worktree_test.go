package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// checkoutFile is a file with everything that a host has once: a name of the project, a container, a network, a volume and an image with names of their own, a port.
const checkoutFile = `
name: shop
services:
  web:
    build: {dockerfile_inline: "FROM busybox\nCOPY me /me\n"}
    image: shop/web:dev
    container_name: shop_web
    init: true
    command: ["sh", "-c", "mkdir /www; cat /me /data/me >/www/index.html; exec httpd -f -p 80 -h /www"]
    ports: ["127.0.0.1:18080:80"]
    volumes: [data:/data]
    networks: [back]
    depends_on: {fill: {condition: service_completed_successfully}}
  fill:
    image: shop/web:dev
    command: ["sh", "-c", "cp /me /data/me"]
    volumes: [data:/data]
    network_mode: none
  probe:
    image: busybox
    init: true
    command: ["sleep", "infinity"]
    networks: [back]
networks:
  back: {name: shop_back}
volumes:
  data: {name: shop_data}
`

// portLine is a row of ports --format json.
type portLine struct {
	Service          string
	Replica, Target  int
	Protocol, HostIP string
	Published        int
	Asked            string
}

func (p *project) ports(args ...string) (all []portLine) {
	p.t.Helper()
	for line := range strings.Lines(p.ok(append([]string{"ports", "--format", "json"}, args...)...)) {
		var row portLine
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			p.t.Fatalf("%q: %v", line, err)
		}
		all = append(all, row)
	}
	return all
}

// checkout is one of several directories with the same file.
func checkout(t *testing.T, h *host, at, name string, files map[string]string) *project {
	t.Helper()
	p := &project{t: t, host: h, name: name, dir: filepath.Join(h.dir, at, name)}
	for f, content := range files {
		write(t, filepath.Join(p.dir, f), content)
	}
	var project struct{ Name string }
	if err := json.Unmarshal([]byte(p.ok("config", "--format", "json")), &project); err != nil {
		t.Fatal(err)
	}
	p.name = project.Name
	return p
}

// TestSameProjectTwice: two checkouts of one repository, which say so in their .env, are two projects: with names, volumes, networks, images and ports of
// their own, which each finds again, whatever happens to the daemon.
func TestSameProjectTwice(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	var all []*project
	for _, at := range []string{"main", "fix"} {
		all = append(all, checkout(t, h, at, "shop", map[string]string{"compose.yaml": checkoutFile, ".env": "STACK_ISOLATED=1\nSTACK_AUTO_PORTS=1\n", "me": at + "\n"}))
	}
	if all[0].name == all[1].name || !strings.HasPrefix(all[0].name, "shop-") {
		t.Fatalf("the projects are called %s and %s", all[0].name, all[1].name)
	}
	ports := map[int]bool{}
	serves := func(p *project, want string, port int) {
		t.Helper()
		p.eventually(fmt.Sprintf("port %d serves %s", port, want), func() bool {
			_, body, _, err := get(fmt.Sprintf("http://127.0.0.1:%d/", port))
			return err == nil && body == want+"\n"+want+"\n"
		})
	}
	of := map[*project]portLine{}
	for i, p := range all {
		p.up()
		rows := p.ports()
		if len(rows) != 1 || rows[0].Asked != "18080" || rows[0].Target != 80 || rows[0].HostIP != "127.0.0.1" || rows[0].Service != "web" || rows[0].Replica != 1 || rows[0].Protocol != "tcp" || ports[rows[0].Published] {
			t.Fatalf("%s publishes %+v", p.name, rows)
		}
		of[p] = rows[0]
		ports[rows[0].Published] = true
		serves(p, []string{"main", "fix"}[i], rows[0].Published)
		equal(t, "stack port", strings.TrimSpace(p.ok("port", "web", "80")), fmt.Sprintf("127.0.0.1:%d", rows[0].Published))
		equal(t, "for a shell", p.ok("ports", "--format", "env"), fmt.Sprintf("WEB_PORT_80_TCP_ADDR=127.0.0.1\nWEB_PORT_80_TCP_PORT=%d\n", rows[0].Published))
		equal(t, "by the name that the file gives it", p.sh("probe", "wget -q -O - http://shop_web/"), []string{"main\nmain", "fix\nfix"}[i])
		if r := p.run("plan"); r.code != 0 {
			t.Errorf("a plan after it: %s", r)
		}
	}
	if !ports[18080] {
		t.Errorf("nobody has the port of the file: %v", ports)
	}

	// Each is another project to every verb, and ls says where it is.
	var listed []struct{ Name, Directory string }
	if err := json.Unmarshal([]byte(all[0].ok("ls", "--format", "json")), &listed); err != nil {
		t.Fatal(err)
	}
	table := all[0].ok("ls")
	for _, p := range all {
		if !slices.ContainsFunc(listed, func(l struct{ Name, Directory string }) bool { return l.Name == p.name && l.Directory == p.dir }) {
			t.Errorf("ls does not say where %s is: %v", p.name, listed)
		}
		if !strings.Contains(table, "DIRECTORY") || !strings.Contains(table, p.dir+"\n") {
			t.Errorf("the table of ls:\n%s", table)
		}
	}
	volumes := all[0].ok("volumes", "--quiet") + all[1].ok("volumes", "--quiet")
	for _, p := range all {
		if !strings.Contains(volumes, "shop_data"+strings.TrimPrefix(p.name, "shop")+"\n") {
			t.Errorf("the volumes are\n%s", volumes)
		}
	}

	fix := all[1]
	same := func(when string) {
		t.Helper()
		if rows := fix.ports(); len(rows) != 1 || rows[0] != of[fix] {
			t.Errorf("%s it publishes %+v, before %+v", when, rows, of[fix])
		}
		serves(fix, "fix", of[fix].Published)
	}
	all[0].ok("down", "--volumes", "--timeout", "0") // 18080 is free again
	fix.up("--force-recreate", "--timeout", "0")
	same("made anew")
	h.killDaemon(t)
	h.startDaemon(t)
	same("after the daemon was killed")
	fix.ok("stop", "--timeout", "0")
	fix.up()
	same("stopped and started")
	fix.ok("down", "--volumes", "--timeout", "0")
	h.settled(t)
}

// TestAutoPortsTold: what is chosen is told with its place and its reason, by plan, by up and in a saved plan, which keeps to it; without being asked to choose, an up
// is refused and says how to ask. down forgets.
func TestAutoPortsTold(t *testing.T) {
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	asked := taken.Addr().(*net.TCPAddr).Port
	p := compose(t, "told", fmt.Sprintf("services:\n  web:\n    image: busybox\n    init: true\n    command: [\"httpd\", \"-f\", \"-p\", \"80\"]\n    ports: [\"127.0.0.1:%d:80\"]\n", asked))
	p.fails(1, []string{fmt.Sprintf("127.0.0.1:%d/tcp: port is already allocated, to", asked), "compose.yaml:6:", "--auto-ports"}, "up", "--detach")
	plan := p.run("plan", "--auto-ports", "-o", "saved.plan")
	if plan.code != 2 || !strings.Contains(plan.stderr, "compose.yaml:6:") || !strings.Contains(plan.stderr, fmt.Sprintf("in place of %d", asked)) || !strings.Contains(plan.stderr, "port is already allocated, to") {
		t.Fatalf("the plan says %s", plan)
	}
	p.ok("apply", "saved.plan")
	rows := p.ports("web")
	if len(rows) != 1 || !strings.Contains(plan.stderr, fmt.Sprintf("publishes %d in place", rows[0].Published)) {
		t.Errorf("apply has published %+v, and the plan said %s", rows, plan)
	}
	if up := p.run("up", "--detach", "--auto-ports"); up.code != 0 || strings.Contains(up.stderr, "in place of") {
		t.Errorf("what is chosen already is told again: %s", up)
	}
	taken.Close()
	p.ok("up", "--detach", "--auto-ports=false", "--timeout", "0")
	if rows = p.ports(); len(rows) != 1 || rows[0].Published != asked {
		t.Errorf("with the file's ports it publishes %+v", rows)
	}
	equal(t, "by a template", p.ok("ports", "--format", "{{.Service}} {{.Published}}"), fmt.Sprintf("web %d\n", asked))
	p.ok("down", "--timeout", "0")
	if rows = p.ports(); len(rows) != 0 {
		t.Errorf("after a down there are %+v", rows)
	}
}

// TestAutoPortsAtOnce: many projects that publish one and the same port, brought up by a command each at once, with a daemon that is killed in between: each has a port of
// its own and keeps it.
func TestAutoPortsAtOnce(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	var projects []*project
	for i := range shortOrLong(12, 50) {
		p := &project{t: t, host: h, name: fmt.Sprintf("auto%d", i), dir: filepath.Join(h.dir, fmt.Sprintf("auto%d", i))}
		p.write("compose.yaml", fmt.Sprintf(`
services:
  web:
    image: busybox
    init: true
    command: ["sh", "-c", "mkdir /www; echo auto%d >/www/index.html; exec httpd -f -p 80 -h /www"]
    ports: ["127.0.0.1:19000:80"]
    stop_grace_period: 0s
`, i))
		projects = append(projects, p)
	}
	all := func(args ...string) {
		t.Helper()
		if together(h, projects, args...); t.Failed() {
			t.FailNow()
		}
	}
	all("up", "--detach", "--wait", "--auto-ports")
	first, owner := map[*project]int{}, map[int]string{}
	look := func() map[*project]int {
		t.Helper()
		now := map[*project]int{}
		for _, p := range projects {
			rows := p.ports()
			if len(rows) != 1 {
				t.Fatalf("%s publishes %+v", p.name, rows)
			}
			now[p] = rows[0].Published
			p.eventually(fmt.Sprintf("port %d serves %s", now[p], p.name), func() bool {
				_, body, _, err := get(fmt.Sprintf("http://127.0.0.1:%d/", now[p]))
				return err == nil && body == p.name+"\n"
			})
		}
		return now
	}
	for p, port := range look() {
		if other := owner[port]; other != "" {
			t.Errorf("%s and %s have port %d", other, p.name, port)
		}
		first[p], owner[port] = port, p.name
	}
	if owner[19000] == "" {
		t.Error("nobody has the port of the file")
	}
	h.killDaemon(t)
	h.startDaemon(t)
	all("up", "--detach", "--wait", "--force-recreate")
	for p, port := range look() {
		if port != first[p] {
			t.Errorf("%s had port %d and has %d", p.name, first[p], port)
		}
	}
	all("down", "--volumes", "--timeout", "0")
	h.settled(t)
	t.Logf("%d projects", len(projects))
}

// autoPortBefore is the port that the project of the crash test had before its update.
var autoPortBefore int

// takeAutoPort has the port that the project of the crash test asks for.
func takeAutoPort(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:18097")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

func (p *project) writeAutoPort(level string) {
	p.write(".env", "STACK_AUTO_PORTS=1\n")
	p.write("compose.yaml", fmt.Sprintf(`
services:
  web:
    image: busybox
    init: true
    stop_grace_period: 0s
    command: ["sh", "-c", "mkdir /www; echo %s >/www/index.html; exec httpd -f -p 80 -h /www"]
    ports: ["127.0.0.1:18097:80"]
`, level))
}
