package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
)

// uniqueCounter writes lines "<run> <n>", n from 1, and notes the last one that it has written below /data, after it has.
const uniqueCounter = `u=$$(cat /proc/sys/kernel/random/uuid); i=0; while :; do i=$$((i+1)); echo $$u $$i; echo $$i >/data/$$u; sleep 0.02; done`

// loadOf is a project whose containers show what goes wrong when they are treated badly.
func loadOf(port int) string {
	return fmt.Sprintf(`
services:
  tick:
    image: busybox
    init: true
    command: ["sh", "-c", %[1]q]
    volumes: ["./data:/data"]
    restart: always
  single: # a second one at the same time cannot have the port
    image: busybox
    init: true
    network_mode: host
    command: ["sh", "-c", %[2]q]
    volumes: ["./data:/data"]
    restart: unless-stopped
    depends_on: [tick]
  scaled:
    image: busybox
    init: true
    command: ["sh", "-c", %[1]q]
    volumes: ["./data:/data", /anonymous]
    deploy: {replicas: 2}
    restart: always
    healthcheck: {test: ["CMD", "true"], interval: 1s}
  once:
    image: busybox
    command: ["sh", "-c", "echo ran; exit 9"]
    restart: "no"
    depends_on: {scaled: {condition: service_healthy}}
  web:
    image: busybox
    init: true
    command: ["sh", "-c", "mkdir /www; echo page >/www/index.html; exec httpd -f -p 80 -h /www"]
    ports: ["127.0.0.1:%[3]d:80"]
    restart: always
`, uniqueCounter, fmt.Sprintf("httpd -p 127.0.0.1:%d || echo DOUBLE; %s", port+100, uniqueCounter), port)
}

// loadVerbs are what users do meanwhile, the usual ones more often.
var loadVerbs = [][]string{
	{"up", "-d"}, {"up", "-d"}, {"up", "-d"}, {"up", "-d", "--force-recreate", "-t", "0"}, {"up", "-d", "--scale", "scaled=3"}, {"up", "-d", "--scale", "scaled=1"},
	{"restart", "-t", "0"}, {"restart", "-t", "0", "tick"}, {"exec", "-T", "tick", "true"}, {"logs", "--follow", "--tail", "1"}, {"ps", "-a"},
	{"run", "--rm", "-T", "--no-deps", "once", "true"}, {"stop", "-t", "0", "web"}, {"kill", "scaled"}, {"down", "-t", "0"}, {"rm", "-f", "-s", "once"},
}

// TestRandomKills kills daemons, monitors, containers and commands at random moments, under load. At the end every project is
// what its file says and goes without a trace, no container was there twice, and no line of a log is lost: of a container
// whose monitor was killed, but for what was in its pipe.
func TestRandomKills(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	// The first command starts the daemon, and after a kill the next one does.
	h.env = append(h.env, "STACK_IDLE=1h")
	k := &killer{t: t, h: h, rnd: seeded(t), killed: map[string]int{}}
	t.Cleanup(k.endDaemons)
	var projects []*project
	for i := range 2 {
		p := &project{t: t, host: h, name: fmt.Sprintf("load%d", i), dir: filepath.Join(h.dir, fmt.Sprintf("load%d", i))}
		p.write("compose.yaml", loadOf(18200+i))
		if err := os.MkdirAll(filepath.Join(p.dir, "data"), 0o755); err != nil {
			t.Fatal(err)
		}
		p.ok("up", "-d")
		projects = append(projects, p)
	}
	kills := shortOrLong(20, 200)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var users sync.WaitGroup
	for i, p := range projects {
		// Logs go with down: of the first project they are all there at the end.
		verbs := loadVerbs
		if i == 0 {
			verbs = slices.DeleteFunc(slices.Clone(verbs), func(v []string) bool { return v[0] == "down" })
		}
		for u := range 2 {
			rnd := rand.New(rand.NewPCG(k.rnd.Uint64(), uint64(2*i+u)))
			users.Go(func() { k.use(ctx, p, verbs, rnd) })
		}
	}
	for n := 0; n < kills; {
		time.Sleep(time.Duration(k.rnd.IntN(150)) * time.Millisecond) // chance is what is tested
		if k.kill() {
			n++
		}
	}
	stop()
	users.Wait()
	t.Logf("killed: %v, of %d commands", k.killed, k.commands)

	for _, p := range projects {
		p.ok("up", "-d", "--wait", "tick", "single", "scaled", "web")
		p.ok("up", "-d")
		p.eventually("the page is served", func() bool {
			_, body, _, err := get(fmt.Sprintf("http://127.0.0.1:%d/", 18200+slices.Index(projects, p)))
			return err == nil && body == "page\n"
		})
		p.eventually("the exit code is there", func() bool {
			c := p.one(p.name + "-once-1")
			return c.State == "exited" && c.ExitCode == 9
		})
		// Which two of scaled there are is not said: those that a killed down has left stay, whatever their numbers.
		states := map[string]int{}
		for _, c := range p.ps() {
			states[c.Service+" "+c.State]++
		}
		want := map[string]int{"tick running": 1, "single running": 1, "scaled running": 2, "web running": 1, "once exited": 1}
		if diff := cmp.Diff(want, states); diff != "" {
			t.Errorf("%s (-want +got):\n%s%s", p.name, diff, p.run("ps", "-a"))
		}
	}
	for _, p := range projects {
		p.ok("stop", "-t", "0")
		k.checkLogs(p, p == projects[0])
		p.ok("down", "-v", "-t", "0")
		for _, dir := range h.objects() {
			for _, left := range below(t, dir) {
				if strings.Contains(left, p.name) {
					t.Errorf("left in %s: %s", dir, left)
				}
			}
		}
	}
	for _, dir := range []string{h.state("containers"), h.state("snapshots"), h.state("volumes"), h.state("logs"), h.run("containers"), h.run("netns")} {
		sandbox.Eventually(t, "nothing is left in "+dir, func() bool { return len(below(t, dir)) == 0 }) // a down does not wait for all of it
	}
	if b, err := os.ReadFile(h.state("daemon.log")); err == nil && (bytes.Contains(b, []byte("put aside")) || bytes.Contains(b, []byte("panic:")) || bytes.Contains(b, []byte("goroutine "))) {
		t.Errorf("the daemon's log:\n%s", b)
	}
}

// TestDamagedState: a daemon starts whatever a disk has made of its store and of the records of a container, and says so; the rest is as
// it was, and one up makes it whole.
func TestDamagedState(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	p := &project{t: t, host: h, name: "harmed", dir: filepath.Join(h.dir, "harmed")}
	p.write("compose.yaml", chainOf("1"))
	p.up()
	before := p.living(t)
	harmed := p.one("harmed-s4-1").ID
	h.killDaemon(t)
	for _, path := range []string{h.state("stack.db"), h.state("images", "index.json"), h.state("containers", harmed, "config.json")} {
		if err := os.WriteFile(path, bytes.Repeat([]byte{0}, 5000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.startDaemon(t)
	log := h.daemonLog(20)
	for _, what := range []string{"stack.db.damaged-", "index.json.damaged-", harmed + ".damaged"} {
		if strings.Count(log, "level=ERROR") != 3 || !strings.Contains(log, what) {
			t.Errorf("the daemon does not name %s, or says more than it should:\n%s", what, log)
		}
	}
	p.up()
	after := p.living(t)
	for name, pid := range before {
		if (after[name] == pid) == (name == "harmed-s4-1") {
			t.Errorf("%s was process %d and is %d", name, pid, after[name])
		}
	}
	if len(after) != 5 {
		t.Errorf("there are %v", after)
	}
	p.ok("down", "--timeout", "0")
	h.settled(t)
	for _, dir := range []string{h.state("snapshots"), h.state("logs"), h.run("containers"), h.run("netns")} {
		if left := below(t, dir); len(left) > 0 {
			t.Errorf("left in %s: %v", dir, left)
		}
	}
	equal(t, "what is kept of containers", strings.Join(below(t, h.state("containers")), " "), harmed+".damaged")
}

// killer is chance with a list of victims.
type killer struct {
	t      *testing.T
	h      *host
	rnd    *rand.Rand
	killed map[string]int

	mu       sync.Mutex
	running  []*exec.Cmd // commands of users
	commands int
}

// use runs commands on p, one after the other, until ctx ends. They may fail, since what they talk to is killed, but neither crash
// nor hang.
func (k *killer) use(ctx context.Context, p *project, verbs [][]string, rnd *rand.Rand) {
	for ctx.Err() == nil {
		args := verbs[rnd.IntN(len(verbs))]
		patient, cancel := context.WithTimeout(context.Background(), patience)
		if args[0] == "logs" {
			patient, cancel = context.WithTimeout(context.Background(), time.Second)
		}
		cmd := k.h.command(patient, p.dir, args...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		k.mu.Lock()
		err := cmd.Start()
		if err == nil {
			k.running = append(k.running, cmd)
			k.commands++
		}
		k.mu.Unlock()
		if err != nil {
			k.t.Errorf("%v: %v", args, err)
			cancel()
			return
		}
		cmd.Wait() //nolint:errcheck // see above
		k.mu.Lock()
		k.running = slices.DeleteFunc(k.running, func(c *exec.Cmd) bool { return c == cmd })
		k.mu.Unlock()
		if patient.Err() != nil && args[0] != "logs" {
			k.t.Errorf("stack %v in %s does not end:\n%s", args, p.name, out.String())
		}
		cancel()
		if bytes.Contains(out.Bytes(), []byte("goroutine ")) {
			k.t.Errorf("stack %v crashed:\n%s", args, out.String())
		}
	}
}

// processes are those of the sandbox whose command line ends so.
func processes(t *testing.T, suffix func(cmdline string) bool) (pids []int) {
	t.Helper()
	s, err := sandbox.Take()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Processes {
		pid, cmdline, _ := strings.Cut(p, " ")
		if n, err := strconv.Atoi(pid); err == nil && suffix(cmdline) {
			pids = append(pids, n)
		}
	}
	return pids
}

func (k *killer) daemons() []int {
	return processes(k.t, func(c string) bool { return strings.Contains(c, " daemon") && strings.Contains(c, "--auto-started") })
}

// kill kills somebody; false when there was nobody of the kind.
func (k *killer) kill() bool {
	kind := []string{"daemon", "daemon", "monitor", "container", "container", "command"}[k.rnd.IntN(6)]
	var victims []int
	switch kind {
	case "daemon":
		victims = k.daemons()
	case "monitor":
		victims = processes(k.t, func(c string) bool { return c == "stack-init monitor" })
	case "container":
		for _, pid := range pids((&crashRun{t: k.t, h: k.h}).living()) {
			victims = append(victims, pid)
		}
		slices.Sort(victims)
	case "command":
		k.mu.Lock()
		for _, c := range k.running {
			victims = append(victims, c.Process.Pid)
		}
		k.mu.Unlock()
	}
	if len(victims) == 0 {
		return false
	}
	// In the sandbox's own pid namespace; whoever has ended meanwhile is missed, and pids do not come around that fast.
	if unix.Kill(victims[k.rnd.IntN(len(victims))], unix.SIGKILL) != nil {
		return false
	}
	k.killed[kind]++
	return true
}

// endDaemons ends the daemon that commands have started, as systemd would.
func (k *killer) endDaemons() {
	for _, pid := range k.daemons() {
		unix.Kill(pid, unix.SIGTERM) //nolint:errcheck // it is waited for
	}
	if !sandbox.Within(func() bool { return len(k.daemons()) == 0 }) {
		k.t.Errorf("the daemon does not end when it is told to; what it does:\n%s", k.h.stacks(k.t))
	}
}

// checkLogs reads the logs, in which no number of a run is missing or twice, and when they are whole compares them with what the
// containers say that they have written.
func (k *killer) checkLogs(p *project, whole bool) {
	t := k.t
	logged := map[string]int{} // run → last number
	files, err := filepath.Glob(k.h.state("logs", p.name, "*.log*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no logs: %v", p.name, err)
	}
	lines := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			if len(f) < 4 || f[2] != "F" {
				continue // torn: its monitor was killed while it wrote
			}
			if slices.Contains(f, "DOUBLE") {
				t.Errorf("%s: there were two at a time", file)
			}
			if len(f) != 5 || len(f[3]) != 36 {
				continue
			}
			lines++
			if n, err := strconv.Atoi(f[4]); err != nil || n != logged[f[3]]+1 {
				t.Errorf("%s: %q comes after number %d of its run", file, line, logged[f[3]])
			} else {
				logged[f[3]] = n
			}
		}
	}
	t.Logf("%s: %d lines of %d runs", p.name, lines, len(logged))
	if !whole {
		return
	}
	short := 0
	for _, run := range below(t, filepath.Join(p.dir, "data")) {
		b, err := os.ReadFile(filepath.Join(p.dir, "data", run))
		if err != nil {
			t.Fatal(err)
		}
		if wrote, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && logged[run] < wrote {
			short++
			t.Logf("%s: run %s wrote %d lines, %d are in the log", p.name, run, wrote, logged[run])
		}
	}
	if short > k.killed["monitor"] {
		t.Errorf("%s: %d runs lost lines, and %d monitors were killed", p.name, short, k.killed["monitor"])
	}
}
