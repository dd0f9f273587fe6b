package runtime

import (
	"slices"
	"testing"
	"time"

	"github.com/stackrun/stack/runtime/container"
)

func TestMergeEnv(t *testing.T) {
	base := []string{"A=1", "B=2", "C"}
	got := mergeEnv(base, []string{"B=20", "D=4", "A=", "D=5"})
	if !slices.Equal(got, []string{"A=", "B=20", "C", "D=5"}) || !slices.Equal(base, []string{"A=1", "B=2", "C"}) {
		t.Errorf("got %q base %q", got, base)
	}
}

// TestNewProblemIsTold: of two looks at the same time one takes the event, and the other one, which may be that of whoever mends, is given what was known
// before: there must be another.
func TestNewProblemIsTold(t *testing.T) {
	d := &Driver{}
	g := &guard{d: d, wards: map[string]*ward{"a": {suspect: true}}}
	hints := d.hints.Subscribe(t.Context())
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
	second := g.mark("a")
	if look, last := g.take("a"); look || last.text != "" {
		t.Fatalf("a second look meanwhile: %v, %q", look, last.text)
	}
	g.remember(second, container.State{ID: "a", Status: container.Running})
	g.found("a", problem{text: "nothing is mounted at /data"})
	if !told() {
		t.Error("nobody is told of a new problem")
	}
	if s := g.seen("a", time.Now()); s != nil {
		t.Errorf("what the second look has seen is given out: %+v", s)
	}
	if look, last := g.take("a"); !look || last.text == "" {
		t.Errorf("the look after that: %v, %q", look, last.text)
	}
	g.remember(second, container.State{ID: "a", Status: container.Running}) // it was slow
	if s := g.seen("a", time.Now()); s != nil {
		t.Errorf("what the second look has seen is given out after the third has begun: %+v", s)
	}
	g.found("a", problem{text: "nothing is mounted at /data"})
	g.found("a", problem{})
	if told() {
		t.Error("one that is known is told again, or that there is none")
	}
}
