package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// newBuilds is a project on the shared host whose images are built, and goes at the end of t with them and what the builder keeps.
func newBuilds(t *testing.T, name string, files map[string]string) *project {
	t.Helper()
	p := newProject(t, theHost(t), name, files)
	t.Cleanup(func() {
		p.run("--project-name", name, "down", "--volumes", "--timeout", "0", "--rmi", "local")
		p.run("gc", "--check") // which keeps nothing ready for the next build
	})
	return p
}

// ids are the project's containers, by name.
func (p *project) ids() map[string]string {
	p.t.Helper()
	ids := map[string]string{}
	for _, c := range p.ps() {
		ids[c.Name] = c.ID
	}
	return ids
}

const small = `
FROM busybox
ARG GREETING=nobody
ENV GREETING=$GREETING
WORKDIR /srv
COPY . .
RUN echo "built for $GREETING" >made && cat made
CMD ["sh", "-c", "cat made; cat page; sleep infinity"]
`

// TestBuildUp: an up builds what is missing and not again; with --build a file that has changed makes a new image, and that a new container.
func TestBuildUp(t *testing.T) {
	p := newBuilds(t, "builds", map[string]string{
		"compose.yaml":      "services:\n  web:\n    build: {context: app, args: {GREETING: you}}\n    init: true\n  db: {image: busybox, command: [sleep, infinity], init: true}\n",
		"app/Dockerfile":    small,
		"app/page":          "first page\n",
		"app/left-out":      "x\n",
		"app/.dockerignore": "left-out\n",
	})
	r := p.run("up", "--detach", "--wait")
	if r.code != 0 {
		t.Fatalf("%s\n%s", r, p.host.daemonLog(20))
	}
	contains(t, "up", r.stderr, "Image builds-web  Building", "RUN echo", "| built for you", "Image builds-web  Built", "Container builds-web-1  Started")
	p.logged("web", "built for you", "first page")
	if r := p.run("exec", "-T", "web", "ls", "-A"); strings.Contains(r.stdout, "left-out") || !strings.Contains(r.stdout, "page") {
		t.Errorf("the context: %s", r)
	}
	first := p.ids()
	if r := p.run("up", "--detach"); r.code != 0 || strings.Contains(r.stderr, "Building") {
		t.Errorf("an up with nothing to do: %s", r)
	}
	// The same again: nothing is run, nothing is made anew.
	r = p.run("up", "--detach", "--build")
	contains(t, "up --build", r.stderr, "RUN echo", ": cached", "Image builds-web  Built", "Container builds-web-1  Running")
	p.write("app/page", "second page\n")
	if r := p.run("plan", "--build"); r.code != 2 || !strings.Contains(r.stdout, "build builds-web\n      asked for by --build; with another image its containers are recreated") {
		t.Errorf("plan --build: %s", r)
	}
	r = p.run("up", "--detach", "--build")
	contains(t, "up --build", r.stderr, "Image builds-web  Built", "image id of builds-web: ", "Container builds-web-1  Started")
	p.logged("web", "second page")
	if now := p.ids(); now["builds-web-1"] == first["builds-web-1"] || now["builds-db-1"] != first["builds-db-1"] {
		t.Errorf("containers were %v and are %v: only web is made anew", first, now)
	}
	if r := p.run("build", "-q"); r.code != 0 || r.stdout+r.stderr != "" {
		t.Errorf("build -q: %s", r)
	}
	if r := p.run("gc", "--check"); r.code == 1 {
		t.Errorf("gc: %s", r)
	}
}

// TestBuildFails: a step that fails is told with its place in the Dockerfile, the build's in the Compose file, and its output; nothing is made.
func TestBuildFails(t *testing.T) {
	p := newBuilds(t, "fails", map[string]string{
		"compose.yaml":   "services:\n  web:\n    build: app\n  db: {image: busybox, command: [sleep, infinity]}\n",
		"app/Dockerfile": "FROM busybox\n\nRUN echo what is wrong >&2; exit 7\n",
	})
	r := p.fails(1, []string{"compose.yaml:3:", "app/Dockerfile:3: RUN echo what is wrong", "exit code 7", "what is wrong"}, "up", "--detach")
	if strings.Contains(r.stderr, "Container") {
		t.Errorf("something was made: %s", r)
	}
	p.fails(1, []string{"app/Dockerfile:3"}, "build")
	p.write("app/Dockerfile", "FROM busybox\nRUNN x\n")
	p.fails(1, []string{"app/Dockerfile:2", "RUNN"}, "build")
	if err := os.Remove(filepath.Join(p.dir, "app", "Dockerfile")); err != nil {
		t.Fatal(err)
	}
	p.fails(1, []string{"compose.yaml:3:", "Dockerfile: no such file"}, "up", "--detach")
}

// TestBuildStages: stages, a target, an image that another service builds, secrets, the text in the file.
func TestBuildStages(t *testing.T) {
	p := newBuilds(t, "stages", map[string]string{
		"compose.yaml": `
services:
  base:
    build: base
    scale: 0
  app:
    build:
      context: app
      target: final
      additional_contexts: {base: service:base, more: ./more}
      secrets: [{source: token, target: the-token}, from-here]
      labels: {own: label}
    init: true
    command: [sh, -c, "cat /out/*; sleep infinity"]
  inline:
    build:
      context: .
      dockerfile_inline: |
        FROM busybox
        RUN echo inline >/made
    init: true
    command: [sh, -c, "cat /made; sleep infinity"]
secrets:
  token: {file: ./token}
  from-here: {environment: FROM_HERE}
`,
		"base/Dockerfile": "FROM busybox\nRUN mkdir /out && echo of base >/out/base\n",
		"app/Dockerfile": `
FROM base AS made
COPY --from=more file /out/more
RUN --mount=type=secret,id=the-token,required=true --mount=type=secret,id=from-here,required=true wc -c </run/secrets/the-token >/out/token; wc -c </run/secrets/from-here >>/out/token
FROM base AS final
COPY --from=made /out/more /out/token /out/
FROM base AS never
RUN false
`,
		"more/file": "of more\n",
		"token":     "hidden-token",
	})
	p.env = append(p.env, "FROM_HERE=hidden-value")
	p.up()
	p.logged("app", "of base", "of more", "12", "12")
	p.logged("inline", "inline")
	for _, secret := range []string{"hidden-token", "hidden-value"} {
		if r := p.run("exec", "-T", "app", "grep", "-r", secret, "/out", "/run", "/etc"); r.code == 0 {
			t.Errorf("a secret is in the image: %s", r)
		}
	}
}

// TestBuildStageNames: progress calls stages as BuildKit does: one without a name by its place, and the only one not at all.
func TestBuildStageNames(t *testing.T) {
	p := newBuilds(t, "stagenames", map[string]string{
		"compose.yaml": "services:\n  one: {build: {dockerfile_inline: \"FROM busybox\\nRUN true\\n\"}}\n  two: {build: {dockerfile_inline: \"FROM busybox\\nRUN true\\nFROM busybox AS last\\nCOPY --from=0 /bin/true /t\\n\"}}\n",
	})
	told := p.run("build").stderr
	contains(t, "build", told, "[2/2] RUN true", "[stage-0 2/2] RUN true", "[last 2/2] COPY")
}

// TestBuildInterrupted: Ctrl-C ends a build, a killed daemon too; neither leaves anything, and the next build goes on.
func TestBuildInterrupted(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	p := &project{t: t, host: h, name: "interrupted", dir: filepath.Join(h.dir, "interrupted")}
	p.write("compose.yaml", "services:\n  web:\n    build: app\n    init: true\n    command: [sleep, infinity]\n")
	p.write("app/Dockerfile", "FROM busybox\nRUN echo first\nRUN echo waiting; while [ ! -e /go ]; do sleep 0.1; done\n")
	clean := func(when string) {
		t.Helper()
		if r := p.run("gc", "--check"); r.code != 0 || !strings.Contains(r.stdout, "nothing to remove") {
			t.Errorf("%s: %s", when, r)
		}
	}
	p.begin("--progress", "plain", "build").says("| waiting\n").signal(syscall.SIGINT).ends(130)
	clean("after Ctrl-C")
	p.begin("--progress", "plain", "up", "--detach").says("| waiting\n").signal(syscall.SIGINT).ends(130)
	clean("after Ctrl-C of an up")
	p.begin("--progress", "plain", "up").says("| waiting\n").signal(syscall.SIGINT).ends(130)
	clean("after Ctrl-C of an attached up")
	run := p.begin("--progress", "plain", "build").says("| waiting\n")
	h.killDaemon(t)
	contains(t, "the client of a killed daemon", run.ends(1), "the stack daemon went away before it was done")
	h.startDaemon(t)
	clean("after a kill")
	// The next daemon goes on with an up, and makes way for the next command.
	run = p.begin("--progress", "plain", "up", "--detach").says("| waiting\n")
	h.killDaemon(t)
	contains(t, "the client of a killed daemon", run.ends(1), "the stack daemon went away before it was done")
	h.startDaemon(t)
	p.write("app/Dockerfile", "FROM busybox\nRUN echo first\nRUN echo second\n")
	p.up()
	clean("with what was built")
	p.takeDownWholly()
}

// TestBuildAttributes: what a file says of a build has its effect in it.
func TestBuildAttributes(t *testing.T) {
	p := newBuilds(t, "attrsbuilt", map[string]string{
		"compose.yaml": `
services:
  web:
    image: attrs-made:1
    pull_policy: build
    build:
      context: .
      dockerfile: made.Dockerfile
      args: [GIVEN=in the file, OVER=in the file, HERE]
      target: made
      tags: ["attrs-made:other"]
      labels: {own: label}
      network: none
      extra_hosts: ["somewhere=10.9.8.7"]
      shm_size: 33m
      ulimits: {nofile: 77}
      no_cache_filter: [fresh]
      privileged: true
    init: true
    command: [sh, -c, "cat /out; sleep infinity"]
  connected:
    build:
      context: .
      dockerfile_inline: |
        FROM busybox
        RUN ls /sys/class/net | sort | tr '\n' ' ' >/out; grep CapEff /proc/self/status >>/out
    init: true
    command: [sh, -c, "cat /out; sleep infinity"]
  tagged:
    image: attrs-made:other
    pull_policy: never
    init: true
    command: [sh, -c, "cat /out; sleep infinity"]
    profiles: [later]
`,
		"made.Dockerfile": `
FROM busybox AS fresh
RUN cat /proc/sys/kernel/random/uuid >/uuid
FROM busybox AS made
ARG GIVEN
ARG OVER
ARG HERE
RUN echo "$GIVEN, $OVER, $HERE" >/out
RUN ls /sys/class/net >>/out; cat /etc/hosts >>/out; ulimit -n >>/out; df -k /dev/shm | tail -n 1 >>/out; grep CapEff /proc/self/status >>/out
COPY --from=fresh /uuid /
FROM nothing-of-this-name AS other
`,
	})
	p.env = append(p.env, "HERE=in the environment")
	r := p.run("build", "--build-arg", "OVER=on the line")
	if r.code != 0 {
		t.Fatal(r)
	}
	p.ok("--profile", "later", "up", "--detach", "--no-build")
	p.logged("web", "in the file, on the line, in the environment", "10.9.8.7", "somewhere", "\n77\n", " 33792 ", "lo\n")
	p.logged("tagged", "in the file, on the line")
	p.logged("connected", "eth0 lo")
	capabilities := func(service string) string {
		_, text, _ := strings.Cut(p.ok("logs", "--no-log-prefix", service), "CapEff:")
		return strings.TrimSpace(text)
	}
	if all, usual := capabilities("web"), capabilities("connected"); len(usual) != 16 || all <= usual {
		t.Errorf("capabilities: %q with privileged, %q without", all, usual)
	}
	// no_cache_filter: that stage is done anew, which makes another image; the others are not.
	was := p.ok("exec", "-T", "web", "cat", "/uuid")
	r = p.run("build", "--build-arg", "OVER=on the line", "web")
	contains(t, "build again", r.stderr, `RUN echo "$GIVEN, $OVER, $HERE" >/out: cached`, "RUN cat /proc/sys/kernel/random/uuid >/uuid: done")
	r = p.run("up", "--detach", "--no-build")
	contains(t, "up", r.stderr, "Container attrsbuilt-web-1  Recreate  image id of attrs-made:1")
	if now := p.ok("exec", "-T", "web", "cat", "/uuid"); now == was {
		t.Errorf("the stage of no_cache_filter was taken from the cache: %s", now)
	}
	// pull_policy: build, and without the word on the line it is another step.
	contains(t, "up", p.run("up", "--detach").stderr, "Image attrs-made:1  Built", "image id of attrs-made:1")
	p.logged("web", "in the file, in the file, in the environment")
}

// TestBuildByOtherVerbs: create, run, --no-build, and down --rmi local.
func TestBuildByOtherVerbs(t *testing.T) {
	p := newBuilds(t, "otherverbs", map[string]string{
		"compose.yaml":   "services:\n  web:\n    build: app\n    init: true\n    command: [sleep, infinity]\n",
		"app/Dockerfile": "FROM busybox\nCOPY page /\n", "app/page": "1\n",
	})
	p.fails(1, []string{"the image is not on this host and may not be built", "compose.yaml:3:"}, "up", "--detach", "--no-build")
	equal(t, "run", p.ok("run", "--rm", "-T", "web", "cat", "/page"), "1\n")
	p.write("app/page", "2\n")
	equal(t, "run", p.ok("run", "--rm", "-T", "web", "cat", "/page"), "1\n")
	r := p.run("run", "--rm", "-T", "--build", "--quiet-build", "web", "cat", "/page")
	equal(t, "run --build", r.stdout, "2\n")
	if strings.Contains(r.stderr, "COPY") {
		t.Errorf("--quiet-build: %s", r)
	}
	p.write("app/page", "3\n")
	p.ok("create", "--build")
	p.ok("start")
	equal(t, "create --build", p.ok("exec", "-T", "web", "cat", "/page"), "3\n")
	equal(t, "config --images", p.ok("config", "--images"), "otherverbs-web\n")
	r = p.run("down", "--timeout", "0", "--rmi", "local")
	contains(t, "down --rmi local", r.stderr, "Image otherverbs-web  Removed")
	if r := p.run("plan"); !strings.Contains(r.stdout, "build otherverbs-web\n      it is not on this host") {
		t.Errorf("after it: %s", r)
	}
}

// logged waits until service has written each of want.
func (p *project) logged(service string, want ...string) {
	p.t.Helper()
	for _, w := range want {
		p.eventually(service+" writes "+w, func() bool { return strings.Contains(p.ok("logs", "--no-log-prefix", service), w) })
	}
}

// TestBuildFromGit: sources in a repository are fetched by the command, without what git keeps, and an up with nothing to build asks nobody.
func TestBuildFromGit(t *testing.T) {
	url := gitServer(t, map[string]string{"app/Dockerfile": "FROM busybox\nCOPY . /srv\n", "app/page": "from the repository\n"})
	file := "services:\n  web:\n    build: {context: \"" + url + "#main:app\", additional_contexts: {more: \"" + url + "\"}}\n    init: true\n    command: [sleep, infinity]\n"
	p := newBuilds(t, "fromgit", map[string]string{"compose.yaml": file})
	if r := p.run("plan"); r.code != 2 || !strings.Contains(r.stdout, "build fromgit-web") {
		t.Errorf("plan: %s", r)
	}
	p.up()
	equal(t, "what was copied", p.ok("exec", "-T", "web", "sh", "-c", "cat /srv/page; ls -A /srv"), "from the repository\nDockerfile\npage\n")
	p.write("compose.yaml", strings.ReplaceAll(file, url, "http://127.0.0.1:1/shop.git"))
	p.up()
	p.fails(1, []string{"compose.yaml:3:", "127.0.0.1:1"}, "build")
}

// TestBuildIsRemembered: the history and why tell of builds, those in a plan and those before one.
func TestBuildIsRemembered(t *testing.T) {
	p := newBuilds(t, "remembered", map[string]string{
		"compose.yaml":   "services:\n  web:\n    build: app\n    init: true\n    command: [sleep, infinity]\n",
		"app/Dockerfile": "FROM busybox\nCOPY page /\n", "app/page": "1\n",
	})
	p.up()
	contains(t, "why", p.ok("why", "web"), "build image remembered-web")
	p.write("app/page", "2\n")
	p.up("--build")
	contains(t, "why", p.ok("why", "web"), "build image remembered-web", "image id of remembered-web")
	contains(t, "history", p.ok("history"), "up --detach --wait --build")
	contains(t, "history of the last", p.ok("history", "2"), "build", "remembered-web", "asked for by --build")
	if r := p.run("drift"); r.code != 0 {
		t.Errorf("drift: %s", r)
	}
	contains(t, "debug dump", p.ok("debug", "dump"), `"build"`)
}
