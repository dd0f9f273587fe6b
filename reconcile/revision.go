package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/spec"
)

var errNoHistory = errdefs.With(errdefs.ErrNotSupported, errors.New("this daemon keeps no history"))

// History is what was done to project, oldest first: at most book.Kept plans that changed something.
func (e *Engine) History(ctx context.Context, project string) ([]history.Entry, error) {
	if e.history == nil {
		return nil, errNoHistory
	}
	return e.history.List(project)
}

// Revision is project as it was applied so many steps before, see history.Before. ErrNotFound when its history does not go back so far.
func (e *Engine) Revision(ctx context.Context, project string, back int) (*ask.Revision, error) {
	if back < 1 {
		return nil, errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("cannot go back %d steps: expected a number from 1", back))
	}
	all, err := e.History(ctx, project)
	if err != nil {
		return nil, err
	}
	entry, err := history.Before(all, back)
	if err != nil {
		return nil, fmt.Errorf("cannot go back %d in project %s: %w; `stack history` shows it", back, project, err)
	}
	raw, err := e.history.Project(project, entry.Project)
	if err != nil {
		return nil, fmt.Errorf("cannot go back to #%d of project %s: %w", entry.Number, project, err)
	}
	p := new(spec.Project)
	if err := json.Unmarshal(raw, p); err != nil {
		return nil, fmt.Errorf("cannot go back to #%d of project %s: its record cannot be read: %w", entry.Number, project, err)
	}
	return &ask.Revision{Number: entry.Number, Time: entry.Time, Project: p, Services: entry.Services, Scale: entry.Scale}, nil
}

// forgetHistory removes what is remembered of a project that is gone with its volumes: nothing could be brought back.
func (e *Engine) forgetHistory(project string, sink event.Sink) {
	e.mu.Lock()
	for key := range e.started {
		if key[0] == project {
			delete(e.started, key)
		}
	}
	e.mu.Unlock()
	if e.history == nil {
		return
	}
	if err := e.history.Forget(project); err != nil {
		e.noHistory(project, err, sink)
	}
}
