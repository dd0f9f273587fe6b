package history

import (
	"errors"
	"testing"

	"github.com/stackrun/stack/internal/errdefs"
)

func TestBefore(t *testing.T) {
	entry := func(n int, project string, o Outcome) Entry { return Entry{Number: n, Project: project, Outcome: o} }
	scaled := entry(3, "b", Done)
	scaled.Scale = map[string]int{"web": 2}
	for _, tt := range []struct {
		name string
		all  []Entry
		back int
		want int // 0 = not found
	}{
		{"nothing", nil, 1, 0},
		{"the first", []Entry{entry(1, "a", Done)}, 1, 0},
		{"one", []Entry{entry(1, "a", Done), entry(2, "b", Done)}, 1, 1},
		{"two", []Entry{entry(1, "a", Done), entry(2, "b", Done), entry(3, "c", Done)}, 2, 1},
		{"too far", []Entry{entry(1, "a", Done), entry(2, "b", Done)}, 2, 0},
		{"a failure is no step", []Entry{entry(1, "a", Done), entry(2, "b", Failed), entry(3, "b", Failed)}, 1, 1},
		{"the same again is no step", []Entry{entry(1, "a", Done), entry(2, "b", Done), entry(3, "b", Done)}, 1, 1},
		{"of many the same the last counts", []Entry{entry(1, "a", Done), entry(2, "a", Done), entry(3, "b", Done)}, 1, 2},
		{"there and back", []Entry{entry(1, "a", Done), entry(2, "b", Done), entry(3, "a", Done)}, 1, 2},
		{"another scale is a step", []Entry{entry(1, "a", Done), entry(2, "b", Done), scaled}, 1, 2},
	} {
		got := 0
		if e, err := Before(tt.all, tt.back); err == nil {
			got = e.Number
		} else if !errors.Is(err, errdefs.ErrNotFound) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got != tt.want {
			t.Errorf("%s: #%d, want #%d", tt.name, got, tt.want)
		}
	}
}
