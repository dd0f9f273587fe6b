package root

import (
	"strings"
	"testing"

	"github.com/stackrun/stack/cmd/stack/cli"
)

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

// nobody has typed anything.
func nobody() *cli.Run { return cli.New(cli.Options{Env: cli.Environment{}}) }
