package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/stackrun/stack/internal/testimage"
)

// TestSmoke is one stack with a bit of everything that asks the kernel for something: it is what runs on other kernels too
// (internal/vm). The image comes from an archive.
func TestSmoke(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	p := newProject(t, h, "smoke", map[string]string{"compose.yaml": `
services:
  web:
    image: smoke.test/app:1
    pull_policy: never
    hostname: web
    command: ` + httpd + `
    ports: ["127.0.0.1:18099:80"]
    volumes: [data:/data]
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1/"]
      interval: 1s
    mem_limit: 64m
    mem_reservation: 32m
    cpus: 0.5
    cpu_shares: 2048
    cpuset: "0"
    pids_limit: 50
  client:
    image: smoke.test/app:1
    pull_policy: never
    depends_on: {web: {condition: service_healthy}}
    command: ["sh", "-c", "wget -q -O - http://web/; exec sleep infinity"]
    deploy: {resources: {limits: {memory: 32M, cpus: "0.25", pids: 20}}}
    ulimits: {nofile: {soft: 1024, hard: -1}}
    read_only: true
    tmpfs: [/scratch]
    init: true
volumes:
  data:
`})
	contains(t, "load", p.ok("load", "--input", busyboxArchive(t, "smoke.test/app:1")), "smoke.test/app:1")
	up := p.run("up", "--detach", "--wait")
	if up.code != 0 {
		t.Fatal(up)
	}
	// Every limit above has a place in either version of control groups; only swap need not be counted. But for the number of
	// open files: no machine gives all there could be.
	contains(t, "up", up.stderr, "ulimit nofile: asked for 1024:unlimited")
	for line := range strings.Lines(up.stderr) {
		if strings.Contains(line, "Not as asked for") && !strings.Contains(line, "swap") && !strings.Contains(line, "nofile") {
			t.Errorf("a limit was not applied: %s", line)
		}
	}
	equal(t, "health", p.one("smoke-web-1").Health, "healthy")
	p.eventually("the client's log", func() bool { return strings.Contains(p.ok("logs", "client"), "web") })
	code, body, _, err := get("http://127.0.0.1:18099/")
	if err != nil || code != 200 || body != "web\n" {
		t.Errorf("the published port answers %d %q, %v", code, body, err)
	}
	contains(t, "resolver", p.sh("client", "nslookup web"), "Address")
	equal(t, "exec", p.sh("web", "echo kept > /data/f; cat /data/f; hostname"), "kept\nweb")
	limits(t, p)
	equal(t, "its own cgroups are not its to change",
		p.sh("web", "f=$(find /sys/fs/cgroup -name cgroup.procs | head -1); test -n \"$f\" && ! echo 0 2>/dev/null > $f && echo read-only"), "read-only")
	p.ok("restart", "--timeout", "1", "web")
	p.eventually("a restarted service has its port and its volume", func() bool {
		code, _, _, err := get("http://127.0.0.1:18099/")
		return err == nil && code == 200
	})
	equal(t, "the volume after a restart", p.sh("web", "cat /data/f"), "kept")
	p.ok("down", "--volumes", "--timeout", "1")
	// newProject compares.
}

// limits reads what the kernel holds for web, in whichever version it has.
func limits(t *testing.T, p *project) {
	t.Helper()
	want := map[string]string{ // v1
		"memory/memory.limit_in_bytes": "67108864", "memory/memory.soft_limit_in_bytes": "33554432", "pids/pids.max": "50",
		"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000", "cpu/cpu.shares": "2048", "cpuset/cpuset.cpus": "0",
	}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		want = map[string]string{
			"memory.max": "67108864", "memory.low": "33554432", "memory.swap.max": "67108864", "pids.max": "50",
			"cpu.max": "50000 100000", "cpu.weight": "174", "cpuset.cpus": "0",
		}
	}
	id := p.one("smoke-web-1").ID
	for file, value := range want {
		// <tree>/stack-<instance>/<id>/<file>
		tree, base := filepath.Split(file)
		found, _ := filepath.Glob(filepath.Join("/sys/fs/cgroup", tree, "stack-*", id+"*", base))
		if len(found) != 1 {
			t.Errorf("%s: there are %q", file, found)
			continue
		}
		b, err := os.ReadFile(found[0])
		if err != nil {
			t.Error(err)
		}
		equal(t, file, strings.TrimSpace(string(b)), value)
	}
}

// busyboxArchive saves busybox of the test images as docker would, under ref.
// TestLoadDirectory: an OCI layout is loaded as it lies there; any other directory is told of, and not waited for.
func TestLoadDirectory(t *testing.T) {
	h := ownHost(t)
	h.startDaemon(t)
	layout := testimage.Require(t)
	p := &project{t: t, host: h, name: "layout", dir: t.TempDir()}
	contains(t, "load", p.ok("load", "--input", layout), "busybox:latest")
	r := p.run("load", "--input", p.dir)
	if r.code != 1 || !strings.Contains(r.stderr, "no OCI layout") {
		t.Errorf("load of a directory: %s", r)
	}
}

func busyboxArchive(t *testing.T, ref string) string {
	t.Helper()
	index, err := layout.ImageIndexFromPath(testimage.Require(t))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	img, err := v1.Image(nil), errors.New("the test images have no busybox")
	for _, d := range manifest.Manifests {
		if d.Annotations["org.opencontainers.image.ref.name"] == "library/busybox:latest" {
			img, err = index.Image(d.Digest)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "app.tar")
	if err := tarball.WriteToFile(file, tag, img); err != nil {
		t.Fatal(err)
	}
	return file
}
