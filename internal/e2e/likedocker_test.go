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

// TestFilesOfThePlatform: the file by which programs know that they run in a container, and /etc/hosts and its like, which a
// read-only container cannot write.
func TestFilesOfThePlatform(t *testing.T) {
	p := compose(t, "platformfiles", `
services:
  open: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s}
  shut: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, read_only: true}
`)
	p.up()
	const write = "for f in /etc/hosts /etc/hostname /etc/resolv.conf; do echo '# mine' >> $f && echo $f; done 2>/dev/null; true"
	for _, service := range []string{"open", "shut"} {
		equal(t, "/.dockerenv of "+service, p.sh(service, "stat -c '%F %a %u:%g' /.dockerenv"), "regular empty file 755 0:0")
	}
	equal(t, "what a container may write", p.sh("open", write), "/etc/hosts\n/etc/hostname\n/etc/resolv.conf")
	equal(t, "what a read-only one may write", p.sh("shut", write), "")
}
