package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stackrun/stack/internal/sandbox"
)

// The binary with failpoints, built once per test process.
var withFailpoints = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "failpoint-*")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "stack")
	build := exec.Command("go", "build", "-trimpath", "-tags", "failpoint", "-o", bin, "github.com/stackrun/stack/cmd/stack")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
})

// TestNoFailpointsInTheBinary: what users get cannot be told to kill itself; what the crash tests use can.
func TestNoFailpointsInTheBinary(t *testing.T) {
	has := func(path string) bool {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(b), "STACK_FAILPOINT")
	}
	if has(binary(t)) {
		t.Error("the binary reads STACK_FAILPOINT")
	}
	bin, err := withFailpoints()
	if err != nil {
		t.Fatal(err)
	}
	if !has(bin) {
		t.Error("the binary for crash tests does not read STACK_FAILPOINT")
	}
}

// crashCase is a project that is brought up, changed and taken down.
type crashCase struct {
	name  string
	host  func(t *testing.T) // makes what the host has besides; nil = nothing
	setUp func(p *project)
	// change rewrites the project's file.
	change func(p *project)
	// serves waits until the project does its work, before (changed false) and after change.
	serves func(p *project, changed bool)
	// counting are the containers that write "begin", 1, 2, 3, … and end by themselves only when all is well; others write what
	// they like.
	counting []string
	// unsteady are the containers whose program ends when what it has connected to goes away. Whether an update ends them depends on whether they
	// had: their policy starts them again.
	unsteady []string
	only     string // beginning of the names of points that are killed at: the finer ones take too long with real software
	sample   int    // how many iterations are run by `make test`
}

// counter writes a numbered line in a while, so that a line that is lost or twice is seen.
const counter = `i=0; echo begin; while :; do i=$$((i+1)); echo $$i; sleep 0.02; done`

// chainOf is five services, each of which waits for the health of the one before.
func chainOf(level string) string {
	text := "services:\n"
	for i := range 5 {
		text += fmt.Sprintf(`
  s%d:
    image: busybox
    init: true
    command: ["sh", "-c", %q]
    environment: {LEVEL: %q}
    healthcheck: {test: ["CMD", "true"], interval: 1s}
`, i, counter, map[bool]string{true: level, false: "fixed"}[i == 1])
		if i > 0 {
			text += fmt.Sprintf("    depends_on: {s%d: {condition: service_healthy}}\n", i-1)
		}
	}
	return text
}

// kindsOf is a project with every kind of resource.
func kindsOf(level string) string {
	joins, network := "", ""
	if sandbox.HasLinkKind("macvlan") {
		joins, network = ", lan", "  lan: {driver: macvlan, driver_opts: {parent: lan0}, ipam: {config: [{subnet: 198.51.100.0/24, gateway: 198.51.100.2, ip_range: 198.51.100.128/25}]}}"
	}
	return fmt.Sprintf(`
services:
  db:
    image: busybox
    init: true
    command: ["sh", "-c", "echo kept >/data/file; echo anonymous >/cache/file; %[2]s"]
    environment: {LEVEL: %[1]q}
    volumes: [data:/data, /cache]
    networks: [back%[3]s]
    secrets: [password]
    healthcheck: {test: ["CMD", "test", "-e", "/cache/file"], interval: 1s}
    restart: always
    mem_limit: 64m
    pids_limit: 50
  task:
    image: busybox
    command: ["sh", "-c", "echo done"]
    networks: [back]
    depends_on: {db: {condition: service_healthy}}
  api:
    image: busybox
    init: true
    command: ["sh", "-c", "%[2]s"]
    networks: {front: {aliases: [backend]}, back: {}}
    deploy: {replicas: 2}
    pre_start:
      - {command: ["sh", "-c", "echo prepared"]}
      - {command: ["true"], per_replica: true}
    depends_on:
      db: {condition: service_healthy, restart: true}
      task: {condition: service_completed_successfully}
  web:
    image: busybox
    init: true
    command: ["sh", "-c", "mkdir -p /www; httpd -p 80 -h /www; cat /conf >/www/index.html; %[2]s"]
    networks: [front]
    ports: ["127.0.0.1:18090:80"]
    configs: [{source: page, target: /conf}]
    volumes: ["./bind:/bind:ro"]
    tmpfs: [/scratch]
    depends_on: [api]
  side:
    image: busybox
    init: true
    network_mode: service:web
    command: ["sh", "-c", "%[2]s"]
    volumes: [{type: image, source: busybox, target: /lent, image: {subpath: bin}}]
  alone:
    image: busybox
    init: true
    network_mode: none
    command: ["sh", "-c", "%[2]s"]
networks:
  front:
  back: {internal: true}
%[4]s
volumes:
  data:
configs:
  page: {content: "the page\n"}
secrets:
  password: {file: ./password}
`, level, counter, joins, network)
}

// builtAnew counts the projects whose images are built: of none of them is anything here, or in the cache.
var builtAnew int

// writeBuilt writes a project with an image that is built on another one, both anew for each project, the first one also for each level.
func (p *project) writeBuilt(level string) {
	p.write("compose.yaml", fmt.Sprintf(`
services:
  base:
    image: crash-base:%[1]d
    pull_policy: never
    build: {context: ., dockerfile_inline: "FROM busybox\nRUN echo base %[1]d >/base\n"}
    scale: 0
  web:
    image: crash-web:%[1]d.%[2]s
    pull_policy: never
    build: {context: app, args: {LEVEL: %[2]q}, additional_contexts: {base: service:base}}
    init: true
    command: [sleep, infinity]
  db: {image: busybox, init: true, command: [sleep, infinity]}
`, builtAnew, level))
	p.write("app/Dockerfile", "FROM busybox AS maker\nCOPY seed .\nARG LEVEL\nRUN echo $(cat seed), level $LEVEL >/made\nFROM base\nCOPY --from=maker /made /\n")
	p.write("app/seed", fmt.Sprint(builtAnew))
}

var crashCases = []crashCase{
	{
		name:     "chain",
		setUp:    func(p *project) { p.write("compose.yaml", chainOf("1")) },
		change:   func(p *project) { p.write("compose.yaml", chainOf("2")) },
		serves:   func(*project, bool) {},
		counting: []string{"s0-1", "s1-1", "s2-1", "s3-1", "s4-1"},
		sample:   4,
	},
	{
		name: "kinds",
		host: func(t *testing.T) { newWire(t) },
		setUp: func(p *project) {
			p.write("compose.yaml", kindsOf("1"))
			p.write("password", "swordfish")
			p.write("bind/file", "")
		},
		change: func(p *project) { p.write("compose.yaml", kindsOf("2")) },
		serves: func(p *project, _ bool) {
			p.t.Helper()
			p.eventually("the page is served", func() bool {
				_, body, _, err := get("http://127.0.0.1:18090/")
				return err == nil && body == "the page\n"
			})
			equal(p.t, "side's view of web's network", p.sh("side", "wget -q -O - 127.0.0.1"), "the page")
			p.sh("side", "ls /lent/busybox")
			equal(p.t, "the volumes and the secret of db", p.sh("db", "cat /data/file /cache/file /run/secrets/password"), "kept\nanonymous\nswordfish")
			p.sh("web", "nslookup backend >/dev/null")
			if sandbox.HasLinkKind("macvlan") {
				p.sh("db", "wget -q -O - "+wireFar)
			}
		},
		counting: []string{"db-1", "api-1", "api-2", "web-1", "side-1", "alone-1"},
		sample:   5,
	},
	{
		name:   "built",
		setUp:  func(p *project) { builtAnew++; p.writeBuilt("1") },
		change: func(p *project) { p.writeBuilt("2") },
		serves: func(p *project, changed bool) {
			level := map[bool]string{false: "1", true: "2"}[changed]
			equal(p.t, "what was built", p.sh("web", "cat /made /base"), fmt.Sprintf("%d, level %s\nbase %d", builtAnew, level, builtAnew))
		},
		sample: 4,
	},
	{
		name:   "rolling",
		setUp:  func(p *project) { p.write("compose.yaml", rollingFile("1")) },
		change: func(p *project) { p.write("compose.yaml", rollingFile("2")) },
		serves: func(p *project, changed bool) {
			want := map[bool]string{false: "1\n", true: "2\n"}[changed]
			for _, port := range []string{"18098", "18099"} {
				p.eventually("port "+port+" answers", func() bool {
					_, body, _, err := get("http://127.0.0.1:" + port + "/")
					return err == nil && body == want
				})
			}
		},
		sample: 4,
	},
	{
		name:   "chosen port",
		host:   takeAutoPort,
		setUp:  func(p *project) { p.writeAutoPort("1") },
		change: func(p *project) { p.writeAutoPort("2") },
		serves: func(p *project, changed bool) {
			want := map[bool]string{false: "1\n", true: "2\n"}[changed]
			rows := p.ports()
			if len(rows) != 1 || rows[0].Asked != "18097" || rows[0].Published == 18097 || changed && rows[0].Published != autoPortBefore {
				p.t.Errorf("it publishes %+v, before the update %d", rows, autoPortBefore)
				return
			}
			autoPortBefore = rows[0].Published
			p.eventually("the chosen port answers", func() bool {
				_, body, _, err := get(fmt.Sprintf("http://127.0.0.1:%d/", autoPortBefore))
				return err == nil && body == want
			})
		},
		sample: 3,
	},
	{
		name: "shop",
		setUp: func(p *project) {
			if err := os.CopyFS(p.dir, os.DirFS(filepath.Join(root(p.t), "examples", "shop"))); err != nil {
				p.t.Fatal(err)
			}
			p.write("compose.override.yaml", patientShop)
		},
		change: func(p *project) {
			path := filepath.Join(p.dir, "compose.yaml")
			b, err := os.ReadFile(path)
			if err != nil {
				p.t.Fatal(err)
			}
			p.write("compose.yaml", strings.Replace(string(b), "--maxmemory, 64mb", "--maxmemory, 60mb", 1))
		},
		serves: func(p *project, changed bool) {
			p.t.Helper()
			waitForShop(p)
			if !changed {
				addProduct(p.t, "Blue Pot", 1200)
			} else if _, body, _, _ := get(shopURL + "/products"); !strings.Contains(body, "Blue Pot") {
				p.t.Errorf("what was in the database is gone: %s", body)
			}
		},
		unsteady: []string{"worker-1"},
		only:     "driver.",
		sample:   1,
	},
}

// TestKilledAnywhere kills the daemon before and after every operation of up, of an update and of down, and at each
// point inside of one where the kernel or the disk has just kept something. The same command and the next daemon then get to
// the state of a run that nobody disturbed: nothing is left over, no container that ran as it should is touched, none has
// been started twice, no line of a log is lost.
func TestKilledAnywhere(t *testing.T) {
	bin, err := withFailpoints()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range crashCases {
		t.Run(c.name, func(t *testing.T) {
			if c.host != nil {
				c.host(t)
			}
			h := ownHost(t)
			h.bin = bin
			h.makeDirs(t)
			// No command starts a daemon of its own when ours has been killed before it came to it: such a one is at no point, and in the way of the
			// next. Without a log it starts none.
			if err := os.MkdirAll(h.state("daemon.log"), 0o700); err != nil {
				t.Fatal(err)
			}
			r := &crashRun{crashCase: c, t: t, h: h}
			r.clean()
			r.kill()
		})
	}
}

// crashStages are the verbs of one iteration. Each is killed at a point of its own.
var crashStages = []struct {
	name string
	args []string
}{
	{"up", []string{"up", "--detach", "--wait", "--quiet-pull"}},
	{"update", []string{"up", "--detach", "--wait", "--quiet-pull"}},
	{"down", []string{"down", "--volumes", "--timeout", "0"}},
}

type crashRun struct {
	crashCase
	t *testing.T
	h *host

	points    [3][]string      // of each stage, in the order of the clean run
	changed   map[string]bool  // containers that the update starts
	untouched map[string]bool  // and those that it leaves alone
	names     []string         // of all containers, sorted
	after     sandbox.Snapshot // the machine after down
	missed    int              // points that a run did not come by
}

// living is a container that runs.
type living struct {
	pid     int
	hash    string
	started time.Time
}

// living reads from the host which containers run; no daemon is needed.
func (r *crashRun) living() map[string]living {
	r.t.Helper()
	out := map[string]living{}
	for _, id := range below(r.t, r.h.state("containers")) {
		var config struct{ Labels, Facts map[string]string }
		var status struct {
			Pid       int
			StartedAt time.Time
		}
		if !readJSON(r.h.state("containers", id, "config.json"), &config) || !readJSON(r.h.run("containers", id, "status.json"), &status) {
			continue
		}
		if _, err := os.Stat(r.h.state("containers", id, "exit.json")); err == nil || syscall.Kill(status.Pid, 0) != nil {
			continue
		}
		out[config.Facts["name"]] = living{status.Pid, config.Labels["com.docker.compose.config-hash"], status.StartedAt}
	}
	return out
}

func readJSON(path string, v any) bool {
	b, err := os.ReadFile(path)
	return err == nil && json.Unmarshal(b, v) == nil
}

func (r *crashRun) project() *project {
	p := &project{t: r.t, host: r.h, name: r.name, dir: filepath.Join(r.h.dir, r.name)}
	if err := os.RemoveAll(p.dir); err != nil {
		r.t.Fatal(err)
	}
	r.setUp(p)
	return p
}

// machine is the host without its daemon.
func (r *crashRun) machine() sandbox.Snapshot {
	r.t.Helper()
	s, err := sandbox.Take(r.h.objects()...)
	if err != nil {
		r.t.Fatal(err)
	}
	s.Processes = slices.DeleteFunc(s.Processes, func(p string) bool { return strings.HasSuffix(p, " "+r.h.bin+" daemon") })
	return s
}

// clean is a run that nobody disturbs: it counts the points and says what things are to be like.
func (r *crashRun) clean() {
	t, h := r.t, r.h
	// Once without looking: images are pulled, an instance's directories made.
	for range 2 {
		p := r.project()
		var before map[string]living
		for i, stage := range crashStages {
			if stage.name == "update" {
				r.change(p)
			}
			trace := filepath.Join(t.TempDir(), "trace")
			if !h.tryDaemon(t, "STACK_FAILPOINT_TRACE="+trace) {
				t.Fatalf("the daemon ended at once:\n%s", h.daemonLog(20))
			}
			if stage.name == "update" {
				r.changed = r.planned(p)
			}
			p.ok(stage.args...)
			switch stage.name {
			case "up":
				r.serves(p, false)
				before = r.living()
			case "update":
				r.serves(p, true)
				r.untouched, r.names = map[string]bool{}, nil
				for name := range p.ps() {
					r.names = append(r.names, name)
				}
				slices.Sort(r.names)
				for name, c := range r.living() {
					steady := r.steady(name)
					r.untouched[name] = !r.changed[name] && steady
					if kept := before[name].pid == c.pid; kept == r.changed[name] && steady {
						t.Fatalf("the plan of the update changes %s: %v; it is the same process as before: %v", name, r.changed[name], kept)
					}
				}
			case "down":
				h.settled(t)
			}
			h.killDaemon(t)
			r.points[i] = slices.DeleteFunc(pointsOf(t, trace), func(point string) bool { return !strings.HasPrefix(point, r.only) })
		}
	}
	h.startDaemon(t)
	r.after = r.machine()
	h.killDaemon(t)
	total := 0
	for i, stage := range crashStages {
		t.Logf("%s: %d points", stage.name, len(r.points[i]))
		total += len(r.points[i])
	}
	t.Logf("%d points at which the daemon can be killed", total)
}

// planned are the containers that an up starts, or starts again, as its plan says.
func (r *crashRun) planned(p *project) map[string]bool {
	r.t.Helper()
	plan := p.run("plan", "--format", "json")
	var found struct {
		Changes []struct {
			ID   struct{ Kind string }
			Name string
		}
	}
	if err := json.Unmarshal([]byte(plan.stdout), &found); err != nil || plan.code != 2 {
		r.t.Fatalf("%v: %s", err, plan)
	}
	names := map[string]bool{}
	for _, c := range found.Changes {
		if c.ID.Kind == "container" {
			names[c.Name] = true
		}
	}
	return names
}

// settled waits until the daemon has done what down leaves to the background: no links are left but those of the host.
func (h *host) settled(t *testing.T) {
	t.Helper()
	sandbox.Eventually(t, "links and files of networks are gone", func() bool { return h.quiet(t) })
}

func (h *host) quiet(t *testing.T) bool {
	s, err := sandbox.Take()
	return err == nil && len(s.Links) == h.links &&
		len(below(t, h.run("network", "networks")))+len(below(t, h.run("network", "sandboxes")))+len(below(t, h.run("netns"))) == 0
}

// settledOrDead is settled for a daemon that may be killed meanwhile.
func (h *host) settledOrDead(t *testing.T) {
	t.Helper()
	sandbox.Eventually(t, "links and files of networks are gone, or the daemon is", func() bool { return h.daemonDied(false) || h.quiet(t) })
}

// pointsOf names each hit of a trace with its number.
func pointsOf(t *testing.T, trace string) []string {
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	var points []string
	hits := map[string]int{}
	for _, name := range strings.Fields(string(b)) {
		hits[name]++
		points = append(points, fmt.Sprintf("%s#%d", name, hits[name]))
	}
	return points
}

// kill runs up, update and down until each point of each has been killed at; of `make test`, a sample of them.
func (r *crashRun) kill() {
	rnd := seeded(r.t)
	iterations := 0
	for i := range r.points {
		if !long() {
			rnd.Shuffle(len(r.points[i]), func(a, b int) { r.points[i][a], r.points[i][b] = r.points[i][b], r.points[i][a] })
		}
		iterations = max(iterations, len(r.points[i]))
	}
	if !long() {
		iterations = min(iterations, r.sample)
	}
	r.t.Logf("%d iterations of up, update and down", iterations)
	kills, failures := 0, 0
	for n := range iterations {
		whole := r.t
		ok := whole.Run(fmt.Sprint(n), func(t *testing.T) {
			r.t = t
			kills += r.iteration(n)
			if t.Failed() {
				t.Logf("STACK_TEST_POINTS=%s runs this one again\nthe daemon's log:\n%s", r.pointsAt(n), r.h.daemonLog(20))
			}
		})
		r.t = whole
		if !ok {
			failures++
		}
		if failures == 10 {
			break
		}
	}
	r.t.Logf("the daemon was killed %d times at points that were asked for; %d were not come by", kills, r.missed)
	// A point that the clean run came by may be none of another run, or may come after the command's end: of a few, chance makes many.
	if long() && r.missed > kills/10 || r.missed > kills/2 {
		r.t.Errorf("too many points are not come by a second time")
	}
}

func (r *crashRun) pointsAt(n int) string {
	if again := os.Getenv("STACK_TEST_POINTS"); again != "" {
		return again
	}
	var all []string
	for i := range crashStages {
		all = append(all, r.points[i][n%len(r.points[i])])
	}
	return strings.Join(all, ",")
}

// iteration is up, update and down, each of them cut off. It returns how many were.
func (r *crashRun) iteration(n int) (kills int) {
	t, h := r.t, r.h
	t.Helper()
	p := r.project()
	points := strings.Split(r.pointsAt(n), ",")
	for i, stage := range crashStages {
		if stage.name == "update" {
			r.change(p)
		}
		begun := time.Now()
		up := h.tryDaemon(t, "STACK_FAILPOINT="+points[i])
		var first result
		if up {
			first = p.run(stage.args...)
		}
		if up && stage.name == "down" && first.code == 0 {
			h.settledOrDead(t) // what down leaves to the background has points too
		}
		if up && !h.daemonDied(first.code != 0) {
			r.missed++
			if first.code != 0 {
				t.Errorf("%s at %s, which it did not come by: %s", stage.name, points[i], first)
			}
			h.killDaemon(t)
		} else {
			kills++
			h.daemon = nil
		}
		ran := r.living()
		h.startDaemon(t)
		if r := p.run(stage.args...); r.code != 0 {
			t.Errorf("%s after a kill at %s: %s", stage.name, points[i], r)
		}
		if stage.name == "down" {
			break
		}
		r.converged(p, stage.name, points[i], ran, begun)
		if t.Failed() {
			p.takeDown()
			h.killDaemon(t)
			return kills
		}
		h.killDaemon(t)
	}
	h.settled(t)
	diff := ""
	if !sandbox.Within(func() bool { diff = r.after.Diff(r.machine()); return diff == "" }) { // the kernel is given its time
		t.Errorf("after a kill at %s of down something is left (-want +got):\n%s", points[2], diff)
	}
	h.killDaemon(t)
	return kills
}

// daemonDied says whether the daemon that was started has ended. After a command that failed it is about to.
func (h *host) daemonDied(failed bool) bool {
	wait := time.Duration(0)
	if failed {
		wait = patience
	}
	select {
	case <-h.ended:
		return true
	case <-time.After(wait):
		return false
	}
}

// steady says whether the program of container name goes on when what it has connected to goes away.
func (r *crashRun) steady(name string) bool {
	return !slices.Contains(r.unsteady, strings.TrimPrefix(name, r.name+"-"))
}

// converged compares the project with what the clean run made. ran is what ran when the daemon was dead.
func (r *crashRun) converged(p *project, stage, point string, ran map[string]living, begun time.Time) {
	t := r.t
	t.Helper()
	what := fmt.Sprintf("%s, killed at %s", stage, point)
	r.serves(p, stage == "update")
	var names []string
	// What lost its backend in an update may be in the back-off of its policy.
	p.eventually(what+": all run, or have done their work", func() bool {
		names = nil
		for name, c := range p.ps() {
			names = append(names, name)
			if c.State != "running" && !(c.State == "exited" && c.ExitCode == 0) {
				return false
			}
		}
		return true
	})
	slices.Sort(names)
	equal(t, what+": containers", strings.Join(names, " "), strings.Join(r.names, " "))
	now := r.living()
	for name, c := range now {
		old, was := ran[name]
		// One that is not steady may end again, if what it has connected to is still away: by itself, and its policy starts it.
		asWanted := old.hash == c.hash && (stage == "up" || r.untouched[name] || r.steady(name) && old.started.After(begun))
		if was && asWanted && old.pid != c.pid {
			t.Errorf("%s: %s ran as it should, and was restarted", what, name)
		}
		if stage == "update" && r.changed[name] && c.started.Before(begun) {
			t.Errorf("%s: %s goes on as it was before", what, name)
		}
	}
	for _, name := range r.counting {
		most := 1
		if stage == "update" && r.changed[r.name+"-"+name] {
			most = 2
		}
		begins := 0
		sandbox.Within(func() bool { // it writes its first line when it comes to it
			begins = r.countsRight(what, name)
			return begins >= most || t.Failed()
		})
		if begins != most {
			t.Errorf("%s: %s was started %d times, expected %d", what, name, begins, most)
		}
	}
	if r := p.run("up", "--detach"); r.code != 0 {
		t.Errorf("%s: another up: %s", what, r)
	} else if again := p.living(t); !cmp.Equal(again, pids(now)) {
		t.Errorf("%s: another up changes what runs: %v, then %v", what, pids(now), again)
	}
}

func pids(all map[string]living) map[string]int {
	out := map[string]int{}
	for name, c := range all {
		out[name] = c.pid
	}
	return out
}

// living is the pid of each container of the host that runs.
func (p *project) living(t *testing.T) map[string]int {
	t.Helper()
	return pids((&crashRun{t: t, h: p.host}).living())
}

// countsRight checks that the logs of a counting container hold every line once and returns how many runs they show.
func (r *crashRun) countsRight(what, replica string) (begins int) {
	r.t.Helper()
	found := 0
	for _, end := range []string{".log", ".b.log"} { // of one that was made anew it is the other
		b, err := os.ReadFile(r.h.state("logs", r.name, replica+end))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		found++
		n, wrong := countLines(string(b))
		if err = errors.Join(err, wrong); err != nil {
			r.t.Errorf("%s: the log of %s: %v", what, replica, err)
		}
		begins += n
	}
	if found == 0 {
		r.t.Errorf("%s: %s has no log", what, replica)
	}
	return begins
}

// countLines reads CRI log lines (time, stream, tag, text) of counters: each run is "begin", 1, 2, 3, … The last line may be one that is
// being written.
func countLines(log string) (begins int, err error) {
	n := 0
	lines := strings.SplitAfter(log, "\n")
	for i, line := range lines[:len(lines)-1] {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(f) != 4 {
			return begins, fmt.Errorf("line %d is %q", i+1, line)
		}
		if f[3] == "begin" {
			begins, n = begins+1, 0
			continue
		}
		if n++; f[3] != fmt.Sprint(n) {
			return begins, fmt.Errorf("line %d is %q; expected number %d of run %d", i+1, line, n, begins)
		}
	}
	return begins, nil
}
