package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
)

// Lines that contradict themselves, or ask for what stack does not have, end with 1 and one clear message,
// before anything is asked of a daemon: there is none here.
func TestRefusedLines(t *testing.T) {
	u := newPerson(t, nil)
	for _, tt := range []struct{ line, want string }{
		{"up -d --abort-on-container-exit", "-d cannot be combined with"},
		{"up -d --attach web", "-d cannot be combined with"},
		{"up -d --exit-code-from web", "-d cannot be combined with"},
		{"up --wait --abort-on-container-failure", "--wait cannot be combined with"},
		{"up --wait --attach-dependencies", "--wait cannot be combined with"},
		{"up --no-recreate --force-recreate", "--force-recreate and --no-recreate"},
		{"up --no-recreate --always-recreate-deps", "--always-recreate-deps and --no-recreate"},
		{"up --no-recreate -V", "--no-recreate and --renew-anon-volumes"},
		{"up --build --no-build", "--build and --no-build"},
		{"up --watch", "services.NAME.develop.watch"},
		{"up --attach web --attach-dependencies", "--attach and --attach-dependencies"},
		{"up --abort-on-container-exit --abort-on-container-failure", "--abort-on-container-exit and --abort-on-container-failure"},
		{"up --wait-timeout 3", "--wait-timeout needs --wait"},
		{"up --scale web", `invalid --scale option "web"`},
		{"up --scale web=-1", `invalid --scale option "web=-1"`},
		{"up --scale none=1 -d", "none"},
		{"up --pull sometimes", `invalid --pull option "sometimes"`},
		{"up nobody", "nobody"},
		{"up --nonsense", "unknown flag: --nonsense"},
		{"up -d -t x", "invalid argument"},
		{"down --rmi some", `invalid --rmi value "some"`},
		{"kill -s NONSENSE", `invalid --signal "NONSENSE"`}, {"kill -s 99", "a number from 1 to 64"}, {"kill -s 9abc", `invalid --signal "9abc"`}, {"kill -s SIGRTMIN+x", "SIGRTMIN+3"},
		{"logs --tail x", `invalid --tail "x"`},
		{"logs --since yesterday", `invalid --since "yesterday"`},
		{"logs --index 2", "--index needs exactly one service"},
		{"ps --filter name=x", "expected status=STATE"},
		{"ps --status asleep", `invalid status "asleep"`},
		{"ls --format xml", `unsupported --format value "xml"`},
		{"images --format xml", `unsupported --format value "xml", expected table or json`},
		{"images nobody", "no such service: nobody"},
		{"volumes --format {{.Name", "invalid --format"},
		{"volumes nobody", "no such service: nobody"},
		{"exec web", "exec needs a service and a command"},
		{"run", "run needs a service"},
		{"run -P -p 80 web", "--service-ports and --publish"},
		{"port web x", `invalid port "x"`},
		{"start --wait-timeout 5", "--wait-timeout needs --wait"},
		{"pull --policy never", `invalid --policy value "never"`},
		{"watch", "services.NAME.develop.watch"},
		{"build --check", "--check is not supported: Dockerfiles are checked"},
		{"build --memory 1g web", "--memory is not supported"},
		{"build --ssh default", "--ssh is not supported"},
		{"build --check", "--check is not supported"},
		{"build --build-arg =x", `invalid --build-arg "=x"`},
		{"build nobody", "nobody"},
		{"create --build --no-build", "--build and --no-build"},
		{"publish", "cannot run `stack publish`: this command of docker compose is not supported"},
		{"sotp", "unknown command"},
		{"--compatibility up", "--compatibility is not supported"},
		{"--progress odd ps", `unsupported --progress value "odd"`},
		{"--ansi odd ps", `unsupported --ansi value "odd"`},
		{"--ansi never --progress tty ps", "contradict"},
		{"--parallel 0 ps", "--parallel 0"},
		{"--parallel -2 ps", "--parallel -2"},
		{"-p No.Good ps", `invalid project name "No.Good"`},
		{"help sotp", "did you mean stop"},
		{"help up web", `unknown command "web"`},
		{"help publish", "cannot run `stack publish`: this command"},
		{"--verbose ps", "--verbose is not supported"},
		{"--insecure-registry x ps", "--insecure-registry is not supported: name the registry under registries.insecure"},
		{"pull --no-parallel", "--no-parallel is not supported"},
		{"config --hash wbe", "no such service: wbe"},
		{"sotp", "did you mean stop"},
		{"-f /nowhere/compose.yaml ps", "/nowhere/compose.yaml"},
	} {
		code, out, errs := u.run(tt.line)
		if code != 1 || out != "" || !strings.Contains(errs, tt.want) {
			t.Errorf("stack %s: code %d, stdout %q, stderr %q; want %q", tt.line, code, out, errs, tt.want)
		}
		if n := strings.Count(errs, "error:"); n != 1 {
			t.Errorf("stack %s: %d messages: %s", tt.line, n, errs)
		}
	}
}

func TestUpFlagsReachTheEngine(t *testing.T) {
	var got ask.UpOptions
	u := newPerson(t, &apitest.Engine{OnUp: func(_ context.Context, _ *spec.Project, o ask.UpOptions, _ event.Sink) error {
		got = o
		return nil
	}})
	ten := 10 * time.Second
	for _, tt := range []struct {
		line string
		env  map[string]string
		want ask.UpOptions
	}{
		{"up -d", nil, ask.UpOptions{}},
		{"up -d web", nil, ask.UpOptions{Services: []string{"web"}}},
		{"up --wait --wait-timeout 10 -t 10", nil, ask.UpOptions{Wait: true, WaitTimeout: ten, Timeout: &ten}},
		{"up -d --force-recreate --no-deps --always-recreate-deps -V --pull always", nil,
			ask.UpOptions{ForceRecreate: true, NoDeps: true, AlwaysDeps: true, RenewAnon: true, Pull: "always"}},
		{"up -d --no-recreate --remove-orphans --scale web=3 --scale db=0", nil,
			ask.UpOptions{NoRecreate: true, RemoveOrphans: true, Scale: map[string]int{"web": 3, "db": 0}}},
		{"up --no-start", nil, ask.UpOptions{NoStart: true}},
		{"--parallel 3 up -d", nil, ask.UpOptions{Parallel: 3}},
		{"--parallel -1 up -d", nil, ask.UpOptions{Parallel: -1}},
		{"--ansi never --parallel -1 -p shop up -d web", nil, ask.UpOptions{Parallel: -1, Services: []string{"web"}}},
		{"up -d --parallel -1", nil, ask.UpOptions{Parallel: -1}},
		{"--parallel=-1 create", map[string]string{"COMPOSE_PARALLEL_LIMIT": "2"}, ask.UpOptions{NoStart: true, Parallel: -1}},
		{"up -d", map[string]string{"COMPOSE_PARALLEL_LIMIT": "2"}, ask.UpOptions{Parallel: 2}},
		{"create --pull never", nil, ask.UpOptions{NoStart: true, Pull: "never"}},
		{"up -d", map[string]string{"COMPOSE_REMOVE_ORPHANS": "1"}, ask.UpOptions{RemoveOrphans: true}},
		{"up -d", map[string]string{"COMPOSE_IGNORE_ORPHANS": "1"}, ask.UpOptions{IgnoreOrphans: true}},
		{"up -d --remove-orphans=false", map[string]string{"COMPOSE_REMOVE_ORPHANS": "1"}, ask.UpOptions{}},
	} {
		for k, v := range tt.env {
			u.env[k] = v
		}
		if code, _, errs := u.run(tt.line); code != 0 {
			t.Errorf("stack %s: code %d: %s", tt.line, code, errs)
		}
		for k := range tt.env {
			delete(u.env, k)
		}
		tt.want.Command = tt.line
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("stack %s: (-want +got)\n%s", tt.line, diff)
		}
	}
	u.env["COMPOSE_IGNORE_ORPHANS"] = "true"
	if code, _, errs := u.run("up -d --remove-orphans"); code != 1 || !strings.Contains(errs, "cannot combine") {
		t.Errorf("both: %d, %s", code, errs)
	}
}

func TestLifecycleFlagsReachTheEngine(t *testing.T) {
	var verb string
	var got ask.ServiceOptions
	u := newPerson(t, &apitest.Engine{
		OnVerb: func(_ context.Context, v, project string, o ask.ServiceOptions, _ event.Sink) error {
			verb, got = v+" "+project, o
			return nil
		},
		OnContainers: func(context.Context, string) ([]ask.Container, error) {
			return []ask.Container{{Name: "shop-db-1", Service: "db", State: "exited"}}, nil
		},
	})
	two := 2 * time.Second
	for _, tt := range []struct {
		line, verb string
		want       ask.ServiceOptions
	}{
		{"stop -t 2 web", "stop shop", ask.ServiceOptions{Services: []string{"web"}, Timeout: &two, Command: "stop -t 2 web"}},
		{"start --wait --wait-timeout 2", "start shop", ask.ServiceOptions{Wait: true, WaitTimeout: two, Command: "start --wait --wait-timeout 2"}},
		{"restart --no-deps db", "restart shop", ask.ServiceOptions{Services: []string{"db"}, NoDeps: true, Command: "restart --no-deps db"}},
		{"kill", "kill shop", ask.ServiceOptions{Signal: "SIGKILL"}},
		{"kill -s hup web", "kill shop", ask.ServiceOptions{Services: []string{"web"}, Signal: "hup"}},
		{"rm -f -s -v", "remove shop", ask.ServiceOptions{Stop: true, Volumes: true}},
		{"-p other stop", "stop other", ask.ServiceOptions{Command: "-p other stop"}},
	} {
		if code, _, errs := u.run(tt.line); code != 0 {
			t.Errorf("stack %s: code %d: %s", tt.line, code, errs)
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" || verb != tt.verb {
			t.Errorf("stack %s: %s, (-want +got)\n%s", tt.line, verb, diff)
		}
	}
	verb = ""
	if code, _, errs := u.run("rm"); code != 0 || verb != "" || !strings.Contains(errs, "Going to remove shop-db-1") {
		t.Errorf("rm without an answer: %d, %q, %s", code, verb, errs)
	}
}

// Without a Compose file, a name that cannot be is one fault and not two.
func TestBadNameWithoutFile(t *testing.T) {
	u := newPerson(t, nil)
	delete(u.env, "COMPOSE_FILE")
	t.Chdir(t.TempDir())
	for _, verb := range []string{"ps", "down", "up", "config"} {
		code, _, errs := u.args("-p", "No Good", verb)
		if code != 1 || !strings.HasPrefix(errs, `error: invalid project name "No Good": must consist only of`) {
			t.Errorf("stack -p 'No Good' %s: code %d, %s", verb, code, errs)
		}
	}
}

// What stands after the verb is the program's, and stays as it is.
func TestJoinValues(t *testing.T) {
	root := newRoot(nobody())
	for line, want := range map[string]struct{ line, verb string }{
		"--parallel -1 run web x --parallel -1": {"--parallel=-1 run web x --parallel -1", "run"},
		"-f - --parallel -1 up":                 {"-f - --parallel=-1 up", "up"},
		"-p --parallel -1":                      {"-p --parallel -1", ""},
		"--parallel=-1 up":                      {"--parallel=-1 up", "up"},
		"-- --parallel -1":                      {"-- --parallel -1", "--"},
		"--help --parallel":                     {"--help --parallel", ""},
		"--nonsense up":                         {"--nonsense up", ""},
		"-px up":                                {"-px up", ""},
		"--no-ansi ps up":                       {"--no-ansi ps up", "ps"},
	} {
		joined, verb := joinValues(root, strings.Fields(line))
		if got := strings.Join(joined, " "); got != want.line || verb != want.verb {
			t.Errorf("%s: got %s and %q, want %s and %q", line, got, verb, want.line, want.verb)
		}
	}
}

// The table's names are those that the commands have, and it has all of them.
func TestVerbs(t *testing.T) {
	for _, v := range verbs {
		if c := v.make(nobody()); c.Name() != v.name || len(c.Aliases) > 0 {
			t.Errorf("%q makes the command %q with aliases %q", v.name, c.Name(), c.Aliases)
		}
	}
	one, all := newRoot(nobody()), newRoot(nobody())
	run := nobody()
	addVerbs(run, one, "ps")
	if n := len(one.Commands()); n != 1 {
		t.Errorf("for ps %d commands are made", n)
	}
	addVerbs(run, all, "publish")
	if n := len(all.Commands()); n != len(verbs)+len(refused) {
		t.Errorf("for what is refused %d commands are made", n)
	}
}

// Help shows a verb's own flags and says where the others are.
func TestHelp(t *testing.T) {
	u := newPerson(t, nil)
	_, root, _ := u.run("--help")
	if code, again, errs := u.run("help"); code != 0 || again != root || errs != "" {
		t.Errorf("stack help: code %d\n%s%s", code, again, errs)
	}
	for _, want := range []string{"stack [GLOBAL OPTIONS] COMMAND\n", "  up ", "--parallel", "-f, --file"} {
		if !strings.Contains(root, want) {
			t.Errorf("no %q in\n%s", want, root)
		}
	}
	whole := newRoot(u.last)
	addVerbs(u.last, whole, "")
	for _, c := range whole.Commands() {
		if c.Hidden {
			continue
		}
		code, out, errs := u.run(c.Name() + " --help")
		if _, again, _ := u.run("help " + c.Name()); again != out {
			t.Errorf("stack help %s differs from --help:\n%s", c.Name(), again)
		}
		if code != 0 || errs != "" || strings.Contains(out, "[flags]") || strings.Contains(out, "(default )") || strings.Contains(out, "--state-root") ||
			!strings.Contains(out, "see 'stack --help'") {
			t.Errorf("stack %s --help: code %d\n%s%s", c.Name(), code, out, errs)
		}
	}
}

// docker compose's global flags of old, and --all-resources, do what they say.
func TestGlobalFlags(t *testing.T) {
	u := newPerson(t, nil)
	u.write("compose.yaml", "services: {web: {image: x, volumes: [\"./data:/d\"]}}\nnetworks: {spare: }\nvolumes: {extra: }\nsecrets: {s: {file: f}}\n")
	if _, out, _ := u.run("config"); strings.Contains(out, "spare") || strings.Contains(out, "extra") {
		t.Errorf("what no service uses is shown:\n%s", out)
	}
	_, out, errs := u.run("--all-resources config")
	wants(t, "--all-resources", out+errs, "\n  spare:\n", "\n  extra:\n", "\n  s:\n")
	_, out, errs = u.run("--workdir " + t.TempDir() + " config")
	if strings.Contains(out, "source: "+u.dir) || !strings.Contains(out, "/data\n") {
		t.Errorf("--workdir:\n%s%s", out, errs)
	}
	for _, line := range []string{"--version", "-v"} {
		if code, out, errs := u.run(line); code != 0 || out != "stack version "+version+"\n" {
			t.Errorf("stack %s: %d, %q, %s", line, code, out, errs)
		}
	}
	if code, _, errs := u.run("--no-ansi --progress tty ps"); code != 1 || !strings.Contains(errs, "contradict") {
		t.Errorf("--no-ansi: %d, %s", code, errs)
	}
}
