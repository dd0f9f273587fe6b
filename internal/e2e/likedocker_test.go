package e2e

import (
	"strings"
	"testing"
)

// TestTmpfsModes: a tmpfs without a mode has that of the directory that it covers, and where there is none 01777, at each start.
func TestTmpfsModes(t *testing.T) {
	p := compose(t, "tmpfsmodes", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    tmpfs: [/etc, /made/below, "/said:mode=0750"]
    volumes: [{type: tmpfs, target: /made/volume}]
`)
	p.up()
	for _, start := range []string{"up", "restart", "a second restart"} {
		equal(t, "modes after "+start, p.sh("app", "echo $(stat -c %a /etc /made/below /made/volume /said)"), "755 1777 1777 750")
		p.ok("restart", "app")
	}
}

// TestHostnames: a container on the host's network has the host's name, and a name with dots is known by its first part too.
func TestHostnames(t *testing.T) {
	p := compose(t, "hostnames", `
services:
  host: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, network_mode: host}
  plain: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, network_mode: host, uts: host}
  full: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, hostname: web.example.com}
`)
	p.up()
	want := p.sh("plain", "hostname")
	equal(t, "names on the host's network", p.sh("host", "echo $(hostname) $HOSTNAME $(cat /etc/hostname)"), strings.Join([]string{want, want, want}, " "))
	contains(t, "the hosts file", p.sh("full", "cat /etc/hosts"), "\tweb.example.com web")
}
