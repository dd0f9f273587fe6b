package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// reluctant is a web server that, told to stop, does so when there is a file released, and a service that is healthy when there is a file ok.
const reluctant = `
services:
  web:
    image: busybox
    command: [sh, -c, "trap 'echo asked; until [ -e /gate/released ]; do sleep 0.05; done; exit 0' TERM; echo begun; while :; do sleep 0.05; done"]
    environment: {VERSION: "%[1]s"}
    stop_grace_period: 5m
    volumes: ["./gate:/gate"]
    depends_on: {db: {condition: service_healthy, restart: true}}
    develop: {watch: [{path: version, action: rebuild}]}
  db:
    image: busybox
    command: [sleep, infinity]
    init: true
    environment: {VERSION: "%[2]s"}
    stop_grace_period: 0s
    volumes: ["./gate:/gate"]
    healthcheck: {test: [CMD, test, -e, /gate/ok], interval: 100ms, retries: 1000}
`

// TestARecreateCutShort: whoever has asked for a recreate goes in its middle, or the daemon does. What ran runs again, the old container or the new one, without
// another command.
func TestARecreateCutShort(t *testing.T) {
	for _, tt := range []struct {
		name string
		cut  func(h *host, up *running)
	}{
		{"Ctrl-C", func(_ *host, up *running) { up.signal(syscall.SIGINT).ends(130) }},
		{"client killed", func(_ *host, up *running) { up.signal(syscall.SIGKILL).ends(-1) }},
		{"daemon ended", func(h *host, up *running) {
			h.daemon.Process.Signal(syscall.SIGTERM)
			<-h.ended
			h.daemon = nil
			up.ends(1)
			h.startDaemon(up.t)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := ownHost(t)
			h.startDaemon(t)
			p := &project{t: t, host: h, name: "cut", dir: filepath.Join(t.TempDir(), "cut")}
			p.write("compose.yaml", fmt.Sprintf(reluctant, "1", "1"))
			p.write("gate/ok", "")
			t.Cleanup(p.takeDownWholly)
			p.up()
			p.logged("web", "begun") // and heeds signals

			// In the middle of the stop of the old one.
			p.write("compose.yaml", fmt.Sprintf(reluctant, "2", "1"))
			up := p.begin("up", "--detach")
			p.logged("web", "asked")
			tt.cut(h, up)
			p.write("gate/released", "")
			p.eventually("web runs again", func() bool {
				c := p.ps()["cut-web-1"]
				return c.State == "running" && strings.Count(p.ok("logs", "--no-log-prefix", "web"), "begun") == 2
			})
			equal(t, "containers", names(p.ids()), "cut-db-1 cut-web-1")

			// When the old one is gone, and the new one waits for what it depends on.
			p.write("compose.yaml", fmt.Sprintf(reluctant, "3", "2"))
			if err := os.Remove(filepath.Join(p.dir, "gate/ok")); err != nil {
				t.Fatal(err)
			}
			before := p.ids()
			up = p.begin("up", "--detach").says("cut-db-1  Waiting")
			p.eventually("the old one is gone", func() bool { id := p.ids()["cut-web-1"]; return id != "" && id != before["cut-web-1"] })
			tt.cut(h, up)
			p.write("gate/ok", "")
			p.eventually("web runs again", func() bool { return p.ps()["cut-web-1"].State == "running" })
			equal(t, "the new version", p.sh("web", "echo $VERSION"), "3")
			equal(t, "containers", names(p.ids()), "cut-db-1 cut-web-1")
		})
	}
}

// TestWatchCutShort: Ctrl-C in the middle of a rebuild leaves nobody without the service.
func TestWatchCutShort(t *testing.T) {
	p := compose(t, "cutwatch", strings.Replace(fmt.Sprintf(reluctant, "1", "1"), "    image: busybox\n    command: [sh", "    build: .\n    command: [sh", 1))
	p.write("Dockerfile", "FROM busybox\nCOPY version /version\n")
	p.write("version", "1")
	p.write("gate/ok", "")
	w := p.begin("watch").says("Watching")
	p.logged("web", "begun")
	p.save("version", "2")
	p.logged("web", "asked")
	w.signal(syscall.SIGINT).ends(130)
	p.write("gate/released", "")
	p.eventually("web runs again", func() bool {
		return p.ps()["cutwatch-web-1"].State == "running" && strings.Count(p.ok("logs", "--no-log-prefix", "web"), "begun") == 2
	})
}

// jobs has a job that leaves a mark for each of its runs, of which the first lasts, and a service that is healthy when there is a file ok, for which another waits.
const jobs = `
services:
  job:
    image: busybox
    command: [sh, -c, "echo $$$$ >>/gate/runs; if [ -e /gate/short ]; then exit 0; fi; trap 'exit 0' TERM; while :; do sleep 0.05; done"]
    environment: {VERSION: "%[1]s"}
    volumes: ["./gate:/gate"]
  db:
    image: busybox
    command: [sleep, infinity]
    init: true
    environment: {VERSION: "%[1]s"}
    volumes: ["./gate:/gate"]
    healthcheck: {test: [CMD, test, -e, /gate/ok], interval: 100ms, retries: 1000}
  web:
    image: busybox
    command: [sleep, infinity]
    init: true
    environment: {VERSION: "%[1]s"}
    depends_on: {db: {condition: service_healthy}}
`

// TestAJobIsNotStartedAgain: the daemon is killed in the middle of a command that has started a job, which has come to its end. The next one does the rest, and leaves the job at that.
func TestAJobIsNotStartedAgain(t *testing.T) {
	for _, tt := range []struct {
		version string // of the file, which was 1
		args    []string
	}{
		{"2", []string{"up", "--detach"}},
		{"1", []string{"up", "--detach", "--force-recreate"}},
		{"1", []string{"restart"}},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			h := ownHost(t)
			h.startDaemon(t)
			p := &project{t: t, host: h, name: "jobs", dir: filepath.Join(t.TempDir(), "jobs")}
			p.write("compose.yaml", fmt.Sprintf(jobs, "1"))
			p.write("gate/ok", "")
			t.Cleanup(p.takeDownWholly)
			p.up()
			runs := func() int {
				b, err := os.ReadFile(filepath.Join(p.dir, "gate/runs"))
				if err != nil {
					return 0
				}
				return strings.Count(string(b), "\n")
			}
			p.eventually("the job runs", func() bool { return runs() == 1 })

			p.write("compose.yaml", fmt.Sprintf(jobs, tt.version))
			p.write("gate/short", "")
			if err := os.Remove(filepath.Join(p.dir, "gate/ok")); err != nil {
				t.Fatal(err)
			}
			command := p.begin(tt.args...)
			p.eventually("the job has ended, and web waits", func() bool {
				all := p.ps()
				return runs() == 2 && all["jobs-job-1"].State == "exited" && all["jobs-db-1"].State == "running" && all["jobs-web-1"].State != "running"
			})
			h.killDaemon(t)
			command.ends(1)
			p.write("gate/ok", "")
			h.startDaemon(t)
			p.eventually("the command is carried to its end", func() bool { return p.ps()["jobs-web-1"].State == "running" })
			equal(t, "runs of the job", fmt.Sprint(runs()), "2")
			equal(t, "the job", p.ps()["jobs-job-1"].State, "exited")
			equal(t, "containers", names(p.ids()), "jobs-db-1 jobs-job-1 jobs-web-1")
		})
	}
}
