package reconcile

import (
	"context"
	"time"

	"github.com/stackrun/stack/reconcile/loop"
)

// healer is the loop's Healer. The loop is there before what heals is, which needs its turns.
type healer struct{ e *Engine }

func (h healer) Scan(ctx context.Context) error { return h.e.healing.Scan(ctx) }

func (h healer) Heal(ctx context.Context, project string, t *loop.Trials) (next time.Duration, known bool) {
	return h.e.healing.Heal(ctx, project, t)
}
