package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/stackrun/stack/internal/sandbox"
)

// project is a directory with Compose files, and the commands run in it.
type project struct {
	t    *testing.T
	host *host
	name string
	dir  string
	env  []string
}

// newProject writes files (name → content) into a directory and, at the end of t, takes the project down with its
// volumes and checks that the machine is as it was.
func newProject(t *testing.T, h *host, name string, files map[string]string) *project {
	t.Helper()
	sandbox.LeavesNothing(t, h.objects()...)
	p := &project{t: t, host: h, name: name, dir: filepath.Join(t.TempDir(), name)}
	for f, content := range files {
		write(t, filepath.Join(p.dir, f), content)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("at the end:\n%s\n%s", p.run("ps", "--all"), p.run("logs", "--tail", "20"))
			t.Logf("the daemon's log:\n%s", h.daemonLog(20))
		}
		p.takeDown()
	})
	return p
}

// takeDown works by the project's name alone: its file may be what a test is about.
func (p *project) takeDown() {
	p.t.Helper()
	r := p.host.exec(p.t, p.t.TempDir(), "", nil, "--project-name", p.name, "down", "--volumes", "--remove-orphans", "--timeout", "0")
	if r.code != 0 {
		p.t.Errorf("the project cannot be taken down: %s", r)
	}
}

// takeDownWholly is takeDown for a host whose daemon ends next: down does not wait for the kernel, and the daemon is who does.
func (p *project) takeDownWholly() {
	p.t.Helper()
	p.takeDown()
	p.eventually("the links are gone", func() bool {
		links, err := netlink.LinkList()
		return err == nil && !slices.ContainsFunc(links, func(l netlink.Link) bool { return l.Type() == "bridge" || l.Type() == "veth" })
	})
}

// compose is a project on the shared host of one compose.yaml.
func compose(t *testing.T, name, yaml string) *project {
	t.Helper()
	return newProject(t, theHost(t), name, map[string]string{"compose.yaml": yaml})
}

// objects are the directories where what belongs to a project leaves files.
func (h *host) objects() []string {
	return []string{
		h.state("containers"), h.state("snapshots"), h.state("volumes"), h.state("logs"),
		h.run("containers"), h.run("netns"), h.run("network"),
	}
}

// makeDirs makes those directories, empty: an instance keeps them, so that they are no difference.
func (h *host) makeDirs(t *testing.T) {
	t.Helper()
	for _, dir := range h.objects() {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func (p *project) run(args ...string) result {
	p.t.Helper()
	return p.host.exec(p.t, p.dir, "", p.env, args...)
}

// ok runs a command that must succeed and returns its stdout.
func (p *project) ok(args ...string) string {
	p.t.Helper()
	r := p.run(args...)
	if r.code != 0 {
		p.t.Fatalf("%s\nthe daemon's log:\n%s", r, p.host.daemonLog(20))
	}
	return r.stdout
}

// fails runs a command that must end with code and say each of want on stderr.
func (p *project) fails(code int, want []string, args ...string) result {
	p.t.Helper()
	r := p.run(args...)
	if r.code != code {
		p.t.Errorf("want exit code %d: %s", code, r)
	}
	for _, w := range want {
		if !strings.Contains(r.stderr, w) {
			p.t.Errorf("stderr does not say %q: %s", w, r)
		}
	}
	return r
}

// up brings the project up and waits until it is running and healthy.
func (p *project) up(args ...string) string {
	p.t.Helper()
	return p.ok(append([]string{"up", "--detach", "--wait"}, args...)...)
}

// sh runs a shell line in a service's container and returns its stdout without the last newline.
func (p *project) sh(service, line string) string {
	p.t.Helper()
	return strings.TrimRight(p.ok("exec", "-T", service, "sh", "-c", line), "\n")
}

func (p *project) write(name, content string) {
	p.t.Helper()
	write(p.t, filepath.Join(p.dir, name), content)
}

// reaches waits until a program in service's container gets the page at host, which must be want, if that is not empty. A container runs before its program
// listens.
func (p *project) reaches(service, host, want string) {
	p.t.Helper()
	p.eventually(service+" reaches "+host, func() bool {
		r := p.run("exec", "-T", service, "wget", "-q", "-O", "-", "http://"+host+"/")
		return r.code == 0 && (want == "" || r.stdout == want)
	})
}

// container is a line of `ps --format json`.
type container struct {
	ID, Name, Service, State, Health, Status, Image string
	ExitCode                                        int
	Publishers                                      []struct {
		URL                       string
		TargetPort, PublishedPort int
		Protocol                  string
	}
}

// ps is `ps --all --no-trunc --format json`, by name.
func (p *project) ps() map[string]container {
	p.t.Helper()
	out := map[string]container{}
	dec := json.NewDecoder(strings.NewReader(p.ok("ps", "--all", "--no-trunc", "--format", "json")))
	for dec.More() {
		var c container
		if err := dec.Decode(&c); err != nil {
			p.t.Fatalf("ps --format json: %v", err)
		}
		out[c.Name] = c
	}
	return out
}

// one is the container of that name, which must exist.
func (p *project) one(name string) container {
	p.t.Helper()
	c, ok := p.ps()[name]
	if !ok {
		p.t.Fatalf("there is no container %s: %s", name, p.run("ps", "--all"))
	}
	return c
}

// eventually waits for cond; what says what is missing when it does not come.
func (p *project) eventually(what string, cond func() bool) {
	p.t.Helper()
	sandbox.Eventually(p.t, what, cond)
}

// equal compares what came with what was wanted, as text.
func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func contains(t *testing.T, what, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("%s does not contain %q:\n%s", what, w, got)
		}
	}
}

// root is the top of the repository.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return dir
}
