package e2e

import (
	"strings"
	"testing"
)

// TestChange: a second up changes only what differs, and says what that is.
func TestChange(t *testing.T) {
	file := func(command, extra string) string {
		return `
services:
  a:
    image: busybox
    command: ` + command + `
    environment: {MODE: "` + extra + `", API_TOKEN: "t-` + extra + `"}
    stop_grace_period: 0s
  b:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    volumes: [/anonymous]
`
	}
	p := compose(t, "change", file("[sleep, infinity]", "one"))
	p.up()
	first := p.ps()
	r := p.run("up", "--detach")
	equal(t, "an unchanged file", idsOf(p.ps()), idsOf(first))
	if strings.Contains(r.stderr, "Recreate") {
		t.Errorf("a recreate with an unchanged file: %s", r)
	}

	p.write("compose.yaml", file("[sleep, infinity]", "two"))
	r = p.run("up", "--detach")
	contains(t, "the reason of the recreate", r.stderr, "change-a-1  Recreate", `environment.MODE: "one" -> "two"`, "API_TOKEN")
	if strings.Contains(r.stderr, "t-one") || strings.Contains(r.stderr, "t-two") {
		t.Errorf("a secret's value is told: %s", r)
	}
	second := p.ps()
	if second["change-a-1"].ID == first["change-a-1"].ID {
		t.Error("a was not recreated though its environment changed")
	}
	equal(t, "b", second["change-b-1"].ID, first["change-b-1"].ID)
	equal(t, "the new environment", p.sh("a", "echo $MODE"), "two")

	p.write("compose.yaml", file("[sleep, infinity]", "three"))
	p.ok("up", "--detach", "--no-recreate")
	equal(t, "--no-recreate", idsOf(p.ps()), idsOf(second))
	p.sh("b", "echo kept >/anonymous/f")
	p.ok("up", "--detach", "--force-recreate")
	third := p.ps()
	for name := range third {
		if third[name].ID == second[name].ID {
			t.Errorf("--force-recreate kept %s", name)
		}
	}
	equal(t, "the anonymous volume goes with the container", p.sh("b", "cat /anonymous/f"), "kept")

	p.write("compose.yaml", strings.Split(file("[sleep, infinity]", "three"), "  b:")[0])
	contains(t, "the warning", p.run("up", "--detach").stderr, "change-b-1", "--remove-orphans")
	equal(t, "the orphan", p.one("change-b-1").State, "running")
	p.ok("up", "--detach", "--remove-orphans", "--timeout", "0")
	if _, ok := p.ps()["change-b-1"]; ok {
		t.Error("--remove-orphans kept the orphan")
	}
}

func TestScale(t *testing.T) {
	p := compose(t, "scaled", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    scale: 2
`)
	p.up()
	first := p.ps()
	p.up("--scale", "app=4")
	if n := len(p.ps()); n != 4 {
		t.Errorf("%d containers, want 4", n)
	}
	for name, c := range first {
		equal(t, name, p.one(name).ID, c.ID)
	}
	p.up("--scale", "app=1")
	if got := p.ps(); len(got) != 1 || got["scaled-app-1"].ID != first["scaled-app-1"].ID {
		t.Errorf("scaled down: %s", idsOf(got))
	}
	p.up("--scale", "app=0")
	if n := len(p.ps()); n != 0 {
		t.Errorf("%d containers, want 0", n)
	}
}

// TestScaleVerb: scale is an up of the services that it names, with what they depend on; others stay as they are.
func TestScaleVerb(t *testing.T) {
	p := compose(t, "scaleverb", `
services:
  app:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
    depends_on: [db]
  db:
    image: busybox
    command: [sleep, infinity]
    stop_grace_period: 0s
  other:
    image: busybox
    command: [sleep, infinity]
`)
	p.ok("scale", "--no-deps", "app=2")
	if got := p.ps(); len(got) != 2 {
		t.Errorf("--no-deps: %s", idsOf(got))
	}
	p.ok("scale", "app=3", "db=2")
	got := p.ps()
	for _, name := range []string{"scaleverb-app-1", "scaleverb-app-2", "scaleverb-app-3", "scaleverb-db-1", "scaleverb-db-2"} {
		equal(t, name, got[name].State, "running")
	}
	if len(got) != 5 {
		t.Errorf("app=3 db=2: %s", idsOf(got))
	}
	p.ok("scale", "app=1")
	if left := p.ps(); len(left) != 2 || left["scaleverb-app-1"].ID != got["scaleverb-app-1"].ID { // what it depends on is as the file says
		t.Errorf("app=1: %s", idsOf(left))
	}
	p.fails(1, []string{"no such service: nobody"}, "scale", "nobody=1")
	p.fails(1, []string{`invalid argument "app"`}, "scale", "app")
}

// TestNoServiceIsActive: a file that has services and starts none says why, and commands on what there is go on.
func TestNoServiceIsActive(t *testing.T) {
	p := compose(t, "inactive", `
services:
  one:
    image: busybox
    profiles: [tools, debug]
  two:
    image: busybox
    profiles: [debug]
`)
	for _, verb := range []string{"up", "plan", "create"} {
		p.fails(1, []string{"no service selected", "--profile (debug, tools)"}, verb)
	}
	p.ok("--all-resources", "up", "--detach")
	p.ok("config", "--quiet")
	p.ok("ps")
	p.ok("down")
}

// TestFiles: several -f, .env, profiles, and what config shows of them.
func TestFiles(t *testing.T) {
	p := newProject(t, theHost(t), "files", map[string]string{
		"compose.yaml": `
services:
  app:
    image: ${IMAGE:-busybox}
    command: [sleep, infinity]
    environment: {A: base, B: base}
  debug:
    image: busybox
    command: [sleep, infinity]
    profiles: [debug]
`,
		"compose.override.yaml": "services:\n  app:\n    environment: {B: override}\n",
		"prod.yaml":             "services:\n  app:\n    environment: {B: prod, C: \"${FROM_DOTENV}\"}\n",
		".env":                  "FROM_DOTENV=dotenv\n",
	})
	equal(t, "services", p.ok("config", "--services"), "app\n")
	equal(t, "services with a profile", p.ok("--profile", "debug", "config", "--services"), "app\ndebug\n")
	p.up()
	equal(t, "override", p.sh("app", "echo $A $B $C"), "base override")
	p.ok("-f", "compose.yaml", "-f", "prod.yaml", "up", "--detach", "--wait", "--timeout", "0")
	equal(t, "several -f", p.sh("app", "echo $A $B $C"), "base prod dotenv")
	p.ok("--profile", "debug", "up", "--detach", "--wait", "--timeout", "0")
	equal(t, "profile", p.one("files-debug-1").State, "running")
	contains(t, "config", p.ok("config"), "name: files", "B: override")
}
