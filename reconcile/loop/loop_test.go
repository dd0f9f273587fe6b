package loop

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stackrun/stack/reconcile/gate"
)

// blind is a Healer that cannot look at the host for its first looks.
type blind struct{ left, looks atomic.Int32 }

func (b *blind) Scan(context.Context) error {
	b.looks.Add(1)
	if b.left.Add(-1) >= 0 {
		return errors.New("too many open files")
	}
	return nil
}
func (*blind) Heal(context.Context, string, *Trials) (time.Duration, bool) { return 0, false }

// TestALookThatFailsIsMadeAgain: without a hint, and until it can be made; somebody has to stay for it.
func TestALookThatFailsIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, end := context.WithCancel(t.Context())
		h := new(blind)
		h.left.Store(3)
		l := New(life, new(gate.Gate), h, Options{Log: slog.New(slog.DiscardHandler)})
		l.Start(nil)
		synctest.Wait()
		if n := h.looks.Load(); n != 1 || l.Idle() {
			t.Errorf("%d looks at its start; idle: %t", n, l.Idle())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := h.looks.Load(); n != 4 || !l.Idle() {
			t.Errorf("%d looks, expected 3 that fail and one; idle: %t", n, l.Idle())
		}
		end()
		l.Stop()
	})
}
