// Package apply carries out a plan: every step as soon as what it waits for has ended, as many side by side as
// allowed. It knows the plan's order and nothing of the operations, which a Performer does.
package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/stackrun/stack/reconcile/plan"
)

// Performer does one step. It must end soon after ctx does, leaving a state from which the next plan can go on.
type Performer interface {
	Perform(ctx context.Context, s plan.Step) error
}

// Told marks err, of a step that another one answers for: Run reports it not again, but what needs the step is skipped.
func Told(err error) error { return &told{err} }

type told struct{ error }

func (t *told) Unwrap() error { return t.error }

// Outcome of a step.
type Outcome uint8

const (
	Succeeded Outcome = iota
	Failed            // its Performer returned an error
	Skipped           // something that it needs did not succeed
	Cancelled         // ctx ended before it began
)

func (o Outcome) String() string {
	return [...]string{"succeeded", "failed", "skipped", "cancelled"}[o]
}

// Options of Run.
type Options struct {
	// Parallel bounds the steps that work at one time; 0 = 16. Steps that only wait (for health, for a
	// process to stop, for a pre_start to end) do not count; pulls have a bound of their own, and builds one that is not a plan's.
	Parallel int
	// Pulls bounds the pulls at one time; 0 = 4.
	Pulls int
	// Ended, when not nil, is told of each step. It may be called from several goroutines.
	Ended func(s plan.Step, o Outcome, err error)
}

// Run returns when every step has ended. What failed is joined into one *Error; what was skipped because of it is
// listed there with its cause, once. When ctx ends, no further step begins, and Run returns ctx's error
// after those under way.
func Run(ctx context.Context, p *plan.Plan, do Performer, opt Options) error {
	if opt.Parallel <= 0 {
		opt.Parallel = 16
	}
	if opt.Pulls <= 0 {
		opt.Pulls = 4
	}
	r := &run{
		plan: p, do: do, opt: opt,
		ended: make([]chan struct{}, len(p.Steps)),
		out:   make([]outcome, len(p.Steps)),
		work:  make(chan struct{}, opt.Parallel),
		pulls: make(chan struct{}, opt.Pulls),
	}
	for i := range r.ended {
		r.ended[i] = make(chan struct{})
	}
	var wg sync.WaitGroup
	for i := range p.Steps {
		wg.Go(func() { r.step(ctx, i) })
	}
	wg.Wait()
	return r.verdict(ctx)
}

type run struct {
	plan  *plan.Plan
	do    Performer
	opt   Options
	ended []chan struct{}
	out   []outcome // written before the step's ended is closed
	work  chan struct{}
	pulls chan struct{}
}

type outcome struct {
	kind  Outcome
	err   error
	cause int // step id whose failure this is skipped for
}

func (r *run) step(ctx context.Context, i int) {
	s := r.plan.Steps[i]
	defer close(r.ended[i])
	r.out[i] = r.perform(ctx, s)
	if r.opt.Ended != nil {
		r.opt.Ended(s, r.out[i].kind, r.out[i].err)
	}
}

func (r *run) perform(ctx context.Context, s plan.Step) outcome {
	for _, n := range s.Needs {
		<-r.ended[n-1]
	}
	for _, n := range s.After {
		<-r.ended[n-1]
	}
	for _, n := range s.Needs {
		switch o := r.out[n-1]; o.kind {
		case Failed:
			return outcome{kind: Skipped, cause: n}
		case Skipped:
			return outcome{kind: Skipped, cause: o.cause}
		case Cancelled:
			return outcome{kind: Cancelled}
		}
	}
	release, err := r.slot(ctx, s.Op)
	if err != nil {
		return outcome{kind: Cancelled}
	}
	defer release()
	if err := r.do.Perform(ctx, s); err != nil {
		return outcome{kind: Failed, err: err}
	}
	return outcome{}
}

// slot waits until there is room for op.
func (r *run) slot(ctx context.Context, op plan.Operation) (release func(), err error) {
	slots := r.work
	switch op.(type) {
	case plan.BuildImage, plan.WaitReady, plan.StopContainer, plan.RunPreStart, plan.BeginBatch, plan.ProveContainer, plan.EndUpdate:
		return func() {}, ctx.Err()
	case plan.PullImage:
		slots = r.pulls
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case slots <- struct{}{}:
	}
	if err := ctx.Err(); err != nil {
		<-slots // both were ready
		return nil, err
	}
	return func() { <-slots }, nil
}

func (r *run) verdict(ctx context.Context) error {
	e := &Error{}
	skipped := map[int][]string{}
	for i, o := range r.out {
		if o.kind == Skipped {
			skipped[o.cause] = append(skipped[o.cause], r.plan.Steps[i].Op.String())
		}
	}
	for i, o := range r.out {
		var elsewhere *told
		if o.kind != Failed || errors.As(o.err, &elsewhere) {
			continue
		}
		if err := ctx.Err(); err != nil && errors.Is(o.err, err) {
			continue // it only says that it was cancelled
		}
		e.Failures = append(e.Failures, Failure{Step: r.plan.Steps[i], Err: o.err, Skipped: skipped[i+1]})
	}
	var err error
	if len(e.Failures) > 0 {
		err = e
	}
	return errors.Join(err, context.Cause(ctx))
}

// Failure is one step that failed, with what was skipped for it.
type Failure struct {
	Step    plan.Step
	Err     error
	Skipped []string
}

// Consequence says what was skipped for it, "" = nothing.
func (f *Failure) Consequence() string {
	if len(f.Skipped) == 0 {
		return ""
	}
	return "so not done: " + list(f.Skipped)
}

// Error is every failure of a run, in the order of the plan.
type Error struct{ Failures []Failure }

func (e *Error) Error() string {
	var lines []string
	for _, f := range e.Failures {
		line := f.Err.Error()
		if c := f.Consequence(); c != "" {
			line += "\n  " + c
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func (e *Error) Unwrap() []error {
	errs := make([]error, len(e.Failures))
	for i, f := range e.Failures {
		errs[i] = f.Err
	}
	return errs
}

// list names the first few and counts the rest: one broken database must not print a hundred lines.
func list(items []string) string {
	const most = 6
	if len(items) <= most {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:most], ", "), len(items)-most)
}
