package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/process"
	"github.com/stackrun/stack/spec"
)

var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// The live lines are done with before the first byte of the process, and end as lines do: the terminal is raw only afterwards.
func TestRunSettlesProgressFirst(t *testing.T) {
	sandbox.Require(t)
	u := newPerson(t, &apitest.Engine{OnRun: func(_ context.Context, _ *spec.Project, o ask.RunOptions, streams process.IO, sink event.Sink) (process.Exit, error) {
		sink(event.Event{Kind: "container", Name: "shop-db-1", Service: "db", Phase: event.Working, Text: "Starting"})
		sink(event.Event{Kind: "network", Name: "shop_default", Phase: event.Done, Text: "Created"})
		sink(event.Event{Kind: "container", Name: o.Name, Service: "web", Phase: event.Done, Text: "Created"})
		fmt.Fprint(streams.Stdout, "ready>\r\n")
		sink(event.Event{Kind: "container", Name: "shop-db-1", Service: "db", Phase: event.Done, Text: "Started"})
		key := make([]byte, 1)
		if _, err := io.ReadFull(streams.Stdin, key); err != nil {
			return process.Exit{}, err
		}
		fmt.Fprintf(streams.Stdout, "key %d\r\n", key[0])
		return process.Exit{Code: 5}, nil
	}})
	s := u.sit("run web sh")
	s.sees("ready>")
	s.press("\x03") // to the process, as a byte
	code, screen := s.ends()
	before, after, _ := strings.Cut(screen, "ready>")
	if code != 5 || after != "\r\nkey 3\r\n" {
		t.Errorf("code %d, after the first byte: %q", code, after)
	}
	if !strings.Contains(before, "shop_default") || strings.Contains(strings.ReplaceAll(before, "\r\n", ""), "\n") {
		t.Errorf("before the first byte: %q", before)
	}
}

func TestUpInterrupted(t *testing.T) {
	sandbox.Require(t)
	w := newWorld(t, closed)
	u := newPerson(t, w)
	s := u.sit("up")
	s.sees("web-1  | web is up")
	s.sees("2/2")
	s.press("\x03")
	code, screen := s.ends()
	if code != 130 || !slices.Equal(w.calls(), []string{"stop db web"}) || !strings.Contains(screen, "Gracefully stopping") {
		t.Errorf("code %d, calls %q, screen\n%s", code, w.calls(), screen)
	}
	if !strings.Contains(screen, "web-1 exited with code 143") {
		t.Errorf("no word of the end in\n%s", screen)
	}
}

func TestUpInterruptedTwice(t *testing.T) {
	sandbox.Require(t)
	w := newWorld(t, closed)
	killed := make(chan struct{})
	w.OnVerb = func(ctx context.Context, verb, _ string, o ask.ServiceOptions, sink event.Sink) error {
		w.called(verb+" "+o.Signal, o)
		if verb == "kill" {
			w.end("db", 137)
			w.end("web", 137)
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
	s := newPerson(t, w).sit("up")
	s.sees("2/2")
	s.press("\x03")
	s.sees("Stopping")
	s.press("\x03")
	code, screen := s.ends()
	if code != 130 || fmt.Sprint(w.calls()) != "[stop  db web kill SIGKILL db web]" {
		t.Errorf("code %d, calls %q, screen\n%s", code, w.calls(), screen)
	}
}

// Ctrl-C while services still start: what has started is stopped.
func TestUpInterruptedEarly(t *testing.T) {
	sandbox.Require(t)
	w := newWorld(t, make(chan struct{}))
	s := newPerson(t, w).sit("up")
	s.sees("web is up")
	s.press("\x03")
	if code, screen := s.ends(); code != 130 || !slices.Equal(w.calls(), []string{"stop db web"}) {
		t.Errorf("code %d, calls %q, screen\n%s", code, w.calls(), screen)
	}
}

// A command that has asked for nothing yet ends as any program does: at once, and by the signal.
func TestInterruptedBeforeItAsks(t *testing.T) {
	sandbox.Require(t)
	s := newPerson(t, nil).sit("-f - config") // which nobody types
	s.press("\x03")
	_, screen := s.ends()
	if status := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended by itself, with %d:\n%s", status.ExitStatus(), screen)
	}
}

// No log line lands inside the block of live lines: each block is drawn and erased as a whole.
func TestUpKeepsLogsOutOfProgress(t *testing.T) {
	sandbox.Require(t)
	ready := make(chan struct{})
	w := newWorld(t, ready)
	s := newPerson(t, w).sit("up")
	for i := range 20 {
		w.say("web", fmt.Sprintf("line %d", i))
		s.sees(fmt.Sprintf("line %d\r\n", i))
	}
	close(ready)
	s.sees("2/2")
	w.end("web", 0)
	w.end("db", 0)
	code, screen := s.ends()
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
		w := newWorld(t, closed)
		u := newPerson(t, w)
		script := tt.ends
		up := w.OnUp
		w.OnUp = func(ctx context.Context, p *spec.Project, o ask.UpOptions, sink event.Sink) error {
			defer func() {
				for _, e := range script {
					var code int
					service, number, _ := strings.Cut(e, "=")
					fmt.Sscan(number, &code)
					w.end(service, code)
				}
			}()
			return up(ctx, p, o, sink)
		}
		code, out, errs := u.run(tt.line)
		if code != tt.code || len(w.calls()) > 0 != tt.stops || !strings.Contains(out+errs, tt.want) {
			t.Errorf("stack %s, %v: code %d, calls %q\n%s%s", tt.line, tt.ends, code, w.calls(), out, errs)
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
		w := newWorld(t, closed)
		u := newPerson(t, w)
		u.write("quiet.yaml", strings.Replace(shop, "postgres", "postgres\n    attach: false", 1))
		up := w.OnUp
		w.OnUp = func(ctx context.Context, p *spec.Project, o ask.UpOptions, sink event.Sink) error {
			defer func() { w.end("db", 0); w.end("web", 0) }()
			return up(ctx, p, o, sink)
		}
		line := strings.ReplaceAll(tt.line, "quiet.yaml", u.dir+"/quiet.yaml")
		code, out, errs := u.run(line)
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
	w := newWorld(t, closed)
	s := newPerson(t, w).sit("up")
	s.sees("2/2")
	w.end("db", 0)
	w.ends("web", 1, "restarting")
	s.sees("web-1 exited with code 1")
	w.start("web")
	w.say("web", "web is back")
	s.sees("web is back")
	w.end("web", 0)
	if code, screen := s.ends(); code != 0 || !strings.Contains(screen, "web-1 exited with code 0") {
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
		u := newPerson(t, newWorld(t, closed))
		name, value, _ := strings.Cut(tt.env, "=")
		u.env[name] = value
		code, screen := u.sit(tt.line).ends()
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
