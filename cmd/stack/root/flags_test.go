package root_test

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/cmd/stack/stacktest"
)

// Lines that contradict themselves, or ask for what stack does not have, end with 1 and one clear message,
// before anything is asked of a daemon: there is none here.
func TestRefusedLines(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
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
		{"up -d -t x", `invalid argument "x" for --timeout, expected a whole number`},
		{"up --build=maybe", `invalid argument "maybe" for --build, expected true or false`},
		{"port web", "port: too few arguments\nusage: stack port [OPTIONS] SERVICE PRIVATE_PORT"},
		{"port web 80 81", "port: too many arguments"},
		{"completion", "completion: too few arguments\nusage: stack completion SHELL"},
		{"completion bash zsh", "completion: too many arguments"},
		{"completion tcsh", `cannot complete for "tcsh": expected bash, zsh or fish`},
		{"volumes undelete", "undelete: too few arguments\nusage: stack volumes undelete VOLUME..."},
		{"volumes restore", "restore: too few arguments"},
		{"down --rmi some", `invalid --rmi value "some"`},
		{"kill -s NONSENSE", `invalid --signal "NONSENSE"`}, {"kill -s 99", "a number from 1 to 64"}, {"kill -s 9abc", `invalid --signal "9abc"`}, {"kill -s SIGRTMIN+x", "SIGRTMIN+3"},
		{"logs --tail x", `invalid --tail "x"`},
		{"logs --since yesterday", `invalid --since "yesterday"`},
		{"logs --grep [", `invalid --grep "["`},
		{"logs --level loud", `--level: invalid level "loud", expected trace, debug, info, warn, error or fatal`},
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
		code, out, errs := u.Run(tt.line)
		if code != 1 || out != "" || !strings.Contains(errs, tt.want) {
			t.Errorf("stack %s: code %d, stdout %q, stderr %q; want %q", tt.line, code, out, errs, tt.want)
		}
		if n := strings.Count(errs, "error:"); n != 1 {
			t.Errorf("stack %s: %d messages: %s", tt.line, n, errs)
		}
	}
}

// Without a Compose file, a name that cannot be is one fault and not two.
func TestBadNameWithoutFile(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	delete(u.Env, "COMPOSE_FILE")
	t.Chdir(t.TempDir())
	for _, verb := range []string{"ps", "down", "up", "config"} {
		code, _, errs := u.Args("-p", "No Good", verb)
		if code != 1 || !strings.HasPrefix(errs, `error: invalid project name "No Good": must consist only of`) {
			t.Errorf("stack -p 'No Good' %s: code %d, %s", verb, code, errs)
		}
	}
}

// Help shows a verb's own flags and says where the others are.
func TestHelp(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	_, root, _ := u.Run("--help")
	if code, again, errs := u.Run("help"); code != 0 || again != root || errs != "" {
		t.Errorf("stack help: code %d\n%s%s", code, again, errs)
	}
	for _, want := range []string{"stack [GLOBAL OPTIONS] COMMAND\n", "  up ", "--parallel", "-f, --file"} {
		if !strings.Contains(root, want) {
			t.Errorf("no %q in\n%s", want, root)
		}
	}
	_, list, _ := strings.Cut(root, "\nCommands:\n")
	list, _, _ = strings.Cut(list, "\n\n")
	names := map[string]bool{}
	for line := range strings.Lines(list) {
		names[strings.Fields(line)[0]] = true
	}
	delete(names, "help")
	if len(names) < 40 {
		t.Fatalf("help names %d commands", len(names))
	}
	for name := range names {
		code, out, errs := u.Run(name + " --help")
		if _, again, _ := u.Run("help " + name); again != out {
			t.Errorf("stack help %s differs from --help:\n%s", name, again)
		}
		if code != 0 || errs != "" || strings.Contains(out, "[flags]") || strings.Contains(out, "(default )") || strings.Contains(out, "--state-root") ||
			!strings.Contains(out, "see 'stack --help'") {
			t.Errorf("stack %s --help: code %d\n%s%s", name, code, out, errs)
		}
	}
}

// docker compose's global flags of old, and --all-resources, do what they say.
func TestGlobalFlags(t *testing.T) {
	u := stacktest.NewPerson(t, nil)
	u.Write("compose.yaml", "services: {web: {image: x, volumes: [\"./data:/d\"]}}\nnetworks: {spare: }\nvolumes: {extra: }\nsecrets: {s: {file: f}}\n")
	if _, out, _ := u.Run("config"); strings.Contains(out, "spare") || strings.Contains(out, "extra") {
		t.Errorf("what no service uses is shown:\n%s", out)
	}
	_, out, errs := u.Run("--all-resources config")
	stacktest.Wants(t, "--all-resources", out+errs, "\n  spare:\n", "\n  extra:\n", "\n  s:\n")
	_, out, errs = u.Run("--workdir " + t.TempDir() + " config")
	if strings.Contains(out, "source: "+u.Dir) || !strings.Contains(out, "/data\n") {
		t.Errorf("--workdir:\n%s%s", out, errs)
	}
	for _, line := range []string{"--version", "-v"} {
		if code, out, errs := u.Run(line); code != 0 || out != "stack version "+stacktest.Version+"\n" {
			t.Errorf("stack %s: %d, %q, %s", line, code, out, errs)
		}
	}
	if code, _, errs := u.Run("--no-ansi --progress tty ps"); code != 1 || !strings.Contains(errs, "contradict") {
		t.Errorf("--no-ansi: %d, %s", code, errs)
	}
}
