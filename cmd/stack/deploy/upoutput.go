package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stackrun/stack/cmd/stack/follow"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/plaintext"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/runtime/process"
)

func (t *attachment) logOptions(follow bool) ask.LogOptions {
	return ask.LogOptions{Services: t.show, Follow: follow, Linger: follow, Tail: -1, Since: t.began}
}

// entries prints what one reading of the logs delivers, without the lines that another one was first with.
func (t *attachment) entries() func(ask.LogEntry) error {
	read := follow.Places{}
	return func(e ask.LogEntry) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		at := read.Next(e)
		if !at.After(t.seen[e.Container]) {
			return nil
		}
		t.seen[e.Container] = at
		return t.above(func() error { return t.view.Entry(e) })
	}
}

// catchUp prints what is written and not yet printed of services.
func (t *attachment) catchUp(ctx context.Context, services []string) error {
	if len(services) == 0 {
		return nil
	}
	o := t.logOptions(false)
	o.Services = services
	return follow.GoOn(ctx, func() error { return t.daemon.Logs(ctx, t.project.Name, o, t.entries()) })
}

// event tells a container's end, below the last line that it wrote.
func (t *attachment) event(ctx context.Context, e event.Event) {
	if e.Kind != "container" || !slices.Contains(t.scope, e.Service) {
		return
	}
	if e.Exit != nil && e.Time.After(t.began) && slices.Contains(t.show, e.Service) {
		if t.catchUp(ctx, []string{e.Service}) == nil { // else the end of all tells it
			t.tellEnd(e.Name, e.Service, cmp.Or(e.Detail, process.Ended(*e.Exit, false, "")), e.Time)
		}
	}
	t.changed()
}

// changed has the host looked at.
func (t *attachment) changed() {
	select {
	case t.change <- struct{}{}:
	default:
	}
}

// tellEnd says that, and how, a container ended before at.
func (t *attachment) tellEnd(container, service, how string, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told[container] = at
	t.above(func() error { //nolint:errcheck // stdout: the next line sees it
		return t.view.Line(t.view.Name(container, service, 0) + " " + plaintext.OneLine(how))
	})
}

// settle prints what was written and what ended between what was followed and now.
func (t *attachment) settle(ctx context.Context) error {
	err := t.catchUp(ctx, t.show)
	if errors.Is(err, errdefs.ErrNotFound) {
		err = nil // somebody took the containers away
	}
	all, listErr := t.containers(ctx)
	for _, c := range all {
		if c.OneOff || !slices.Contains(t.show, c.Service) || c.State != "exited" || c.Exit == nil || !c.Exit.FinishedAt.After(t.began) {
			continue
		}
		t.mu.Lock()
		known := !t.told[c.Name].Before(c.Exit.FinishedAt)
		t.mu.Unlock()
		if !known {
			t.tellEnd(c.Name, c.Service, process.Ended(c.Exit.Code, c.Exit.OOM, c.Exit.Error), c.Exit.FinishedAt)
		}
	}
	return errors.Join(err, listErr, t.unbroken())
}

// unbroken ends a line that was begun.
func (t *attachment) unbroken() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.view.Break()
}

// above prints above the live lines. Preconditions: t.mu is held.
func (t *attachment) above(print func() error) error {
	if t.printer == nil {
		return print()
	}
	resume := t.printer.Suspend()
	defer resume()
	// The live lines are drawn below, so the line must be whole.
	return errors.Join(print(), t.view.Break())
}

func (t *attachment) say(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.above(func() error { //nolint:errcheck // stderr
		_, err := fmt.Fprintln(t.run.Err, text)
		return errors.Join(t.view.Break(), err)
	})
}
