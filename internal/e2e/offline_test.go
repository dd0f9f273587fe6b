package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// asksNobody fails t if what do does makes the registry of h hear of it.
func (h *host) asksNobody(t *testing.T, do func()) {
	t.Helper()
	before := len(h.registry.Requests())
	do()
	if all := h.registry.Requests(); len(all) != before {
		t.Errorf("a registry was asked: %q", all[before:])
	}
}

// TestOffline: nothing is fetched with --offline. All that is missing is told at once, with its place and before anything is changed; what is here is taken as it is,
// whatever pull policies say; and without the flag all is as ever.
func TestOffline(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	const runs = "    init: true\n    command: [sleep, infinity]\n"
	p := newProject(t, h, "offline", map[string]string{
		"compose.yaml": "services:\n  web:\n    image: nowhere.invalid/web:1\n" + runs +
			"  db:\n    image: busybox\n    pull_policy: always\n" + runs +
			"  app:\n    build: app\n" + runs +
			"    pre_start: [{image: nowhere.invalid/first:2, command: [\"true\"]}]\n" +
			"  tool:\n    build: {dockerfile_inline: \"FROM nowhere.invalid/tool:3\"}\n    profiles: [tools]\n",
		"app/Dockerfile": "FROM nowhere.invalid/base:4 AS base\n\nFROM busybox\nCOPY --from=base /x /x\nCOPY --from=nowhere.invalid/files:5 /y /y\nADD https://nowhere.invalid/file /z\n",
	})
	missing := []string{
		"compose.yaml:3:12: error: the image is not on this host, and nothing is fetched offline", "service web needs nowhere.invalid/web:1", "`stack pull web` gets it when online", "stack load -i FILE",
		"service db needs busybox",
		"app/Dockerfile:1:1: error: a build would have to fetch something", "the image of service app needs nowhere.invalid/base:4", "app/Dockerfile:5:1: ", "needs nowhere.invalid/files:5",
		"app/Dockerfile:3:1: ", "the image of service app needs busybox", "app/Dockerfile:6:1: ", "needs https://nowhere.invalid/file", "put the file beside the Dockerfile and COPY it",
	}
	h.asksNobody(t, func() {
		for _, verb := range [][]string{{"up", "--detach"}, {"create"}} {
			r := p.fails(1, missing, append(verb, "--offline")...)
			if strings.Contains(r.stderr, "Network") || len(p.ps()) > 0 {
				t.Errorf("%s: something was made: %s", verb[0], r)
			}
		}
		p.fails(1, []string{"service app needs nowhere.invalid/first:2"}, "up", "--offline", "app") // a create does not run it
		p.fails(1, missing, "plan", "--offline")
		p.fails(1, []string{"service web needs nowhere.invalid/web:1", "service db needs busybox"}, "pull", "--offline")
		p.fails(1, []string{"needs nowhere.invalid/base:4", "needs nowhere.invalid/files:5"}, "build", "--offline")
		p.fails(1, []string{"compose.yaml:17:32: ", "the image of service tool needs nowhere.invalid/tool:3: FROM nowhere.invalid/tool:3 (line 1 of it)"}, "--profile", "tools", "build", "--offline", "tool")
		p.fails(1, []string{"service web needs nowhere.invalid/web:1"}, "run", "--offline", "web", "true")
		for _, line := range [][]string{{"up", "--pull", "always"}, {"build", "--pull"}, {"build", "--push"}, {"run", "--pull", "always", "web"}} {
			p.fails(1, []string{"--offline and --"}, append([]string{line[0], "--offline"}, line[1:]...)...)
		}
		p.fails(1, []string{"cannot push: --offline"}, "push", "--offline")
		p.write(".env", "STACK_OFFLINE=maybe\n")
		p.fails(1, []string{`STACK_OFFLINE="maybe": expected 1 or 0`}, "up")
		p.write(".env", "")
	})
	p.write("compose.yaml", "services:\n  db:\n    image: busybox\n    pull_policy: always\n"+runs+"  app:\n    build: app\n    develop: {watch: [{path: app, action: rebuild}]}\n"+runs)
	p.write("app/Dockerfile", "FROM busybox\nCOPY Dockerfile /here\nRUN echo done\n")
	p.ok("pull")
	h.asksNobody(t, func() {
		contains(t, "pull --offline", p.run("pull", "--offline").stderr, "busybox  Skipped", "nothing is fetched offline")
		p.ok("up", "--detach", "--offline")
		p.write("app/more", "more\n")
		p.write("app/Dockerfile", "FROM busybox\nCOPY more /here\nRUN echo done\n")
		p.write(".env", "STACK_OFFLINE=1\n")
		p.ok("up", "--detach", "--build")
		p.ok("build")
		equal(t, "in the container", p.ok("run", "--rm", "-T", "app", "cat", "/here"), "more\n")
		// What has a container that runs is not touched by what is missing.
		before := p.ids()
		p.write("app/Dockerfile", "FROM nowhere.invalid/base:4\n")
		p.fails(1, []string{"app/Dockerfile:1:1", "needs nowhere.invalid/base:4"}, "up", "--detach", "--build", "--force-recreate")
		p.fails(1, []string{"app/Dockerfile:1:1", "needs nowhere.invalid/base:4"}, "watch")
		if now := p.ids(); fmt.Sprint(now) != fmt.Sprint(before) {
			t.Errorf("containers were %v and are %v", before, now)
		}
	})
	asked := len(h.registry.Requests())
	if p.ok("--offline=false", "pull", "db"); len(h.registry.Requests()) == asked {
		t.Error("--offline=false asks nobody where .env says STACK_OFFLINE=1")
	}
}

// TestOfflineSources: sources of builds and files in git are not fetched offline, unless they are named by a commit that was fetched before.
func TestOfflineSources(t *testing.T) {
	url := gitServer(t, map[string]string{"Dockerfile": "FROM busybox\n", "compose.yaml": "services:\n  web: {image: busybox}\n"})
	p := newBuilds(t, "offsources", map[string]string{"compose.yaml": "services:\n  web:\n    build:\n      context: " + url + "#main\n"})
	p.fails(1, []string{"compose.yaml:4:16: error: cannot fetch the sources of a build", url + "#main: it is not fetched offline", "build without --offline"}, "build", "--offline")
	p.fails(1, []string{url + ": error: cannot fetch: it is not fetched offline"}, "--offline", "-f", url, "config")
	p.fails(1, []string{"oci://nowhere.invalid/a: error: cannot fetch: it is not fetched offline"}, "--offline", "-f", "oci://nowhere.invalid/a", "config")
	p.ok("build")
	refs, err := exec.Command("git", "ls-remote", url, "refs/heads/main").Output()
	commit, _, ok := strings.Cut(string(refs), "\t")
	if err != nil || !ok {
		t.Fatalf("git ls-remote: %q, %v", refs, err)
	}
	p.write("compose.yaml", "services:\n  web:\n    build:\n      context: "+url+"#"+commit+"\n")
	p.ok("build", "--offline")
}

// TestOfflineDaemon: `offline: true` of the configuration keeps the daemon from registries, whoever asks.
func TestOfflineDaemon(t *testing.T) {
	h := ownHost(t)
	h.configure(t, "offline: true")
	h.startDaemon(t)
	p := newProject(t, h, "offdaemon", map[string]string{"compose.yaml": "services:\n  web:\n    image: busybox\n    command: [sleep, infinity]\n"})
	h.asksNobody(t, func() {
		p.fails(1, []string{"compose.yaml:3:12: error: the image is not on this host, and nothing is fetched offline", "service web needs busybox"}, "up", "--detach")
		p.fails(1, []string{"service web needs busybox"}, "pull")
	})
}
