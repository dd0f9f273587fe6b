package e2e

import (
	"fmt"
	"net"
	"testing"
)

// TestPortTakenAtStart: start, restart and run tell a port that somebody has as an up does: who, where the file says so and what to do, before anything is changed.
func TestPortTakenAtStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	p := newProject(t, theHost(t), "takenstart", map[string]string{"compose.yaml": fmt.Sprintf(`services:
  first:
    image: busybox
    init: true
    command: [sleep, infinity]
  web:
    image: busybox
    init: true
    command: [sleep, infinity]
    depends_on: [first]
    ports: ["127.0.0.1:%d:80"]
`, port)})
	p.ok("create")
	owner := fmt.Sprintf("cannot publish 127.0.0.1:%d/tcp: port is already allocated, to ", port)
	told := []string{"compose.yaml:11:13: error: a port that is to be published is taken: " + owner, "hint: stop its owner, or publish another port, or let one be chosen with `stack up --auto-ports`"}
	p.fails(1, told, "start")
	p.fails(1, told, "restart")
	for name, c := range p.ps() {
		if c.State != "created" {
			t.Errorf("%s is %s: something was started", name, c.State)
		}
	}
	before := len(p.ps())
	p.fails(1, []string{told[0], "hint: stop its owner, or publish another port"}, "run", "--no-deps", "-T", "-P", "web", "true")
	p.fails(1, []string{"error: a port that is to be published is taken: " + owner, "hint: stop its owner"}, "run", "--detach", "-p", fmt.Sprintf("127.0.0.1:%d:8080", port), "first")
	if now := len(p.ps()); now != before {
		t.Errorf("there were %d containers and are %d", before, now)
	}
	// One that runs has its own port, also while it is restarted; its owner is named to a one-off.
	taken.Close()
	p.ok("start")
	p.ok("restart", "--timeout", "0")
	p.fails(1, []string{owner + "container takenstart-web-1", "hint: stop its owner"}, "run", "--no-deps", "-T", "-P", "web", "true")
	p.ok("run", "--rm", "--no-deps", "-T", "web", "true")
}
