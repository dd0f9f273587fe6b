package e2e

import (
	"strings"
	"syscall"
	"testing"
)

// TestLogsChosen: logs shows the lines that match, of the level that is asked for or worse, with what belongs to them; --tail counts
// those, --follow goes on with them, and a log that says no level is told of.
func TestLogsChosen(t *testing.T) {
	p := compose(t, "chosen", `
services:
  app:
    image: busybox
    init: true
    command:
      - sh
      - -c
      - |
        printf '%s\n' 'INFO ready' '{"level":"warn","msg":"low"}' 'ERROR lost' '  at main.go:1' 'level=info msg=found'
        until [ -e /more ]; do sleep 0.05; done
        printf '%s\n' 'INFO again' 'ERROR lost again'
        exec sleep infinity
  quiet:
    image: busybox
    command: [sh, -c, "echo nothing but lost words; exec sleep infinity"]
    init: true
`)
	p.up()
	lines := func(args ...string) []string {
		return strings.FieldsFunc(p.ok(append([]string{"logs", "--no-log-prefix"}, args...)...), func(r rune) bool { return r == '\n' })
	}
	p.eventually("both have written", func() bool { return len(lines()) == 6 })
	for args, want := range map[string]string{
		"--grep (?i)LOST":                   "ERROR lost|nothing but lost words",
		"--grep ^level":                     "level=info msg=found",
		"--level warn app":                  `{"level":"warn","msg":"low"}|ERROR lost|  at main.go:1`,
		"--level info --grep o --tail 1":    "level=info msg=found",
		"--level error --tail 1 app":        "  at main.go:1",
		"--grep nowhere":                    "",
		"--level error --grep main app":     "  at main.go:1",
		"--level error --index 1 app":       "ERROR lost|  at main.go:1",
		"--grep lost --since 1h --tail all": "ERROR lost|nothing but lost words",
	} {
		equal(t, args, sorted(lines(strings.Fields(args)...)), sorted(strings.Split(want, "|")))
	}
	if r := p.run("logs", "--level", "error"); r.code != 0 || !strings.Contains(r.stderr, "warning: log of quiet-1: none of its lines tells its level") || strings.Contains(r.stderr, "app") {
		t.Errorf("of a log without a level: %s", r)
	}
	f := p.begin("logs", "--no-log-prefix", "--follow", "--level", "error", "app").says("at main.go:1")
	p.ok("exec", "app", "touch", "/more")
	text := f.says("ERROR lost again").signal(syscall.SIGINT).ends(130)
	if strings.Contains(text, "INFO") {
		t.Errorf("lines that were not asked for:\n%s", text)
	}
	p.fails(1, []string{`invalid --grep "["`}, "logs", "--grep", "[")
}
