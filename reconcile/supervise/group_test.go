package supervise

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/plan"
)

// runner is a host of one container, whose runs end at once and whose first starts fail.
type runner struct {
	group *Group
	cfg   Config

	mu      sync.Mutex
	fails   int
	fault   error // of the starts that fail
	changes []Change
	starts  []time.Duration // since began, tried ones included
	began   time.Time
}

func (r *runner) Wait(ctx context.Context, id string) (Exit, error) {
	r.mu.Lock()
	lasting := r.fails < 0
	r.mu.Unlock()
	if lasting { // the start that worked, which stays
		<-ctx.Done()
		return Exit{}, ctx.Err()
	}
	return Exit{Code: 1, At: time.Now()}, nil
}

func (r *runner) Restart(_ context.Context, id string, wanted func() bool) error {
	if !wanted() {
		return nil
	}
	r.mu.Lock()
	r.starts = append(r.starts, time.Since(r.began))
	r.fails--
	fails := r.fails >= 0
	r.mu.Unlock()
	if fails {
		return r.fault
	}
	r.group.Started(id, r.cfg, time.Now(), true)
	return nil
}

func (r *runner) Probe(context.Context, string, health.Check) (health.Result, error) {
	return health.Result{}, errors.New("no check")
}

func (r *runner) Changed(_ string, c Change, _ Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changes = append(r.changes, c)
}

// TestStartThatFailsIsARunThatFailed: the policy decides after it as after an end, with the same delays, which grow, and the same count.
func TestStartThatFailsIsARunThatFailed(t *testing.T) {
	for _, tt := range []struct {
		name    string
		policy  plan.RestartPolicy
		fault   error
		changes []Change
		starts  []time.Duration
		ends    State
	}{
		{"always", plan.RestartPolicy{Name: "always"}, errors.New("no"), []Change{ChangeStarted, ChangeRestarting, ChangeRestarting, ChangeRestarting, ChangeStarted},
			[]time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond}, Running},
		{"twice at most", plan.RestartPolicy{Name: "on-failure", MaxAttempts: 2}, errors.New("no"), []Change{ChangeStarted, ChangeRestarting, ChangeRestarting, ChangeExited},
			[]time.Duration{100 * time.Millisecond, 300 * time.Millisecond}, Ended},
		{"twice at most, and no room", plan.RestartPolicy{Name: "on-failure", MaxAttempts: 2}, fmt.Errorf("cannot write: %w", ErrNoRoom), []Change{ChangeStarted, ChangeRestarting, ChangeRestarting, ChangeRestarting, ChangeStarted},
			[]time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 700 * time.Millisecond}, Running},
		{"never", plan.RestartPolicy{Name: "no"}, errors.New("no"), []Change{ChangeStarted, ChangeExited}, nil, Ended},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &runner{cfg: Config{Policy: tt.policy}, fails: 2, fault: tt.fault, began: time.Now()}
				r.group = New(r)
				r.group.Started("c", r.cfg, time.Now(), false)
				time.Sleep(time.Hour) // of the bubble's clock
				synctest.Wait()
				r.mu.Lock()
				if !slices.Equal(r.changes, tt.changes) || !slices.Equal(r.starts, tt.starts) {
					t.Errorf("%v, started after %v", r.changes, r.starts)
				}
				r.mu.Unlock()
				if s, ok := r.group.Status("c"); !ok || s.State != tt.ends || s.Exit == nil {
					t.Errorf("ends as %+v", s)
				}
				r.group.Close()
			})
		})
	}
}
