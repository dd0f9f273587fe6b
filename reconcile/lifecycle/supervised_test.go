package lifecycle

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/health"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/roster"
	"github.com/stackrun/stack/reconcile/supervise"
)

// runs ends each run of each container when it is told to.
type runs struct{ end chan int }

func (r runs) Wait(ctx context.Context, _ string) (supervise.Exit, error) {
	select {
	case code := <-r.end:
		return supervise.Exit{Code: code, At: time.Now()}, nil
	case <-ctx.Done():
		return supervise.Exit{}, ctx.Err()
	}
}
func (runs) Restart(ctx context.Context, _ string, _ func() bool) error {
	<-ctx.Done() // its start is under way
	return ctx.Err()
}
func (runs) Probe(context.Context, string, health.Check) (health.Result, error) {
	return health.Result{}, nil
}
func (runs) Changed(string, supervise.Change, supervise.Status) {}

// TestSeenWhileItIsStartedAgain: a container has no exit on record while its policy starts it. Who looks then, and asks what has become of it later, must not take it for one that
// was never started, which healing would start; nor must a start that is promised against that run be promised against none, which that run itself would pay.
func TestSeenWhileItIsStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runs{make(chan int)}
		k := &Keeper{Group: supervise.New(r), roster: roster.New()}
		defer k.Group.Close()
		expect := func(when string, want plan.Status, code int, began time.Time) {
			t.Helper()
			synctest.Wait()
			have := &plan.Observed{Containers: []plan.ContainerState{{ID: "a", Status: plan.StatusCreated}}}
			k.Supervised(have)
			if c := have.Containers[0]; c.Status != want || c.ExitCode != code || !c.StartedAt.Equal(began) {
				t.Errorf("%s: %v, exit code %d, started at %v; expected %v, %d, %v", when, c.Status, c.ExitCode, c.StartedAt, want, code, began)
			}
		}
		expect("never started", plan.StatusCreated, 0, time.Time{})
		policy := supervise.Config{Policy: plan.RestartPolicy{Name: "on-failure", MaxAttempts: 1}}
		first := time.Now()
		k.Group.Started("a", policy, first, false)
		expect("running by now", plan.StatusRunning, 0, first)
		time.Sleep(time.Second) // of the bubble's clock
		r.end <- 3
		expect("about to be started", plan.StatusRestarting, 0, first)
		second := time.Now()
		k.Group.Started("a", policy, second, true)
		r.end <- 3
		expect("ended for good by now", plan.StatusExited, 3, second)
		third := second.Add(time.Second)
		k.Group.Started("a", policy, third, false)
		k.Group.Stop("a")
		expect("about to be stopped", plan.StatusRunning, 0, third)
	})
}
