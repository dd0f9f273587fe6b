package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
)

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

func TestUpInterrupted(t *testing.T) {
	sandbox.Require(t)
	w := stacktest.NewWorld(t, closed)
	u := stacktest.NewPerson(t, w)
	s := u.Sit("up")
	s.Sees("web-1  | web is up")
	s.Sees("2/2")
	s.Press("\x03")
	code, screen := s.Ends()
	if code != 130 || !slices.Equal(w.Calls(), []string{"stop db web"}) || !strings.Contains(screen, "Gracefully stopping") {
		t.Errorf("code %d, calls %q, screen\n%s", code, w.Calls(), screen)
	}
	if !strings.Contains(screen, "web-1 exited with code 143") {
		t.Errorf("no word of the end in\n%s", screen)
	}
}

// A stop that fails is told, and ends with the code of an interruption all the same.
func TestUpInterruptedAndNotStopped(t *testing.T) {
	sandbox.Require(t)
	w := stacktest.NewWorld(t, closed)
	w.OnVerb = func(ctx context.Context, verb, _ string, o ask.ServiceOptions, sink event.Sink) error {
		w.Called(verb, o)
		return errors.New("cannot stop container shop-db-1: no reason")
	}
	s := stacktest.NewPerson(t, w).Sit("up")
	s.Sees("2/2")
	s.Press("\x03")
	code, screen := s.Ends()
	if code != 130 || strings.Count(screen, "error: cannot stop container shop-db-1: no reason") != 1 {
		t.Errorf("code %d, calls %q, screen\n%s", code, w.Calls(), screen)
	}
}

func TestUpInterruptedTwice(t *testing.T) {
	sandbox.Require(t)
	w := stacktest.NewWorld(t, closed)
	killed := make(chan struct{})
	w.OnVerb = func(ctx context.Context, verb, _ string, o ask.ServiceOptions, sink event.Sink) error {
		w.Called(verb+" "+o.Signal, o)
		if verb == "kill" {
			w.End("db", 137)
			w.End("web", 137)
			close(killed)
			return nil
		}
		sink(event.Event{Kind: "container", Name: "shop-web-1", Service: "web", Phase: event.Working, Text: "Stopping"})
		select {
		case <-killed:
		case <-ctx.Done():
		}
		return nil
	}
	s := stacktest.NewPerson(t, w).Sit("up")
	s.Sees("2/2")
	s.Press("\x03")
	s.Sees("Stopping")
	s.Press("\x03")
	code, screen := s.Ends()
	if code != 130 || fmt.Sprint(w.Calls()) != "[stop  db web kill SIGKILL db web]" {
		t.Errorf("code %d, calls %q, screen\n%s", code, w.Calls(), screen)
	}
}

// Ctrl-C while services still start: what has started is stopped.
func TestUpInterruptedEarly(t *testing.T) {
	sandbox.Require(t)
	w := stacktest.NewWorld(t, make(chan struct{}))
	s := stacktest.NewPerson(t, w).Sit("up")
	s.Sees("web is up")
	s.Press("\x03")
	if code, screen := s.Ends(); code != 130 || !slices.Equal(w.Calls(), []string{"stop db web"}) {
		t.Errorf("code %d, calls %q, screen\n%s", code, w.Calls(), screen)
	}
}

// No log line lands inside the block of live lines: each block is drawn and erased as a whole.
func TestUpKeepsLogsOutOfProgress(t *testing.T) {
	sandbox.Require(t)
	ready := make(chan struct{})
	w := stacktest.NewWorld(t, ready)
	s := stacktest.NewPerson(t, w).Sit("up")
	for i := range 20 {
		w.Say("web", fmt.Sprintf("line %d", i))
		s.Sees(fmt.Sprintf("line %d\r\n", i))
	}
	close(ready)
	s.Sees("2/2")
	w.End("web", 0)
	w.End("db", 0)
	code, screen := s.Ends()
	// A line begins at a column of its own: after a newline, or after the block was erased.
	for _, at := range regexp.MustCompile(`web-1  \| line`).FindAllStringIndex(screen, -1) {
		before := screen[:at[0]]
		if before != "" && !strings.HasSuffix(before, "\n") && !strings.HasSuffix(before, "\x1b[J") {
			t.Errorf("a line begins after %q", before[max(0, len(before)-30):])
		}
	}
	if code != 0 || strings.Contains(screen[strings.LastIndex(screen, "2/2"):], "\x1b[J") {
		t.Errorf("code %d, after the last block:\n%q", code, screen[strings.LastIndex(screen, "2/2"):])
	}
}

func TestUpEndsAsAsked(t *testing.T) {
	for _, tt := range []struct {
		line  string
		ends  []string // service=code, in this order
		code  int
		stops bool
		want  string
	}{
		{"up", []string{"web=3", "db=0"}, 0, false, "web-1 exited with code 3"},
		{"up --abort-on-container-exit", []string{"web=3"}, 3, true, "Aborting"},
		{"up --abort-on-container-exit", []string{"db=0"}, 0, true, "Aborting"},
		{"up --abort-on-container-failure", []string{"db=0", "web=4"}, 4, true, "Aborting"},
		{"up --abort-on-container-failure", []string{"db=0", "web=0"}, 0, false, ""},
		{"up --exit-code-from web", []string{"web=5"}, 5, true, ""},
		{"up --exit-code-from web", []string{"db=1"}, 143, true, ""},
		{"up --exit-code-from web --abort-on-container-failure", []string{"db=0", "web=6"}, 6, true, ""},
	} {
		w := stacktest.NewWorld(t, closed)
		u := stacktest.NewPerson(t, w)
		script := tt.ends
		up := w.OnUp
		w.OnUp = func(ctx context.Context, p *spec.Project, o ask.UpOptions, sink event.Sink) error {
			defer func() {
				for _, e := range script {
					var code int
					service, number, _ := strings.Cut(e, "=")
					fmt.Sscan(number, &code)
					w.End(service, code)
				}
			}()
			return up(ctx, p, o, sink)
		}
		code, out, errs := u.Run(tt.line)
		if code != tt.code || len(w.Calls()) > 0 != tt.stops || !strings.Contains(out+errs, tt.want) {
			t.Errorf("stack %s, %v: code %d, calls %q\n%s%s", tt.line, tt.ends, code, w.Calls(), out, errs)
		}
	}
}

// Who was killed for its memory is told as that, whether its end was an event or is found out afterwards.
func TestUpTellsOfMemory(t *testing.T) {
	const want = "web-1 exited with code 137 (killed because it was out of memory)\n"
	for _, told := range []bool{true, false} {
		w := stacktest.NewWorld(t, closed)
		u := stacktest.NewPerson(t, w)
		up := w.OnUp
		w.OnUp = func(ctx context.Context, p *spec.Project, o ask.UpOptions, sink event.Sink) error {
			defer func() {
				w.End("db", 0)
				w.OutOfMemory("web", told)
			}()
			return up(ctx, p, o, sink)
		}
		if code, out, errs := u.Run("up"); code != 0 || strings.Count(out, want) != 1 {
			t.Errorf("told: %v: code %d\n%s%s", told, code, out, errs)
		}
	}
}

func TestUpShowsWhatIsAsked(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"up", `^db-1   \| db is up\n(?:.*\n)?web-1  \| web is up\n`},
		{"up --attach db", `^db-1  \| db is up\n`},
		{"up --no-attach db", `^web-1  \| web is up\n`},
		{"up --no-log-prefix", `^db is up\n(?:.*\n)?web is up\n`},
		{"up --timestamps --attach db", `^db-1  \| \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z db is up\n`},
		{"up web", `^web-1  \| web is up\n`},
		{"up --attach-dependencies web", `^db-1   \| db is up\n(?:.*\n)?web-1  \| web is up\n`},
		{"-f quiet.yaml up", `^web-1  \| web is up\n`},
		{"-f quiet.yaml up --attach db", `^db-1  \| db is up\n`},
	} {
		w := stacktest.NewWorld(t, closed)
		u := stacktest.NewPerson(t, w)
		u.Write("quiet.yaml", strings.Replace(stacktest.Shop, "postgres", "postgres\n    attach: false", 1))
		up := w.OnUp
		w.OnUp = func(ctx context.Context, p *spec.Project, o ask.UpOptions, sink event.Sink) error {
			defer func() { w.End("db", 0); w.End("web", 0) }()
			return up(ctx, p, o, sink)
		}
		line := strings.ReplaceAll(tt.line, "quiet.yaml", u.Dir+"/quiet.yaml")
		code, out, errs := u.Run(line)
		if code != 0 || !regexp.MustCompile(tt.want).MatchString(out) {
			t.Errorf("stack %s: code %d\n%s%s", tt.line, code, out, errs)
		}
		// The others' lines are not there, nor is the word of their end.
		for _, s := range []string{"db", "web"} {
			if !strings.Contains(tt.want, s+" is up") && strings.Contains(out, s) {
				t.Errorf("stack %s: something of %s in\n%s", tt.line, s, out)
			}
		}
	}
}

// A container that its policy restarts is not an end.
func TestUpSurvivesARestart(t *testing.T) {
	sandbox.Require(t)
	w := stacktest.NewWorld(t, closed)
	s := stacktest.NewPerson(t, w).Sit("up")
	s.Sees("2/2")
	w.End("db", 0)
	w.Ends("web", 1, "restarting")
	s.Sees("web-1 exited with code 1")
	w.Starts("web")
	w.Say("web", "web is back")
	s.Sees("web is back")
	w.End("web", 0)
	if code, screen := s.Ends(); code != 0 || !strings.Contains(screen, "web-1 exited with code 0") {
		t.Errorf("code %d, screen\n%s", code, screen)
	}
}

// A terminal that cannot move its cursor gets plain lines, one that is asked for none no colours.
func TestTerminalsThatCanLess(t *testing.T) {
	for _, tt := range []struct {
		env, line string
		escapes   string // the only ones that may be there
	}{
		{"TERM=dumb", "up -d", ""},
		{"COMPOSE_ANSI=never", "up -d", ""},
		{"COMPOSE_PROGRESS=plain", "up -d", ""},
		{"COMPOSE_PROGRESS=json", "up -d", ""},
		{"NO_COLOR=1", "up -d", "AJK"},
		{"TERM=xterm", "--ansi always up -d", "AJKm"},
	} {
		u := stacktest.NewPerson(t, stacktest.NewWorld(t, closed))
		name, value, _ := strings.Cut(tt.env, "=")
		u.Env[name] = value
		code, screen := u.Sit(tt.line).Ends()
		for _, seq := range regexp.MustCompile(`\x1b\[?[0-9;]*(.)`).FindAllStringSubmatch(screen, -1) {
			if !strings.Contains(tt.escapes, seq[1]) {
				t.Errorf("%s stack %s: %q in\n%q", tt.env, tt.line, seq[0], screen)
				break
			}
		}
		if code != 0 || !strings.Contains(screen, "shop-web-1") {
			t.Errorf("%s stack %s: code %d\n%s", tt.env, tt.line, code, screen)
		}
	}
}
