package e2e

import (
	"strings"
	"testing"
)

// TestHooks: what hooks leave in a volume says when and as whom they ran, and their output is in the log.
func TestHooks(t *testing.T) {
	p := compose(t, "hooks", `
services:
  web:
    image: busybox
    command: sleep 1000
    init: true
    volumes: ["data:/d"]
    post_start:
      - command: sh -c 'echo up $$WHO $$(id -u) $$PWD >> /d/ran; chmod 666 /d/ran; echo hello from the hook; echo a fault >&2'
        working_dir: /tmp
        environment: [WHO=hook]
      - command: ["sh", "-c", "echo second $$(id -u) >> /d/ran"]
        user: "7"
    pre_stop:
      - command: sh -c 'echo down >> /d/ran; echo bye from the hook'
  other:
    image: busybox
    command: sleep 1000
    init: true
    volumes: ["data:/d"]
volumes: {data: {}}
`)
	ran := func(want string) {
		t.Helper()
		equal(t, "what the hooks wrote", strings.ReplaceAll(p.sh("other", "cat /d/ran; : > /d/ran"), "\n", ", "), want)
	}
	p.up()
	ran("up hook 0 /tmp, second 7")
	log := p.run("logs", "--no-color", "web")
	contains(t, "the log", log.stdout, "| -> hello from the hook")
	contains(t, "the log of stderr", log.stdout, "| -> a fault")
	p.ok("restart", "web", "-t", "1")
	ran("down, up hook 0 /tmp, second 7")
	p.ok("stop", "web", "-t", "1")
	ran("down")
	contains(t, "the log", p.ok("logs", "--no-color", "web"), "| -> bye from the hook")
	p.ok("start", "web")
	ran("up hook 0 /tmp, second 7")
	p.ok("kill", "web")
	ran("")
	p.ok("run", "--rm", "-T", "web", "sh", "-c", "until grep -q second /d/ran; do sleep 0.05; done")
	ran("up hook 0 /tmp, second 7")
	p.up()
	ran("up hook 0 /tmp, second 7")

	p.write("compose.yaml", `
services:
  web:
    image: busybox
    command: sleep 1000
    init: true
    post_start: [{command: sh -c 'echo this is why; exit 3'}]
    pre_stop: [{command: "false"}]
  other: {image: busybox, command: sleep 1000, init: true, volumes: ["data:/d"]}
volumes: {data: {}}
`)
	p.fails(1, []string{"compose.yaml:7:", "cannot run post_start[0] of container hooks-web-1", "exited with code 3: this is why"}, "up", "-d")
	ran("down")
	equal(t, "the container whose post_start failed", p.one("hooks-web-1").State, "running")
	p.fails(1, []string{"cannot stop container hooks-web-1: cannot run pre_stop[0]", `"false" exited with code 1`}, "stop", "web")
	equal(t, "the container whose pre_stop failed", p.one("hooks-web-1").State, "running")
	p.ok("kill", "web") // nothing keeps it from that, nor from the end of this test
}
