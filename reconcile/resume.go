package reconcile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/errand"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
	"github.com/stackrun/stack/reconcile/wish"
)

// resumer is the Engine as healing's Commands.
type resumer struct{ *Engine }

// Resume carries a command to its end that a daemon which is no more has begun: nobody has told it to leave half of it. What it asks for
// that has been done meanwhile is done already.
// Precondition: the project's turn is held.
func (e resumer) Resume(ctx context.Context, project string, pass *wish.Pass) error {
	e.hub.Say(nil, event.Event{Project: project, Kind: "project", Name: project, Phase: event.Working, Text: "Resuming", Detail: pass.Verb + ", which was cut short"})
	e.log.Info("resuming what was cut short", "project", project, "command", pass.Verb)
	err := e.carryOn(ctx, project, pass)
	if ctx.Err() != nil {
		return err // whoever has the turn now says what is wanted
	}
	if errors.Is(err, inventory.ErrUnseen) {
		return fmt.Errorf("%s, which was cut short: %w", pass.Verb, err) // what has not begun stays on record
	}
	// One that fails has failed as it would have for its caller, and is not tried for ever.
	if err = e.wishes.End(project, err, nil); err != nil {
		return fmt.Errorf("%s, which was cut short, cannot be carried to its end: %w", pass.Verb, err)
	}
	return nil
}

func (e *Engine) carryOn(ctx context.Context, project string, pass *wish.Pass) error {
	switch pass.Verb {
	case "up":
		var o ask.UpOptions
		p, err := e.wishes.File(project)
		if err == nil {
			err = json.Unmarshal(pass.Options, &o)
		}
		if err != nil {
			return err
		}
		o.ForceRecreate, o.AlwaysDeps = false, false // which of them are new already nobody knows
		want, err := e.planner.Desire(p, o)
		if err != nil {
			return err
		}
		return e.bringUp(ctx, p, want, o, pass.Starts, nil)
	case "down":
		var o ask.DownOptions
		if err := json.Unmarshal(pass.Options, &o); err != nil {
			return err
		}
		return e.Remover.ResumeDown(ctx, project, o)
	case verbRemove:
		var o ask.ServiceOptions
		if err := json.Unmarshal(pass.Options, &o); err != nil {
			return err
		}
		return e.resumeRemove(ctx, project, o)
	case errand.VerbVolumes:
		return e.Archive.ResumeVolumes(ctx, project, pass.Options)
	case "start", "stop", "restart":
		return e.Errands.ResumeErrand(ctx, project, pass)
	}
	return fmt.Errorf("this program has no command %q: %w", pass.Verb, errdefs.ErrNotSupported)
}
