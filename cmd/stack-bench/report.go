package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// report prints the table while it is made, as Markdown.
type report struct {
	out      io.Writer
	m        *machine
	failures []string
}

func newReport(out io.Writer, m *machine) *report {
	r := &report{out: out, m: m}
	fmt.Fprintf(out, "%s, %d processors; state on %s. Medians; in brackets how many times ours. Goal here: as many times faster than the peer as the goal is on the machine that it was set on.\n\n", time.Now().Format(time.DateOnly), runtime.NumCPU(), m.fs)
	head, rule := []string{"work"}, []string{"---"}
	for _, e := range m.running {
		head, rule = append(head, e.name()+" "+strings.TrimSpace(e.version())), append(rule, "---")
	}
	r.line(append(head, "goal", "goal here")...)
	r.line(append(rule, "---", "---")...)
	return r
}

func (r *report) line(cells ...string) { fmt.Fprintf(r.out, "| %s |\n", strings.Join(cells, " | ")) }

// patience is how long one engine may take for one row, before it counts as not able to.
const patience = 3 * time.Minute

// row takes every figure so many times, the engines in turn.
func (r *report) row(ctx context.Context, row row, runs int) error {
	if row.once {
		runs = 1
	}
	taken := make([][]sample, len(r.m.running)) // engine, figure
	for i := range taken {
		taken[i] = make([]sample, len(row.figures))
	}
	floor := make([]sample, len(row.figures))
	out := make([]bool, len(taken))
	for range runs {
		if err := r.floor(ctx, row, floor); err != nil {
			return err
		}
		for i, e := range r.m.running {
			if out[i] {
				continue
			}
			within, cancel := context.WithTimeout(ctx, patience)
			values, err := row.take(within, r.m, e)
			cancel()
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err != nil {
				out[i] = true
				if !errors.Is(err, errNot) {
					r.failures = append(r.failures, fmt.Sprintf("%s, %s: %v", row.work, e.name(), err))
				}
				continue
			}
			for f, v := range values {
				taken[i][f].add(v)
			}
		}
	}
	for f, fig := range row.figures {
		if row.floor != nil {
			fig.goal = floor[f].median()
		}
		r.figure(row, fig, f, taken)
	}
	return nil
}

// floor takes the row's figures from the kernel alone, if they are its goal.
func (r *report) floor(ctx context.Context, row row, taken []sample) error {
	if row.floor == nil {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	values, err := row.floor(within, r.m)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		r.failures = append(r.failures, fmt.Sprintf("%s, the floor: %v", row.work, err))
	}
	for f, v := range values {
		taken[f].add(v)
	}
	return nil
}

func (r *report) figure(row row, fig figure, f int, taken [][]sample) {
	work := row.work
	if fig.work != "" {
		work += ": " + fig.work
	}
	cells := []string{work + ", " + fig.unit}
	ours := math.NaN()
	for i, e := range r.m.running {
		v := taken[i][f].median()
		switch {
		case math.IsNaN(v):
			cells = append(cells, "")
		case e.name() == "stack":
			ours = v
			cells = append(cells, short(v))
		case math.IsNaN(ours) || ours == 0 || v == 0:
			cells = append(cells, short(v))
		default:
			cells = append(cells, fmt.Sprintf("%s (%s)", short(v), short(v/ours)))
		}
	}
	r.line(append(cells, verdict(fig, ours, fig.goal), verdict(fig, ours, fig.here(func(peer string) float64 {
		for i, e := range r.m.running {
			if e.name() == peer {
				return taken[i][f].median()
			}
		}
		return math.NaN()
	})))...)
}

// verdict is a goal, and whether ours misses it; empty without one.
func verdict(fig figure, ours, goal float64) string {
	switch {
	case math.IsNaN(goal) || goal == 0:
		return ""
	case fig.higher && ours < goal*(1-fig.margin), !fig.higher && ours > goal:
		return short(goal) + ", missed"
	}
	return short(goal)
}

// short is v with as many digits as a noisy machine's figures deserve.
func short(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func (r *report) close() {
	for _, f := range r.failures {
		fmt.Fprintf(r.out, "\nnot measured: %s\n", f)
	}
}
