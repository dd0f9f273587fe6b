package progress

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stackrun/stack/reconcile/event"
)

func happening(name string, phase event.Phase, text string) event.Event {
	return event.Event{Kind: "container", Name: name, Phase: phase, Text: text}
}

func TestPlainIsOneLinePerChange(t *testing.T) {
	var b strings.Builder
	p := New(&b, Options{Mode: Auto}) // no terminal
	p.Event(happening("shop-web-1", event.Working, "Creating"))
	for i := range 5 {
		p.Event(event.Event{Kind: "image", Name: "nginx", Phase: event.Working, Text: "Pulling", Current: int64(i), Total: 5})
	}
	done := happening("shop-web-1", event.Done, "Recreated")
	done.Detail = "image: a → b"
	p.Event(done)
	p.Event(done)
	p.Event(happening("a\x1b[2Jb\n", event.Failed, "Error"))
	p.Close()
	want := " Container shop-web-1  Creating\n Image nginx  Pulling\n Container shop-web-1  Recreated  image: a → b\n Container ab   Error\n"
	if b.String() != want {
		t.Errorf("got\n%q, want\n%q", b.String(), want)
	}
}

func TestJSONHasComposesKeys(t *testing.T) {
	var b strings.Builder
	p := New(&b, Options{Mode: JSON})
	p.Event(event.Event{Kind: "image", Name: "nginx", Phase: event.Working, Text: "Pulling", Current: 30, Total: 40})
	var got map[string]any
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if got["id"] != "Image nginx" || got["status"] != "Working" || got["text"] != "Pulling" || got["percent"] != 75.0 {
		t.Errorf("got %v", got)
	}
}

// screen plays a terminal of cols columns: enough of it for what live writes.
type screen struct {
	cols  int
	lines []string
	row   int
}

var escapes = regexp.MustCompile(`\x1b\[([0-9]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+`)

func (s *screen) play(t *testing.T, out string) {
	t.Helper()
	col := 0
	for _, m := range escapes.FindAllStringSubmatch(out, -1) {
		switch {
		case m[2] == "A":
			n := 0
			for _, c := range m[1] {
				n = n*10 + int(c-'0')
			}
			if s.row -= n; s.row < 0 {
				t.Fatalf("moved above the first line of %q", s.lines)
			}
		case m[2] == "J":
			s.lines = s.lines[:s.row]
		case m[2] != "":
		case m[0] == "\r":
			col = 0
		case m[0] == "\n":
			s.row++
			col = 0
		default:
			if col+len([]rune(m[0])) > s.cols {
				t.Fatalf("%q is wider than %d columns", m[0], s.cols)
			}
			for len(s.lines) <= s.row {
				s.lines = append(s.lines, "")
			}
			s.lines[s.row] += m[0]
			col += len([]rune(m[0]))
		}
	}
}

// clockwork is a live printer without its ticker: tests say when it draws.
func clockwork(b *strings.Builder, rows, cols *int) (*live, *time.Time) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	l := &live{
		w: b, size: func() (int, int) { return *rows, *cols }, now: func() time.Time { return now }, byTitle: map[string]*row{}, began: now,
	}
	return l, &now
}

func TestLiveRedrawsInPlace(t *testing.T) {
	var b strings.Builder
	rows, cols := 24, 80
	l, now := clockwork(&b, &rows, &cols)
	l.Event(happening("shop-db-1", event.Working, "Starting"))
	l.draw(false)
	*now = now.Add(1200 * time.Millisecond)
	l.Event(happening("shop-web-1", event.Working, "Creating"))
	l.Event(happening("shop-db-1", event.Done, "Started"))
	l.draw(false)
	l.draw(true)
	s := &screen{cols: cols}
	s.play(t, b.String())
	if len(s.lines) != 3 || !strings.HasPrefix(s.lines[0], "[+] 1/2") || !strings.HasPrefix(s.lines[1], " ✔ Container shop-db-1  Started") ||
		!strings.HasSuffix(s.lines[1], "1.2s") || !strings.Contains(s.lines[2], "Container shop-web-1  Creating") {
		t.Errorf("the screen:\n%s", strings.Join(s.lines, "\n"))
	}
}

// TestLiveTellsWhy: why a container is made anew stands there to the end, and what was done in between does not.
func TestLiveTellsWhy(t *testing.T) {
	var b strings.Builder
	rows, cols := 24, 80
	l, _ := clockwork(&b, &rows, &cols)
	say := func(name string, phase event.Phase, text, detail string) {
		e := happening(name, phase, text)
		e.Detail = detail
		l.Event(e)
	}
	say("shop-web-1", event.Working, "Recreate", "image: a -> b")
	for _, name := range []string{"shop-web-1", "shop-api-1"} {
		say(name, event.Working, "Running post_start", "sh -c true")
		say(name, event.Done, "Started", "")
	}
	l.draw(true)
	s := &screen{cols: cols}
	s.play(t, b.String())
	if len(s.lines) != 3 || !strings.Contains(s.lines[1], "Started  image: a -> b") || !strings.HasSuffix(s.lines[2], "shop-api-1  Started") {
		t.Errorf("the screen:\n%s", strings.Join(s.lines, "\n"))
	}
}

func TestLiveFitsSmallTerminals(t *testing.T) {
	for _, size := range [][2]int{{24, 31}, {6, 200}, {2, 40}, {1, 1}} {
		var b strings.Builder
		rows, cols := size[0], size[1]
		l, _ := clockwork(&b, &rows, &cols)
		for i := range 30 {
			e := happening(strings.Repeat("long", 20)+string(rune('a'+i)), event.Working, "Downloading")
			e.Detail, e.Current, e.Total = strings.Repeat("why ", 50), 10, 1000
			if i%2 == 0 {
				e.Phase = event.Done
			}
			l.Event(e)
			l.draw(false)
		}
		s := &screen{cols: max(cols, 2)}
		s.play(t, b.String())
		if len(s.lines) > max(rows, 3) {
			t.Errorf("%dx%d: %d lines", rows, cols, len(s.lines))
		}
	}
}

// A terminal that became narrower has wrapped what was drawn: more lines must be cleared than were written.
func TestLiveClearsWrappedLines(t *testing.T) {
	var b strings.Builder
	rows, cols := 24, 80
	l, now := clockwork(&b, &rows, &cols)
	l.Event(happening("shop-web-1", event.Working, "Creating"))
	*now = now.Add(time.Second) // times stand at the right edge: lines of 79 columns
	l.draw(false)
	b.Reset()
	cols = 40
	l.draw(false)
	up := regexp.MustCompile(`^\x1b\[(\d+)A`).FindStringSubmatch(b.String())
	if up == nil || up[1] != "4" { // two lines, on two rows each
		t.Errorf("moved %v", up)
	}
}

func TestSuspendTakesTheLinesAway(t *testing.T) {
	var b strings.Builder
	rows, cols := 24, 80
	l, _ := clockwork(&b, &rows, &cols)
	l.Event(happening("shop-web-1", event.Working, "Creating"))
	l.draw(false)
	resume := l.Suspend()
	b.WriteString("a line of a log\n")
	l.draw(false)
	resume()
	l.draw(false)
	s := &screen{cols: cols}
	s.play(t, b.String())
	if len(s.lines) != 3 || s.lines[0] != "a line of a log" {
		t.Errorf("the screen:\n%s", strings.Join(s.lines, "\n"))
	}
}

// What stands there when the work is done stays: somebody may have a warning still.
func TestSuspendAfterTheEnd(t *testing.T) {
	var b strings.Builder
	l := newLive(&b, Options{}, func() (int, int) { return 24, 80 }, time.Now)
	l.Event(happening("shop-web-1", event.Done, "Created"))
	l.Close()
	before := b.String()
	l.Suspend()()
	if b.String() != before {
		t.Errorf("%q came after %q", b.String()[len(before):], before)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1000: "1.0kB", 163_000_000: "163.0MB", 2_500_000_000: "2.5GB"} {
		if got := decimal(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}

// Why a container is made anew is said at the beginning, and stays in sight.
func TestCauseStaysInSight(t *testing.T) {
	recreate := happening("shop-web-1", event.Working, "Recreate")
	recreate.Detail = `environment.MODE: "a" -> "b"`
	var plain strings.Builder
	p := New(&plain, Options{Mode: Auto})
	var out strings.Builder
	rows, cols := 24, 100
	l, _ := clockwork(&out, &rows, &cols)
	for _, e := range []event.Event{recreate, happening("shop-web-1", event.Working, "Stopping"), happening("shop-web-1", event.Done, "Started")} {
		p.Event(e)
		l.Event(e)
	}
	l.draw(true)
	if want := " Container shop-web-1  Recreate  environment.MODE: \"a\" -> \"b\"\n"; !strings.HasPrefix(plain.String(), want) {
		t.Errorf("lines: got\n%s", plain.String())
	}
	if !strings.Contains(out.String(), `Started  environment.MODE: "a" -> "b"`) {
		t.Errorf("terminal: got\n%s", out.String())
	}
}

// TestPlainTellsOutputOfBuildsByLines: of several builds at a time each line is whole, and says whose it is.
func TestPlainTellsOutputOfBuildsByLines(t *testing.T) {
	var b strings.Builder
	p := New(&b, Options{Mode: Plain})
	write := func(name, step, text string) {
		p.Event(event.Event{Kind: "image", Name: name, Phase: event.Working, Text: "Building", Detail: step, Output: []byte(text)})
	}
	write("web", "[1/2]", "a\x1b[2Jb\r\nha")
	write("api", "[app 1/9]", "x\n\ny")
	write("web", "[1/2]", "lf\n")
	p.Event(event.Event{Kind: "image", Name: "api", Phase: event.Working, Text: "Building", Detail: "[app 1/9] RUN x: done in 0.1s"})
	write("web", "[1/2]", "last")
	p.Event(event.Event{Kind: "image", Name: "web", Phase: event.Done, Text: "Built"})
	want := " web [1/2] | ab\n api [app 1/9] | x\n api [app 1/9] | \n web [1/2] | half\n api [app 1/9] | y\n Image api  Building  [app 1/9] RUN x: done in 0.1s\n web [1/2] | last\n Image web  Built\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	New(&b, Options{Mode: JSON}).Event(event.Event{Kind: "image", Name: "web", Phase: event.Working, Text: "Building", Detail: "[1/2]", Output: []byte("a\n")})
	if !strings.Contains(b.String(), `"details":"[1/2]","output":"a\n"`) {
		t.Errorf("json: %s", b.String())
	}
}
