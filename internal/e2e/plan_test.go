package e2e

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// files are all below the roots of h, with the time and the content of each, a line each.
func (h *host) files(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, top := range []string{h.state(), h.run()} {
		err := filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s %s %d %s", path, info.Mode(), info.Size(), info.ModTime().Format(time.RFC3339Nano))
			if info.Mode().IsRegular() {
				text, err := os.ReadFile(path)
				if err != nil && !strings.HasPrefix(path, h.run("netns")) { // a namespace is a file that cannot be read
					return err
				}
				fmt.Fprintf(&b, " %x", sha256.Sum256(text))
			}
			b.WriteByte('\n')
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// TestPlanAndDrift: what they say of a stack, how they end, and that no file is other afterwards.
func TestPlanAndDrift(t *testing.T) {
	h := ownHost(t) // nobody else's work is to be among the files
	h.makeDirs(t)
	h.configure(t, "healing: false") // what is damaged is to stay so until it is looked at
	h.startDaemon(t)
	file := func(mode string) string {
		return `
services:
  a:
    image: plan.test/app:1
    pull_policy: missing
    command: [sleep, infinity]
    stop_grace_period: 0s
    environment: {MODE: "` + mode + `", API_TOKEN: "t-` + mode + `"}
    configs: [site]
    volumes: [data:/data]
  b:
    image: plan.test/app:1
    command: [sleep, infinity]
    stop_grace_period: 0s
configs:
  site: {file: site.conf}
volumes:
  data:
`
	}
	p := newProject(t, h, "planned", map[string]string{"compose.yaml": file("one"), "site.conf": "one"})
	before := ""
	// look runs a command that changes nothing and must end with code and say each of want.
	look := func(code int, want []string, args ...string) result {
		t.Helper()
		before = h.files(t)
		r := p.run(args...)
		if r.code != code {
			t.Errorf("want exit code %d: %s", code, r)
		}
		contains(t, strings.Join(args, " "), r.stdout, want...)
		if after := h.files(t); after != before {
			t.Errorf("%v changed files:\n%s\nbefore:\n%s", args, after, before)
		}
		return r
	}
	look(2, []string{"images", "pull plan.test/app:1", "create planned_default", "create planned_data", "create planned-a-1", "1 to pull, 4 to create"}, "plan")
	p.ok("load", "--input", busyboxArchive(t, "plan.test/app:1"))
	look(2, []string{"planned: 4 to create"}, "up", "--dry-run")
	p.fails(1, []string{"planned", "not up"}, "drift")
	p.up()
	look(0, []string{"nothing to do"}, "plan")
	look(0, []string{"as the file of the last up says"}, "drift")

	p.write("compose.yaml", file("two"))
	look(0, nil, "drift") // it is of the last up
	r := look(2, []string{"recreate planned-a-1", `environment.MODE: "one" -> "two"`, "environment.API_TOKEN: (hidden) -> (hidden)", "1 to recreate"}, "plan")
	if strings.Contains(r.stdout, "t-one") || strings.Contains(r.stdout, "t-two") {
		t.Errorf("a secret's value is told: %s", r)
	}
	look(0, nil, "plan", "b")
	look(2, []string{"create planned-b-2"}, "plan", "--scale", "b=2", "b")
	var v struct {
		Changes []struct{ Name, Action string }
	}
	if err := json.Unmarshal([]byte(look(2, nil, "plan", "--format", "json").stdout), &v); err != nil || len(v.Changes) != 1 || v.Changes[0].Action != "recreate" {
		t.Errorf("json: %+v, %v", v, err)
	}

	p.write("site.conf", "two")
	p.ok("stop", "--timeout", "0", "b")
	look(2, []string{"planned-a-1", "configs[0].digest", "planned-b-1", "it has exited with code", "2 differences"}, "drift")
	p.write("site.conf", "one")
	p.ok("start", "b")
	look(0, nil, "drift")

	// What somebody takes away of the network is named.
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if l.Type() == "bridge" {
			if err := netlink.LinkDel(l); err != nil {
				t.Fatal(err)
			}
		}
	}
	look(2, []string{"networks", "planned_default", "containers", "planned-a-1", "planned-b-1"}, "drift")
	p.write("compose.yaml", file("one"))
	p.up()
	look(0, nil, "drift")
	p.write("compose.yaml", "services: {a: {image: 5, nonsense: 1}}")
	p.fails(1, []string{"nonsense"}, "plan")
}
