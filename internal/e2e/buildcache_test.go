package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stackrun/stack/internal/registry"
)

// TestBuildCacheElsewhere: what a build has put into its cache another host, which has nothing else, builds without running a command, by the Compose file alone.
func TestBuildCacheElsewhere(t *testing.T) {
	to := registry.Empty(t, "", "")
	files := func(kind string) string {
		switch from, into := "type=local,src=.cache", "type=local,dest=.cache,mode=max"; kind {
		case "registry":
			return "cache_from: [\"" + to.Host + "/web:cache\"], cache_to: [\"type=registry,ref=" + to.Host + "/web:cache,mode=max\"]"
		case "inline":
			return "cache_from: [\"" + to.Host + "/web:1\"], cache_to: [type=inline]"
		default:
			return "cache_from: [\"" + from + "\"], cache_to: [\"" + into + "\"]"
		}
	}
	dir := filepath.Join(t.TempDir(), "cached")
	begin := func(t *testing.T) *project {
		h := ownHost(t)
		h.makeDirs(t)
		h.startDaemon(t)
		return &project{t: t, host: h, name: "cached", dir: dir}
	}
	for _, kind := range []string{"local", "registry", "inline"} {
		var said string
		t.Run(kind+" is written", func(t *testing.T) {
			p := begin(t)
			p.write("compose.yaml", "services:\n  web:\n    image: "+to.Host+"/web:1\n    build: {context: app, "+files(kind)+"}\n    init: true\n    command: [sleep, infinity]\n")
			p.write("app/Dockerfile", "FROM busybox AS make\nRUN head -c 16 /dev/urandom | sha256sum >/made\nFROM busybox\nCOPY --from=make /made /made\nRUN cat /made >/page && cat /page\nCOPY page /last\n")
			p.write("app/page", "first\n")
			r := p.run("build", "--push")
			if r.code != 0 {
				t.Fatal(r)
			}
			if kind != "inline" { // which is in the image
				contains(t, "build", r.stderr, "is not used: ", "write cache ")
			}
			said = outputOf(r.stderr)
			p.ok("down", "--rmi", "all")
		})
		t.Run(kind+" is read", func(t *testing.T) {
			p := begin(t)
			p.write("app/page", "second\n")
			r := p.run("build")
			if r.code != 0 {
				t.Fatal(r)
			}
			contains(t, "build", r.stderr, "RUN head -c 16 /dev/urandom | sha256sum >/made: cached", "RUN cat /made >/page && cat /page: cached", "COPY page /last: done")
			p.up()
			if page := p.ok("exec", "-T", "web", "cat", "/page", "/last"); page != said+"second\n" || said == "" {
				t.Errorf("the page is %q, the first host has made %q", page, said)
			}
			p.takeDownWholly()
		})
	}
}

// outputOf is what a command of a build has written, one line with a digest.
func outputOf(stderr string) string {
	for line := range strings.Lines(stderr) {
		if _, text, ok := strings.Cut(line, "| "); ok && strings.HasSuffix(text, "  -\n") {
			return text
		}
	}
	return ""
}

// TestBuildCacheRefused: what no cache can be is refused at its line, what docker has and stack has not is told, and one that cannot be written fails the build.
func TestBuildCacheRefused(t *testing.T) {
	p := newBuilds(t, "refusedcache", map[string]string{
		"app/Dockerfile": "FROM busybox\nRUN true\n",
		"file":           "",
	})
	with := func(cache string) {
		p.write("compose.yaml", "services:\n  web:\n    build:\n      context: app\n      "+cache+"\n")
	}
	with("cache_from: [type=floppy]")
	p.fails(1, []string{"compose.yaml:5:", "type=floppy is not known"}, "build")
	with("cache_to: [\"type=local,dest=.cache,mode=most\"]")
	p.fails(1, []string{"compose.yaml:5:", "mode=most: expected min or max"}, "build")
	with("cache_to: [\"type=gha,mode=max\"]")
	if r := p.run("build"); r.code != 0 || !strings.Contains(r.stderr, "type=gha is not supported, and has no effect") {
		t.Errorf("a cache of GitHub's: %s", r)
	}
	with("cache_to: [\"type=local,dest=file\"]")
	p.fails(1, []string{"compose.yaml:3:", "cannot write cache " + filepath.Join(p.dir, "file"), "ignore-error=true"}, "build")
	with("cache_to: [\"type=local,dest=file,ignore-error=true\"]")
	if r := p.run("build"); r.code != 0 || !strings.Contains(r.stderr, "is not written") {
		t.Errorf("with ignore-error: %s", r)
	}
	with("cache_to: [\"type=local,dest=deep/.cache\"]")
	p.ok("build")
	if _, err := os.Stat(filepath.Join(p.dir, "deep/.cache/index.json")); err != nil {
		t.Error(err)
	}
}
