package progress

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stackrun/stack/reconcile/event"
)

// TestTailIsTheEnd: without empty lines, of the step that has written last.
func TestTailIsTheEnd(t *testing.T) {
	var tl tail
	for _, text := range []string{"1\n2\n\n3\n4\n", "5\n6\n7\n8"} {
		tl.write("[1/2]", []byte(text))
	}
	if got := strings.Join(tl.last(tailLines), " "); got != "3 4 5 6 7 8" {
		t.Errorf("it has %q", got)
	}
	tl.write("[2/2]", []byte("1"))
	if got := tl.last(tailLines); !slices.Equal(got, []string{"1"}) {
		t.Errorf("of the next step: %q", got)
	}
}

func building(detail, output string) event.Event {
	return event.Event{Kind: "image", Name: "web", Phase: event.Working, Text: "Building", Detail: detail, Output: []byte(output)}
}

// TestLiveShowsWhatAStepWrites: below its image, and as long as the step works.
func TestLiveShowsWhatAStepWrites(t *testing.T) {
	rows, cols := 24, 60
	shown := func(events ...event.Event) []string {
		var b strings.Builder
		l, _ := clockwork(&b, &rows, &cols)
		for _, e := range events {
			l.Event(e)
		}
		l.draw(false)
		s := &screen{cols: cols}
		s.play(t, b.String())
		for i := range s.lines {
			s.lines[i] = strings.TrimRight(s.lines[i], " ")
		}
		return s.lines[1:]
	}
	starts, writes := building("[web 2/3] RUN make", ""), building("[web 2/3]", "gcc a.c\ngcc b.c\n")
	if got, want := shown(starts, writes), []string{" ⠋ Image web  Building  [web 2/3] RUN make", "   │ gcc a.c", "   │ gcc b.c"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := shown(starts, writes, building("[web 3/3] COPY . .", "")); len(got) != 3 { // that may be side by side
		t.Errorf("beside another step: %q", got)
	}
	if got := shown(starts, writes, building("[web 2/3] RUN make: done in 0.1s", "")); len(got) != 1 {
		t.Errorf("after its end: %q", got)
	}
	failed := building("no", "")
	failed.Phase = event.Failed
	if got := shown(starts, writes, failed); len(got) != 1 {
		t.Errorf("after a failure: %q", got)
	}
	rows = 5 // the lines, a place for the cursor, and one of output
	if got := shown(starts, writes); len(got) != 2 || got[1] != "   │ gcc b.c" {
		t.Errorf("on a small terminal: %q", got)
	}
	rows = 10
	var events []event.Event
	for i := range 4 {
		e := starts
		e.Name = fmt.Sprint("web", i)
		events = append(events, e)
		e = building("[web 2/3]", "1\n2\n3\n")
		e.Name = fmt.Sprint("web", i)
		events = append(events, e)
	}
	if got := shown(events...); len(got) > rows-1 {
		t.Errorf("%d lines on a terminal of %d: %q", len(got)+1, rows, got)
	}
}

func TestColumns(t *testing.T) {
	for s, want := range map[string]int{"": 0, "web": 3, "│ ✔": 3, "日本": 4, "e\u0301": 1, "🚀": 2, "a\u200db": 2} {
		if got := columns(s); got != want {
			t.Errorf("%q: %d columns, want %d", s, got, want)
		}
	}
	for _, tt := range []struct {
		s    string
		n    int
		want string
	}{
		{"web", 3, "web"}, {"webs", 3, "we…"}, {"日本語", 4, "日…"}, {"日本語", 5, "日本…"}, {"日本語", 6, "日本語"}, {"ab", 1, "…"}, {"ab", 0, ""},
	} {
		if got := truncate(tt.s, tt.n); got != tt.want {
			t.Errorf("%q in %d: %q, want %q", tt.s, tt.n, got, tt.want)
		}
	}
}
