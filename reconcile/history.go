package reconcile

import (
	"context"
	"encoding/json"

	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/chronicle"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/performer"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/planning"
)

// begin records that do is about to carry out pl for a user's command. It does not wait for the disk: recorded does.
func (e *Engine) begin(c *planning.Comparison, pl *plan.Plan, do *performer.Performer, o ask.UpOptions) *chronicle.Chapter {
	if pl.Empty() {
		return nil
	}
	after, err := json.Marshal(c.Project)
	if err != nil {
		return nil // wish.Book.BeginUp tells it
	}
	before, err := e.wishes.RawFile(c.Project.Name)
	if err != nil {
		before = nil // wish.Book.BeginUp tells it
	}
	return e.memory.Begin(pl, do.Command, history.Entry{Services: o.Services, Scale: o.Scale}, before, after)
}

// History is what was done to project, oldest first: at most history.Kept plans that changed something.
func (e *Engine) History(ctx context.Context, project string) ([]history.Entry, error) {
	return e.memory.Entries(project)
}

// Revision is project as it was applied so many steps before, see history.Before. ErrNotFound when its history does not go back so far.
func (e *Engine) Revision(ctx context.Context, project string, back int) (*ask.Revision, error) {
	return e.memory.Revision(project, back)
}
