package guard

import (
	"testing"
	"time"

	"github.com/stackrun/stack/runtime/container"
)

// TestNewProblemIsTold: of two looks at the same time one takes the event, and the other one, which may be that of whoever mends, is given what was known
// before: there must be another.
func TestNewProblemIsTold(t *testing.T) {
	g := &Guard{wards: map[string]*ward{"a": {suspect: true}}}
	hints := g.hints.Subscribe(t.Context())
	told := func() bool {
		select {
		case <-hints:
			return true
		default:
			return false
		}
	}
	if look, _ := g.take("a"); !look {
		t.Fatal("nobody looks at what is suspect")
	}
	second := g.Mark("a")
	if look, last := g.take("a"); look || last.Text != "" {
		t.Fatalf("a second look meanwhile: %v, %q", look, last.Text)
	}
	g.Remember(second, container.State{ID: "a", Status: container.Running})
	g.found("a", Problem{Text: "nothing is mounted at /data"})
	if !told() {
		t.Error("nobody is told of a new problem")
	}
	if s := g.Seen("a", time.Now()); s != nil {
		t.Errorf("what the second look has seen is given out: %+v", s)
	}
	if look, last := g.take("a"); !look || last.Text == "" {
		t.Errorf("the look after that: %v, %q", look, last.Text)
	}
	g.Remember(second, container.State{ID: "a", Status: container.Running}) // it was slow
	if s := g.Seen("a", time.Now()); s != nil {
		t.Errorf("what the second look has seen is given out after the third has begun: %+v", s)
	}
	g.found("a", Problem{Text: "nothing is mounted at /data"})
	g.found("a", Problem{})
	if told() {
		t.Error("one that is known is told again, or that there is none")
	}
}
