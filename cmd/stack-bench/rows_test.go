package main

import (
	"math"
	"testing"
)

// TestGoalHere: the goal moves with the peers' speed, the stricter peer counts, and one that did not run does not.
func TestGoalHere(t *testing.T) {
	life := figure{goal: 3, pace: pace{"runc": 21, "crun": 7.4}}
	for _, c := range []struct {
		name       string
		runc, crun float64
		want       float64
	}{
		{"the machine of the goals", 21, 7.4, 3},
		{"twice as slow", 42, 14.8, 6},
		{"by runc, which asks more", 21, 14.8, 3},
		{"by crun, which asks more", 42, 7.4, 3},
		{"without crun", 42, math.NaN(), 6},
	} {
		got := life.here(func(peer string) float64 { return map[string]float64{"runc": c.runc, "crun": c.crun}[peer] })
		if math.Abs(got-c.want) > 1e-9 {
			t.Errorf("%s: the goal is %v, want %v", c.name, got, c.want)
		}
	}
	none := func(string) float64 { return math.NaN() }
	if got := life.here(none); !math.IsNaN(got) {
		t.Errorf("without a peer the goal is %v, want none", got)
	}
	if got := (figure{goal: 12, pace: docker29(0)}).here(func(string) float64 { return 5 }); !math.IsNaN(got) {
		t.Errorf("without a measured pace the goal is %v, want none", got)
	}
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		fig        figure
		ours, goal float64
		want       string
	}{
		{figure{}, 8, 10, "10.0"},
		{figure{}, 11, 10, "10.0, missed"},
		{figure{higher: true}, 11, 10, "10.0"},
		{figure{higher: true}, 8, 10, "10.0, missed"},
		{figure{higher: true, margin: 0.1}, 9.1, 10, "10.0"}, // as near to the floor as that comes to itself
		{figure{higher: true, margin: 0.1}, 8.9, 10, "10.0, missed"},
		{figure{}, 8, 0, ""},
		{figure{}, 8, math.NaN(), ""},
		{figure{}, math.NaN(), 10, "10.0"}, // ours was not measured: its cell is empty
	} {
		if got := verdict(c.fig, c.ours, c.goal); got != c.want {
			t.Errorf("ours %v, goal %v: %q, want %q", c.ours, c.goal, got, c.want)
		}
	}
}
