package output

import (
	"context"

	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/reconcile/inventory"
)

// Texts of the events that tell of a log.
const (
	Incomplete   = "Log incomplete"
	WrittenAgain = "Log written again"
)

// lossNotice is what readers of a log are told while output does not get into it.
func lossNotice(why string) string { return "output is not logged at present: " + why }

// tellLosses tells of logs that are incomplete at present.
func (f *follower) tellLosses(list []*inventory.Container) error {
	for _, c := range list {
		if c.LogError != "" {
			if err := f.notice(c)(lossNotice(c.LogError)); err != nil {
				return err
			}
		}
	}
	return nil
}

// tellEvent tells of one that becomes so while it is followed.
func (f *follower) tellEvent(ctx context.Context, ev event.Event) error {
	if ev.Text != Incomplete {
		return nil
	}
	list, err := f.in.logged(ctx, f.project, f.options)
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.Name == ev.Name {
			return f.notice(c)(lossNotice(ev.Detail))
		}
	}
	return nil
}
