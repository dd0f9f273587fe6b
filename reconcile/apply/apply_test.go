package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/plan"
)

// script is a Performer that says how each step ends and keeps the order.
type script struct {
	takes map[int]time.Duration
	fails map[int]error

	mu    sync.Mutex
	begun []int
	now   int // steps under way
	most  int
}

func (s *script) Perform(ctx context.Context, step plan.Step) error {
	s.mu.Lock()
	s.begun = append(s.begun, step.ID)
	s.now++
	s.most = max(s.most, s.now)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	select {
	case <-time.After(s.takes[step.ID]):
		return s.fails[step.ID]
	case <-ctx.Done():
		return ctx.Err()
	}
}

// steps makes a plan; each entry is the needs of a step.
func steps(needs ...[]int) *plan.Plan {
	p := &plan.Plan{}
	for i, n := range needs {
		p.Steps = append(p.Steps, plan.Step{ID: i + 1, Op: plan.CreateVolume{Name: fmt.Sprint(i + 1)}, Needs: n})
	}
	return p
}

func outcomes(into map[int]Outcome) func(plan.Step, Outcome, error) {
	var mu sync.Mutex
	return func(s plan.Step, o Outcome, _ error) {
		mu.Lock()
		defer mu.Unlock()
		into[s.ID] = o
	}
}

func TestAFailureSkipsWhatNeedsItAndIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("disk full")
		do := &script{fails: map[int]error{1: broken}}
		p := steps(nil, []int{1}, []int{2}, nil, nil)
		p.Steps[4].After = []int{1} // after it, however it ended
		got := map[int]Outcome{}
		err := Run(t.Context(), p, do, Options{Ended: outcomes(got)})
		if !errors.Is(err, broken) || strings.Count(err.Error(), "disk full") != 1 || !strings.Contains(err.Error(), "so not done: create volume 2, create volume 3") {
			t.Errorf("got %v", err)
		}
		if want := map[int]Outcome{1: Failed, 2: Skipped, 3: Skipped, 4: Succeeded, 5: Succeeded}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v", got)
		}
	})
}

func TestStepsRunAsSoonAsTheyCanAndNotMoreThanAllowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		second := map[int]time.Duration{}
		for i := range 9 {
			second[i+1] = time.Second
		}
		do := &script{takes: second}
		begun := time.Now()
		if err := Run(t.Context(), steps(nil, nil, nil, nil, nil, nil, nil, nil, []int{1}), do, Options{Parallel: 4}); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begun); d != 3*time.Second || do.most != 4 {
			t.Errorf("took %s, %d at a time", d, do.most)
		}
	})
}

func TestWaitsTakeNoPlaceOfWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := steps(nil, nil, nil)
		p.Steps[0].Op, p.Steps[1].Op = plan.WaitReady{}, plan.StopContainer{}
		do := &script{takes: map[int]time.Duration{1: time.Minute, 2: time.Minute, 3: time.Second}}
		ended := time.Duration(0)
		begun := time.Now()
		if err := Run(t.Context(), p, do, Options{Parallel: 1, Ended: func(s plan.Step, _ Outcome, _ error) {
			if s.ID == 3 {
				ended = time.Since(begun)
			}
		}}); err != nil {
			t.Fatal(err)
		}
		if ended != time.Second || time.Since(begun) != time.Minute {
			t.Errorf("the work ended after %s, all after %s", ended, time.Since(begun))
		}
	})
}

func TestNothingBeginsAfterCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		do := &script{takes: map[int]time.Duration{1: time.Hour}}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		got := map[int]Outcome{}
		err := Run(ctx, steps(nil, []int{1}, []int{2}), do, Options{Ended: outcomes(got)})
		if !errors.Is(err, context.Canceled) || !slices.Equal(do.begun, []int{1}) || got[2] == Succeeded || got[3] == Succeeded {
			t.Errorf("got %v, %v, %v", err, do.begun, got)
		}
		var failed *Error
		if errors.As(err, &failed) {
			t.Errorf("the cancelled step is told as a failure: %v", failed)
		}
	})
}
