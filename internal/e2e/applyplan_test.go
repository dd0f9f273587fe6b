package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stackrun/stack/internal/sandbox"
)

// twoServices is a project of which web waits for db.
func twoServices(mode string) string {
	return `
services:
  db:
    image: plan.test/app:1
    command: [sh, -c, "echo ready; touch /tmp/ok; exec sleep infinity"]
    stop_grace_period: 0s
    environment: {MODE: "` + mode + `", API_TOKEN: "token-` + mode + `"}
    healthcheck: {test: ["CMD-SHELL", "[ -e /tmp/ok ]"], interval: 1s}
    volumes: [data:/data]
  web:
    image: plan.test/app:1
    command: [sleep, infinity]
    stop_grace_period: 0s
    depends_on: {db: {condition: service_healthy}}
volumes:
  data:
`
}

// newTwoServices is twoServices on a host of its own, with its image.
func newTwoServices(t *testing.T, name string) (*host, *project) {
	t.Helper()
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	// Not newProject: it wants the machine to be as it was, and a test may kill the daemon. ownHost looks at the end.
	p := &project{t: t, host: h, name: name, dir: filepath.Join(t.TempDir(), name)}
	p.write("compose.yaml", twoServices("one"))
	t.Cleanup(p.takeDownWholly)
	p.ok("load", "--input", busyboxArchive(t, "plan.test/app:1"))
	return h, p
}

// TestApplyDoesExactlyWhatWasSaved: a plan saved, applied, refused when the host has moved and when somebody has edited it.
func TestApplyDoesExactlyWhatWasSaved(t *testing.T) {
	h, p := newTwoServices(t, "applied")
	file := filepath.Join(p.dir, "plan.json")
	before := h.files(t)
	if r := p.run("plan", "-o", file); r.code != 2 || !strings.Contains(r.stdout, "create applied-web-1") {
		t.Fatalf("%s", r)
	}
	if after := h.files(t); after != before {
		t.Errorf("saving a plan changed files:\n%s\nbefore:\n%s", after, before)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the plan's file: %v, %v", info, err)
	}
	p.write("compose.yaml", "services: {}") // apply does not read it
	p.ok("apply", "--wait", file)
	p.write("compose.yaml", twoServices("one"))
	equal(t, "db", p.one("applied-db-1").Health, "healthy")
	p.fails(1, []string{"cannot apply this plan", "container applied-db-1 was not there", "nothing was changed"}, "apply", file)
	if r := p.run("plan"); r.code != 0 {
		t.Errorf("after apply there is something to do: %s", r)
	}

	p.write("compose.yaml", twoServices("two"))
	if r := p.run("plan", "-o", file); r.code != 2 || strings.Contains(r.stdout, "token-") {
		t.Errorf("%s", r)
	}
	p.ok("stop", "--timeout", "0", "web")
	ids := p.ps()
	p.fails(1, []string{`container applied-web-1: status: "running" -> "exited"`}, "apply", file)
	p.ok("start", "web")
	if got := p.ps(); got["applied-db-1"].ID != ids["applied-db-1"].ID {
		t.Error("a refused plan was carried out")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	edited := filepath.Join(p.dir, "edited.json")
	write(t, edited, strings.Replace(string(text), "token-two", "token-bad", 1))
	p.fails(1, []string{"seal does not fit"}, "apply", edited)
	write(t, edited, string(text[:len(text)/2]))
	p.fails(1, []string{"not a plan"}, "apply", edited)
	r := h.exec(t, p.dir, string(text), nil, "apply", "-")
	if r.code != 0 {
		t.Fatalf("from stdin: %s", r)
	}
	equal(t, "MODE", p.sh("db", "echo $MODE"), "two")
}

// changing are the system calls by which a daemon can change something of the host, whatever their arguments are.
const changing = "creat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,mknod,mknodat,chmod,fchmod,fchmodat," +
	"chown,fchown,lchown,fchownat,truncate,ftruncate,fallocate,utimensat,setxattr,lsetxattr,fsetxattr,removexattr,mount,umount2,move_mount,mount_setattr," +
	"pivot_root,unshare,kill,pidfd_send_signal,execve,execveat,vfork,sethostname,bpf"

// TestPlanMakesNoChangingCall traces the daemon while it plans, saves, compares and dumps.
func TestPlanMakesNoChangingCall(t *testing.T) {
	if _, err := exec.LookPath("strace"); err != nil {
		if sandbox.Must("root") {
			t.Fatal("strace is not installed; .ci/packages installs it")
		}
		t.Skip("SKIP: strace is not installed")
	}
	h, p := newTwoServices(t, "traced")
	// A probe executes something in its container: none is due meanwhile.
	file := func(mode string) string { return strings.Replace(twoServices(mode), "interval: 1s", "interval: 1h", 1) }
	p.write("compose.yaml", file("one"))
	p.up()
	p.write("compose.yaml", file("two"))
	h.atRest(t)
	trace := h.trace(t, changing+",openat,openat2,write,pwrite64,writev,sendto,sendmsg,setns", func() {
		for _, args := range [][]string{{"plan"}, {"plan", "-o", filepath.Join(p.dir, "p.json")}, {"up", "--dry-run", "--scale", "web=3"}, {"plan", "--force-recreate"}, {"debug", "dump"}, {"drift"}, {"why", "web"}, {"history"}} {
			if r := p.run(args...); r.code != 0 && r.code != 2 {
				t.Errorf("%s", r)
			}
		}
	})
	seen := false
	for _, call := range trace {
		seen = seen || strings.Contains(call, "openat")
		if why := changes(h, call); why != "" {
			t.Errorf("%s: %s", why, call)
		}
	}
	if !seen {
		t.Errorf("the trace has nothing in it: %q", trace)
	}
	// The test sees what there is to see.
	trace = h.trace(t, changing+",openat,write,pwrite64,sendto,sendmsg", func() { p.up() })
	found := 0
	for _, call := range trace {
		if changes(h, call) != "" {
			found++
		}
	}
	if found < 10 {
		t.Errorf("an up made %d changing calls", found)
	}
}

var (
	callName = regexp.MustCompile(`^(?:\[pid +\d+\] |\d+ +)?([a-z0-9_]+)\(`)
	written  = regexp.MustCompile(`^(?:\[pid +\d+\] |\d+ +)?p?write(?:64|v)?\(\d+<(/[^>]*)>`)
	netlinks = regexp.MustCompile(`RTM_(?:NEW|DEL|SET)|NFT_MSG_(?:NEW|DEL)|NFNL_MSG_BATCH`)
)

// changes says what a traced call of the daemon changes, "" = nothing. Writing to its sockets, pipes and its log is none.
func changes(h *host, call string) string {
	m := callName.FindStringSubmatch(call)
	if m == nil {
		return ""
	}
	switch m[1] {
	case "openat", "openat2":
		if strings.Contains(call, "O_CREAT") || strings.Contains(call, "O_TRUNC") || strings.Contains(call, "O_WRONLY") || strings.Contains(call, "O_RDWR") {
			return "opens a file to write"
		}
	case "write", "pwrite64", "writev":
		if w := written.FindStringSubmatch(call); w != nil && w[1] != h.log && !strings.HasPrefix(w[1], "/dev/") {
			return "writes to a file"
		}
	case "sendto", "sendmsg":
		if netlinks.MatchString(call) {
			return "changes the network"
		}
	case "setns":
		return "enters a namespace"
	default:
		if strings.Contains(","+changing+",", ","+m[1]+",") {
			return "changes the host"
		}
	}
	return ""
}

// atRest waits until the daemon has in reserve again what the last start or probe has taken: the program of the next.
func (h *host) atRest(t *testing.T) {
	t.Helper()
	children := func(pid string) (all []string) {
		tasks, _ := filepath.Glob("/proc/" + pid + "/task/*/children")
		for _, path := range tasks {
			b, _ := os.ReadFile(path) // the thread has ended: nothing
			all = append(all, strings.Fields(string(b))...)
		}
		return all
	}
	sandbox.Eventually(t, "the daemon has a program in reserve", func() bool {
		return slices.ContainsFunc(children(strconv.Itoa(h.daemon.Process.Pid)), func(pid string) bool {
			b, err := os.ReadFile("/proc/" + pid + "/cmdline")
			return err == nil && string(b) == "stack-init\x00monitor\x00" && len(children(pid)) == 0
		})
	})
}

// trace is the daemon's system calls of those named while do runs.
func (h *host) trace(t *testing.T, calls string, do func()) []string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "trace")
	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "strace", "--follow-forks", "--decode-fds=path", "--string-limit=200", "--output="+out, "--trace="+calls, fmt.Sprintf("--attach=%d", h.daemon.Process.Pid))
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// "strace: Process 123 attached": from then on nothing is missed.
	lines := bufio.NewScanner(said)
	attached := make(chan bool, 1)
	go func() {
		first := true
		for lines.Scan() {
			if first && strings.Contains(lines.Text(), "attached") {
				first = false
				attached <- true
			}
		}
		if first {
			attached <- false
		}
	}()
	select {
	case ok := <-attached:
		if !ok {
			cmd.Wait()
			t.Skip("SKIP: strace cannot trace here")
		}
	case <-time.After(patience):
		t.Fatal("strace does not attach")
	}
	do()
	h.atRest(t) // in the middle of a vfork the daemon waits for the child, which waits for strace, which waits for the daemon
	cmd.Process.Signal(syscall.SIGINT)
	cmd.Wait() //nolint:errcheck // it tells of our signal
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}

// TestApplyAsksNoRegistry: what a saved plan makes containers of is on the host; an up of the same file may ask for more.
func TestApplyAsksNoRegistry(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	p := &project{t: t, host: h, name: "unasked", dir: filepath.Join(t.TempDir(), "unasked")}
	p.write("compose.yaml", "services: {web: {image: busybox, command: [sleep, infinity], stop_grace_period: 0s, pull_policy: always}}")
	t.Cleanup(p.takeDownWholly)
	p.ok("pull")
	file := filepath.Join(p.dir, "plan.json")
	saved := p.run("plan", "-o", file)
	asked := len(h.registry.Requests())
	if saved.code != 2 {
		t.Fatalf("%s", saved)
	}
	if r := p.run("apply", file); r.code != 0 {
		t.Errorf("%s", r)
	}
	if all := h.registry.Requests(); len(all) != asked {
		t.Errorf("the registry was asked for %v", all[asked:])
	}
	equal(t, "web", p.one("unasked-web-1").State, "running")
	if p.ok("up", "--detach"); len(h.registry.Requests()) == asked {
		t.Error("an up has not asked it either")
	}
}
