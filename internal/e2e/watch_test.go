package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/sandbox"
)

// watchedSite is a web server with a rule of each kind.
var watchedSite = map[string]string{
	"compose.yaml": `
services:
  web:
    build: app
    init: true
    ports: ["127.0.0.1:%d:80"]
    stop_grace_period: 0s
    develop:
      watch:
        - {path: app/www, action: sync, target: /www, ignore: ["*.draft", "tmp/"]}
        - {path: app/conf, action: sync+restart, target: /conf}
        - {path: app/hook, action: sync+exec, target: /hook, exec: {command: ["sh", "-c", "cat /hook/* >/www/hooked; echo $$WHO >>/www/hooked"], environment: {WHO: me}}}
        - {path: app/version, action: rebuild}
        - {path: app/kick, action: restart}
  aside: {image: busybox, command: [sleep, infinity], init: true}
`,
	"app/Dockerfile": `
FROM busybox
COPY version /version
COPY www /www
COPY conf /conf
RUN mkdir /hook && cp /version /www/version
CMD ["sh", "-c", "echo started with $(cat /conf/*); exec httpd -f -p 80 -h /www"]
`,
	"app/.dockerignore":  "**/*.bak\n",
	"app/www/index.html": "first",
	"app/www/sub/page":   "sub",
	"app/conf/name":      "one",
	"app/hook/h":         "h1",
	"app/version":        "v1",
	"app/kick":           "1",
}

// newWatched is a project of watchedSite that publishes port.
func newWatched(t *testing.T, name string, port int) *project {
	t.Helper()
	files := map[string]string{}
	for f, content := range watchedSite {
		files[f] = content
	}
	files["compose.yaml"] = fmt.Sprintf(files["compose.yaml"], port)
	return newBuilds(t, name, files)
}

// save replaces a file at once, as editors do: nobody sees it half written.
func (p *project) save(name, content string) {
	p.t.Helper()
	aside := filepath.Join(p.t.TempDir(), "saved")
	write(p.t, aside, content)
	path := filepath.Join(p.dir, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.Rename(aside, path)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// answers waits until the page at port has body.
func (p *project) answers(port int, page, body string) {
	p.t.Helper()
	var last string
	defer func() {
		if p.t.Failed() {
			p.t.Logf("%s was %s last", page, last)
		}
	}()
	p.eventually(fmt.Sprintf("%s is %q", page, body), func() bool {
		code, got, _, err := get(fmt.Sprintf("http://127.0.0.1:%d/%s", port, page))
		last = fmt.Sprint(code, " ", got, " ", err)
		if body == "" {
			return code == 404
		}
		return err == nil && code == 200 && strings.TrimSpace(got) == body
	})
}

// TestWatch: what each rule of develop.watch says is done when files change, and nothing else; Ctrl-C ends it, and the containers run on.
func TestWatch(t *testing.T) {
	const port = 18130
	p := newWatched(t, "watched", port)
	nameless := func() int { return strings.Count(p.run("gc", "--check").stdout, "which has no name") }
	before := nameless()
	w := p.begin("watch").says("Watching 6 files for web")
	starts := func() int { return strings.Count(p.ok("logs", "--no-log-prefix", "web"), "started with") }
	p.answers(port, "", "first")
	first := p.ids()

	// sync: written, made, saved by rename, removed; in directories that are new and that go.
	p.save("app/www/index.html", "second")
	p.answers(port, "", "second")
	w.says("web: app/www/index.html: 1 file copied (")
	p.save("app/www/new/deep/page", "deep")
	p.answers(port, "new/deep/page", "deep")
	write(t, filepath.Join(p.dir, "app/www/.index.swp"), "swap")
	p.save("app/www/x.draft", "draft")
	p.save("app/www/tmp/x", "tmp")
	p.save("app/www/x.bak", "left out of builds")
	if err := os.Rename(filepath.Join(p.dir, "app/www/sub/page"), filepath.Join(p.dir, "app/www/sub/other")); err != nil {
		t.Fatal(err)
	}
	p.answers(port, "sub/other", "sub")
	p.answers(port, "sub/page", "")
	if err := os.RemoveAll(filepath.Join(p.dir, "app/www/new")); err != nil {
		t.Fatal(err)
	}
	p.answers(port, "new/deep/page", "")
	p.eventually("the directory has gone too", func() bool { return p.run("exec", "-T", "web", "test", "!", "-e", "/www/new").code == 0 })
	equal(t, "what is ignored", p.sh("web", "cd /www; find . -name '*.draft' -o -name '*.swp' -o -name '*.bak' -o -name tmp"), "")
	equal(t, "starts", fmt.Sprint(starts()), "1")

	// What is the same, or changes in nothing but its metadata, starts nothing.
	for _, f := range []string{"app/conf/name", "app/version", "app/kick"} {
		name := filepath.Join(p.dir, f)
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(name, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, time.Time{}, time.Unix(1e9, 0)); err != nil {
			t.Fatal(err)
		}
		write(t, name+"~", string(text))
		if err := os.Rename(name+"~", name); err != nil {
			t.Fatal(err)
		}
	}
	// sync+exec
	p.save("app/hook/h", "h2")
	p.answers(port, "hooked", "h2me")
	equal(t, "starts", fmt.Sprint(starts()), "1")

	// sync+restart, once for a batch.
	p.save("app/conf/name", "two")
	p.logged("web", "started with two")
	equal(t, "the container", p.ids()["watched-web-1"], first["watched-web-1"])
	w.says("web: app/conf/name: 1 file copied, restarted (")
	p.answers(port, "", "second")
	// restart
	n := starts()
	p.save("app/kick", "2")
	w.says("web: app/kick: restarted (")
	p.eventually("it has started again", func() bool { return starts() == n+1 })

	// rebuild: a new container of a new image, with all that was copied before.
	p.save("app/version", "v2")
	p.answers(port, "version", "v2")
	w.says("web: app/version: built, the container was made anew")
	p.answers(port, "", "second")
	now := p.ids()
	if now["watched-web-1"] == first["watched-web-1"] || now["watched-aside-1"] != first["watched-aside-1"] {
		t.Errorf("containers were %v and are %v: only web is made anew", first, now)
	}

	equal(t, "images without a name", fmt.Sprint(nameless()), fmt.Sprint(before))

	// One that is made anew by others gets again what was copied, but for what the image has.
	p.ok("up", "--detach", "--force-recreate", "--no-deps", "web")
	p.answers(port, "sub/page", "")
	p.answers(port, "sub/other", "sub")
	p.answers(port, "hooked", "h2me")

	// A build that fails is told, and the watch goes on.
	p.save("app/Dockerfile", "FROM busybox\nRUN exit 3\n")
	p.save("app/version", "v3")
	w.says("not built: ", "exit code 3")
	equal(t, "how often the failure is told", fmt.Sprint(strings.Count(w.text(), "exit code 3")), "1")
	p.save("app/www/index.html", "third")
	p.answers(port, "", "third")

	w.signal(syscall.SIGINT).says("Watch ended.").ends(130)
	equal(t, "the container", p.one("watched-web-1").State, "running")
}

// TestWatchInitialSync: what differs when the watch begins is copied, and only that; all replicas have it; what the container has besides stays.
func TestWatchInitialSync(t *testing.T) {
	p := newProject(t, theHost(t), "initial", map[string]string{
		"compose.yaml": `
services:
  app:
    image: busybox
    init: true
    scale: 2
    user: "1000:1000"
    command: [sleep, infinity]
    tmpfs: ["/srv:uid=1000,gid=1000,mode=0755"]
    read_only: true
    develop:
      watch:
        - {path: src, action: sync, target: /srv/app, initial_sync: true, ignore: [out]}
`,
		"src/a": "a", "src/sub/b": "b", "src/out/c": "c",
	})
	p.up()
	for _, index := range []string{"1", "2"} {
		p.ok("exec", "-T", "--index", index, "app", "sh", "-c", "mkdir -p /srv/app && echo -n a >/srv/app/a && echo kept >/srv/app/own")
	}
	w := p.begin("watch", "--no-up").says("app: 1 file copied into a new container (")
	for _, index := range []string{"1", "2"} {
		equal(t, "the files of "+index, strings.TrimSpace(p.ok("exec", "-T", "--index", index, "app", "sh", "-c", "cd /srv/app; cat a sub/b own; stat -c %u sub/b; ls")), "abkept\n1000\na\nown\nsub")
	}
	p.save("src/a", "a2")
	for _, index := range []string{"1", "2"} {
		p.eventually("replica "+index+" has it", func() bool { return p.ok("exec", "-T", "--index", index, "app", "cat", "/srv/app/a") == "a2" })
	}
	w.signal(syscall.SIGTERM).ends(130)
	// Nothing is different any more.
	w = p.begin("--progress", "json", "watch", "--no-up").says("Watching 2 files")
	p.save("src/a", "a3")
	text := w.says(`"did":["1 file copied"]`).signal(syscall.SIGINT).ends(130)
	if strings.Contains(text, "new container") {
		t.Errorf("what was the same was copied:\n%s", text)
	}
}

// TestUpWatch: up --watch at a terminal shows the output and does the same; Ctrl-C stops the containers.
func TestUpWatch(t *testing.T) {
	const port = 18131
	p := newWatched(t, "upwatched", port)
	x := p.atTerminal("up", "--watch")
	x.shows("started with one")
	x.shows("Watching 6 files for web")
	p.save("app/www/index.html", "second")
	p.answers(port, "", "second")
	x.shows("app/www/index.html: 1 file copied")
	p.save("app/conf/name", "two")
	x.shows("started with two") // and up goes on, although nothing of web ran for a moment
	p.save("app/version", "v2")
	x.shows("made anew")
	p.answers(port, "version", "v2")
	x.types("\x03")
	x.shows("Gracefully stopping")
	equal(t, "exit code", fmt.Sprint(x.wait()), "130")
	equal(t, "the container", p.one("upwatched-web-1").State, "exited")
}

// TestWatchRefuses: what cannot be watched is told at its line before anything is done.
func TestWatchRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		rule string
		want []string
	}{
		"nothing":    {"", []string{"no service that is asked for says what is to be watched"}},
		"no build":   {"develop: {watch: [{path: ., action: rebuild}]}", []string{"compose.yaml:4:", "rebuild needs a build"}},
		"no command": {"develop: {watch: [{path: ., action: sync+exec, target: /x}]}", []string{"compose.yaml:4:", "sync+exec needs a command"}},
		"pattern":    {"develop: {watch: [{path: ., action: sync, target: /x, ignore: ['[']}]}", []string{"compose.yaml:4:", "ignore: "}},
	} {
		t.Run(name, func(t *testing.T) {
			p := compose(t, "unwatched", "services:\n  app:\n    image: busybox\n    "+c.rule+"\n")
			for _, args := range [][]string{{"watch"}, {"up", "--watch"}, {"watch", "--no-up"}} {
				if r := p.fails(1, c.want, args...); strings.Contains(r.stderr, "Container") {
					t.Errorf("something was done: %s", r)
				}
			}
		})
	}
	p := compose(t, "unwatched", "services:\n  app:\n    image: busybox\n")
	p.fails(1, []string{"--watch and --no-build are incompatible"}, "up", "--watch", "--no-build")
}

// TestCostOfWatch: every save comes into the container, and while nothing happens a watch of a large tree does next to nothing. It logs how long each
// took, from the write on, and what the watch costs.
func TestCostOfWatch(t *testing.T) {
	p := newProject(t, theHost(t), "costly", map[string]string{
		"compose.yaml": `
services:
  app:
    image: busybox
    init: true
    command: [sleep, infinity]
    develop: {watch: [{path: src, action: sync, target: /srv}]}
`,
	})
	files := shortOrLong(500, 20000)
	for i := range files {
		p.write(fmt.Sprintf("src/d%d/e%d/f%d", i%20, i%200, i), fmt.Sprint("file ", i))
	}
	begun := time.Now()
	w := p.begin("watch").says(fmt.Sprintf("Watching %d files for app", files))
	start, after := time.Since(begun), used(t, w.cmd.Process.Pid)
	p.write("src/d0/e0/saved", "0")
	var in string
	p.eventually("the first is there", func() bool {
		found, err := filepath.Glob(p.host.state("snapshots", "*", "*", "srv/d0/e0/saved"))
		in = strings.Join(found, "")
		return err == nil && len(found) == 1
	})
	took := make([]time.Duration, shortOrLong(5, 50))
	for i := range took {
		text := fmt.Sprint("saved ", i)
		begun := time.Now()
		p.write("src/d0/e0/saved", text)
		if !sandbox.Within(func() bool { // which looks every 2 ms: that fine is the figure
			got, err := os.ReadFile(in)
			return err == nil && string(got) == text
		}) {
			t.Fatalf("save %d has not come into the container:\n%s", i, w.text())
		}
		took[i] = time.Since(begun)
	}
	slices.Sort(took)
	idle := time.Duration(shortOrLong(1, 20)) * time.Second
	before := used(t, w.cmd.Process.Pid)
	time.Sleep(idle) // being idle is what is measured
	now := used(t, w.cmd.Process.Pid)
	t.Logf("%d files: ready after %v, %v of processor time; a save takes %v (median of %d; best %v, worst %v); idle for %v: %v of processor time; %d kB", files, start.Round(time.Millisecond),
		after.processor, took[len(took)/2], len(took), took[0], took[len(took)-1], idle, now.processor-before.processor, now.memory)
	w.signal(syscall.SIGINT).ends(130)
}
