package e2e

import "testing"

// TestExposedPorts: ps shows what a running container listens on without publishing it, and port does not take it for published.
func TestExposedPorts(t *testing.T) {
	p := compose(t, "exposed", `
services:
  web:
    image: busybox
    command: [sleep, infinity]
    expose: ["80", "9000-9001/udp"]
    ports: ["127.0.0.1:18081:80"]
  none:
    image: busybox
    command: [sleep, infinity]
    network_mode: none
    expose: ["81"]
`)
	p.up()
	equal(t, "PORTS", p.ok("ps", "web", "--format", "{{.Ports}}"), "127.0.0.1:18081->80/tcp, 9000/udp, 9001/udp\n")
	equal(t, "PORTS without a network", p.ok("ps", "none", "--format", "{{.Ports}}"), "\n")
	p.fails(1, []string{"9000"}, "port", "--protocol", "udp", "web", "9000")
	p.ok("stop", "--timeout", "0", "web")
	equal(t, "PORTS of one that is stopped", p.ok("ps", "--all", "web", "--format", "{{.Ports}}"), "\n")
}
