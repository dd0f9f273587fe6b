package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProcess: what the container's process is given.
func TestProcess(t *testing.T) {
	p := newProject(t, theHost(t), "process", map[string]string{
		"compose.yaml": `
services:
  app:
    image: busybox
    command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"]
    hostname: apphost
    user: "1234:5678"
    group_add: ["42"]
    working_dir: /tmp
    environment:
      PLAIN: "a b"
      EMPTY: ""
      FROM_ENV:
    env_file: [app.env]
    read_only: true
    tmpfs:
      - /scratch:size=1m,mode=0770,uid=1234
    ulimits:
      nofile: {soft: 512, hard: 1024}
      nproc: 77
    sysctls:
      net.ipv4.ip_unprivileged_port_start: "1000"
    shm_size: 8m
    cap_add: [NET_ADMIN]
    cap_drop: [CHOWN]
    security_opt: ["no-new-privileges:true"]
    oom_score_adj: 300
    mem_limit: 64m
    pids_limit: 33
    cpus: 0.5
  withinit:
    image: busybox
    init: true
    command: [sleep, infinity]
`,
		"app.env": "FROM_FILE=file\nPLAIN=hidden by environment\n",
	})
	p.env = []string{"FROM_ENV=outer"}
	p.up()

	for line, want := range map[string]string{
		"hostname":                       "apphost",
		"id -u":                          "1234",
		"id -g":                          "5678",
		"id -G":                          "5678 42",
		"pwd":                            "/tmp",
		`echo "$PLAIN|$EMPTY|$FROM_ENV"`: "a b||outer",
		"echo $FROM_FILE":                "file",
		"ulimit -Sn; ulimit -Hn":         "512\n1024",
		"cat /proc/sys/net/ipv4/ip_unprivileged_port_start": "1000",
		"cat /proc/self/oom_score_adj":                      "300",
		"grep NoNewPrivs /proc/1/status":                    "NoNewPrivs:\t1",
		"grep Seccomp: /proc/1/status":                      "Seccomp:\t2",
		"stat -f -c %T /scratch":                            "tmpfs",
		"stat -c '%a %u' /scratch":                          "770 1234",
		"df -k /dev/shm | tail -1 | awk '{print $2}'":       "8192",
		"echo x >/scratch/f && cat /scratch/f":              "x",
		"cat /proc/1/comm":                                  "sh",
	} {
		if got := p.sh("app", line); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	// The default set without CHOWN and with NET_ADMIN, as the bounding set of a process that is not root.
	equal(t, "bounding set", p.sh("app", "grep CapBnd /proc/1/status"), "CapBnd:\t00000000a80435fa")
	for _, line := range []string{"touch /x", "echo 1 >/proc/sys/kernel/domainname", "mount -t tmpfs x /mnt", "head -c 1 /proc/kcore | grep ."} {
		if r := p.run("exec", "-T", "app", "sh", "-c", line); r.code == 0 {
			t.Errorf("%s succeeded: %s", line, r)
		}
	}
	// A container with init runs as soon as its init does, a moment before the program, which is a child of any thread.
	p.eventually("pid 1 with init has one child, the program", func() bool {
		return p.sh("withinit", "cat /proc/1/task/*/children | wc -w; ps -o comm= 2>/dev/null | grep -c '^sleep$' || true") == "1\n1"
	})
	// Files descriptors: nothing of the platform's leaks in (CVE-2024-21626).
	equal(t, "pid 1's descriptors", p.sh("withinit", "ls /proc/$(cat /proc/1/task/*/children | awk '{print $1}')/fd | tr '\\n' ' '"), "0 1 2 ")
}

// TestMemoryLimit: a process that takes more than its container may is killed for it, and ps and up say so.
func TestMemoryLimit(t *testing.T) {
	p := compose(t, "oom", `
services:
  hog:
    image: busybox
    command: ["sh", "-c", "tail /dev/zero"]
    mem_limit: 16m
    memswap_limit: 16m
`)
	p.ok("up", "--detach")
	p.eventually("the hog is killed", func() bool { return p.one("oom-hog-1").State == "exited" })
	c := p.one("oom-hog-1")
	equal(t, "exit code", fmt.Sprint(c.ExitCode), "137")
	contains(t, "ps", c.Status, "out of memory")
	contains(t, "up that is attached", p.ok("up"), "hog-1 exited with code 137 (killed because it was out of memory)")
}

func TestExec(t *testing.T) {
	p := compose(t, "execs", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    environment: {COLOUR: blue}
    deploy: {replicas: 2}
`)
	p.up()
	for _, tt := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{"true"}, 0, ""},
		{[]string{"sh", "-c", "exit 7"}, 7, ""},
		{[]string{"no-such-program"}, 127, ""},
		{[]string{"/etc"}, 126, ""},
		{[]string{"sh", "-c", "kill -9 $$"}, 137, ""},
		{[]string{"sh", "-c", "kill -15 $$"}, 143, ""},
		{[]string{"sh", "-c", "echo $COLOUR"}, 0, "blue\n"},
	} {
		r := p.run(append([]string{"exec", "-T", "app"}, tt.args...)...)
		if r.code != tt.code || r.stdout != tt.out {
			t.Errorf("want exit code %d and %q: %s", tt.code, tt.out, r)
		}
	}
	equal(t, "exec -e", p.ok("exec", "-T", "-e", "COLOUR=red", "app", "sh", "-c", "echo $COLOUR"), "red\n")
	equal(t, "exec -w", p.ok("exec", "-T", "-w", "/etc", "app", "pwd"), "/etc\n")
	equal(t, "exec -u", p.ok("exec", "-T", "-u", "nobody", "app", "id", "-un"), "nobody\n")
	if a, b := p.ok("exec", "-T", "--index", "1", "app", "hostname"), p.ok("exec", "-T", "--index", "2", "app", "hostname"); a == b {
		t.Errorf("--index 1 and 2 are the same container %s", a)
	}
	r := p.host.exec(t, p.dir, "one\ntwo\n", nil, "exec", "-T", "app", "wc", "-l")
	equal(t, "exec with stdin", strings.TrimSpace(r.stdout), "2")
	r = p.run("exec", "-T", "app", "sh", "-c", "echo out; echo err >&2")
	equal(t, "stdout", r.stdout, "out\n")
	equal(t, "stderr", r.stderr, "err\n")
	p.fails(1, []string{"nosuch"}, "exec", "-T", "nosuch", "true")
	p.ok("stop", "--timeout", "0", "app")
	p.fails(1, []string{"not running"}, "exec", "-T", "app", "true")
}

func TestRun(t *testing.T) {
	p := compose(t, "runs", `
services:
  db:
    image: busybox
    command: [sleep, infinity]
  app:
    image: busybox
    command: [echo, from the file]
    environment: {COLOUR: blue}
    ports: ["127.0.0.1:18081:80"]
    depends_on: [db]
`)
	equal(t, "run", p.ok("run", "--rm", "-T", "app"), "from the file\n")
	equal(t, "run with a command", p.ok("run", "--rm", "-T", "-e", "COLOUR=red", "app", "sh", "-c", "echo $COLOUR"), "red\n")
	equal(t, "dependency", p.one("runs-db-1").State, "running")
	p.fails(3, nil, "run", "--rm", "-T", "app", "sh", "-c", "exit 3")
	equal(t, "run --entrypoint", p.ok("run", "--rm", "-T", "--no-deps", "--entrypoint", "echo", "app", "x y"), "x y\n")
	equal(t, "run -w -u", p.ok("run", "--rm", "-T", "-w", "/etc", "-u", "8:8", "app", "sh", "-c", "pwd; id -u"), "/etc\n8\n")
	r := p.host.exec(t, p.dir, "a\nb\n", nil, "run", "--rm", "-T", "app", "cat")
	equal(t, "run with stdin", r.stdout, "a\nb\n")
	equal(t, "names by DNS", p.ok("run", "--rm", "-T", "app", "sh", "-c", "nslookup db >/dev/null && echo found"), "found\n")
	if n := len(p.ps()); n != 1 {
		t.Errorf("run --rm left a container: %s", p.run("ps", "--all"))
	}
	p.ok("run", "-T", "--name", "kept", "app")
	equal(t, "without --rm", p.one("kept").State, "exited")
	p.ok("rm", "--force")
	if _, ok := p.ps()["kept"]; ok {
		t.Log("rm keeps one-off containers, as docker compose does")
	}
}

// TestExecAtTheLimitOfProcesses: an exec into a container that may have no more processes, or too few for what an exec takes for a moment, says so,
// with one message and 126, and leaves nothing. When there is room it works.
func TestExecAtTheLimitOfProcesses(t *testing.T) {
	file := "services:\n"
	for free := range 5 {
		file += fmt.Sprintf(`
  free%d:
    image: busybox
    command: ["sh", "-c", "trap 'kill $$all; less=yes' USR1; for i in 1 2 3 4 5 6 7; do sleep 1000 & all=\"$$all $$!\"; done; echo full; until [ $$less ]; do wait; done; wait; exec sleep 1000"]
    pids_limit: %d
    stop_grace_period: 0s
`, free, 8+free)
	}
	p := compose(t, "crowded", file)
	p.up()
	for free := range 5 {
		service := fmt.Sprintf("free%d", free)
		p.eventually(service+" is full", func() bool { return strings.Contains(p.ok("logs", service), "full") })
		dir := filepath.Dir(p.pidsOf(service))
		for _, args := range [][]string{{"exec", "-T", service, "true"}, {"exec", "--detach", service, "true"}} {
			r := p.run(args...)
			if r.code == 0 && free > 1 {
				continue // it was quick enough
			}
			if r.code != 126 || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "as its pids_limit allows") {
				t.Errorf("%s: %s", service, r)
			}
		}
		p.eventually("nothing is left of it", func() bool {
			b, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			return err == nil && len(strings.Fields(string(b))) == 8
		})
		p.ok("kill", "-s", "USR1", service)
		p.eventually("an exec has room again", func() bool { return p.run("exec", "-T", service, "true").code == 0 })
	}
	p.eventually("of our processes a monitor for each service is left", func() bool {
		return len(processes(t, func(c string) bool { return strings.HasPrefix(c, "stack-init") })) == 5
	})
}

// pidsOf is the file of the pids limit of a service's container.
func (p *project) pidsOf(service string) string {
	p.t.Helper()
	for _, pattern := range []string{"/sys/fs/cgroup/pids/*/", "/sys/fs/cgroup/*/"} {
		if found, err := filepath.Glob(pattern + p.one(p.name+"-"+service+"-1").ID + "/pids.max"); err == nil && len(found) == 1 {
			return found[0]
		}
	}
	p.t.Fatalf("%s has no limit of processes", service)
	return ""
}
