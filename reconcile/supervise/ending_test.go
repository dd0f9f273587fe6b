package supervise

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/health"
)

// quiet is a Runner whose runs end when they are told to.
type quiet struct{ ends chan Exit }

func (q quiet) Wait(ctx context.Context, _ string) (Exit, error) {
	select {
	case x := <-q.ends:
		return x, nil
	case <-ctx.Done():
		return Exit{}, ctx.Err()
	}
}
func (quiet) Restart(context.Context, string, func() bool) error { return errors.New("no") }
func (quiet) Probe(context.Context, string, health.Check) (health.Result, error) {
	return health.Result{}, errors.New("no check")
}
func (quiet) Changed(string, Change, Status) {}

// TestEndings: what is waited for from a moment on is seen, also of a container that is deleted before anybody looks.
func TestEndings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := quiet{make(chan Exit)}
		g := New(q)
		defer g.Close()
		if g.Ending("c") != nil {
			t.Error("a container that nobody knows has an ending")
		}
		g.Known("c", Config{}, nil)
		before := g.Ending("c")
		g.Started("c", Config{}, time.Now(), false)
		during := g.Ending("c")
		if before.Runs() || !during.Runs() {
			t.Error("which of them runs is mixed up")
		}
		soon, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if x, err := during.Next(soon); err == nil {
			t.Errorf("its end was seen before it ended: %v", x)
		}
		q.ends <- Exit{Code: 3, At: time.Now()}
		synctest.Wait()
		after := g.Ending("c")
		g.Forget("c")
		for name, next := range map[string]func(context.Context) (*Exit, error){"before": before.Next, "during": during.Next, "after": after.Next, "gone": before.Forgotten} {
			if x, err := next(t.Context()); err != nil || x == nil || x.Code != 3 {
				t.Errorf("%s: %v, %v", name, x, err)
			}
		}
	})
}
