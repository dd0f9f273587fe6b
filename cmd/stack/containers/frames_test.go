package containers

import (
	"slices"
	"testing"
	"time"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
)

func TestFrame(t *testing.T) {
	for _, tt := range []struct {
		text       string
		drawn      []int
		rows, cols int
		want       string
		widths     []int
	}{
		{"a\nb\n", nil, 24, 80, "\r\x1b[Ja\nb\n", []int{1, 1}},
		{"a\nb\n", []int{1, 0, 80}, 24, 80, "\x1b[3A\r\x1b[Ja\nb\n", []int{1, 1}},
		{"abcdef\n", []int{4}, 24, 4, "\x1b[1A\r\x1b[Jabcd\n", []int{4}},
		{"a\n", []int{80, 40, 3}, 24, 40, "\x1b[4A\r\x1b[Ja\n", []int{1}}, // the window has become narrower
		{"1\n2\n3\n4\n5\n", nil, 4, 80, "\r\x1b[J1\n2\n… and 3 more\n", []int{1, 1, 12}},
		{"1\n2\n3\n", make([]int, 9), 4, 80, "\x1b[3A\r\x1b[J1\n2\n3\n", []int{1, 1, 1}}, // the window has become lower
	} {
		if got, widths := frame(tt.text, tt.drawn, tt.rows, tt.cols); got != tt.want || !slices.Equal(widths, tt.widths) {
			t.Errorf("%q: got %q, columns %d", tt.text, got, widths)
		}
	}
}

// A container that was started anew has used less than before: that is no use of a negative kind.
func TestStatsAfterARestart(t *testing.T) {
	w := statsWatch{before: map[string]process.Usage{}}
	one := func(clock, cpu time.Duration) []ask.ContainerStats {
		return []ask.ContainerStats{{ID: "a", Container: "a", Usage: &process.Usage{Clock: clock, CPU: cpu}}}
	}
	w.rows(one(10*time.Second, 8*time.Second))
	if got := w.rows(one(11*time.Second, time.Second))[0].CPUPerc; got != "0.00%" {
		t.Error(got)
	}
	if got := w.rows(one(13*time.Second, 2*time.Second))[0].CPUPerc; got != "50.00%" {
		t.Error(got)
	}
	w.rows(nil)
	if got := w.rows(one(14*time.Second, 9*time.Second))[0].CPUPerc; got != "0.00%" {
		t.Errorf("nobody has seen it before: %s", got)
	}
}
