package loop

import (
	"context"
	"errors"
	"fmt"

	"github.com/stackrun/stack/internal/errdefs"
)

// Pass takes the turn of project for a command: healing stops for it, and looks again after it.
func (l *Loop) Pass(ctx context.Context, project string) (release func(), err error) {
	unclaim := l.claim(project)
	unlock, err := l.Turn(ctx, project)
	if err != nil {
		unclaim()
		return nil, err
	}
	return func() { unlock(); unclaim() }, nil
}

// errOverruled ends a command that gives way. Whoever sees it has been interrupted and has not failed.
var errOverruled = fmt.Errorf("another command stops it: %w", context.Canceled)

// Yielding is Pass for a command that brings project up, and may wait for minutes for somebody to become healthy: its context ends when a command comes
// that takes everything down (Overrule). Its error, whatever it is, is for Overruled.
func (l *Loop) Yielding(ctx context.Context, project string) (_ context.Context, release func(), err error) {
	pass, err := l.Pass(ctx, project)
	if err != nil {
		return ctx, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kept(project)
	if k.giveWay = cancel; k.overruling > 0 {
		cancel(errOverruled)
	}
	return ctx, func() {
		l.mu.Lock()
		k.giveWay = nil
		l.mu.Unlock()
		cancel(nil)
		pass()
	}, nil
}

// Overrule is Pass for a command after which nothing of project is to run: who brings it up, and those whose turn would come before, give way.
func (l *Loop) Overrule(ctx context.Context, project string) (release func(), err error) {
	unclaim := l.claim(project)
	defer unclaim() // the Pass has one of its own
	defer l.overruling(project, -1)
	l.overruling(project, 1)
	return l.Pass(ctx, project)
}

// overruling counts those who are about to overrule. Precondition: project is claimed.
func (l *Loop) overruling(project string, more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kept(project)
	if k.overruling += more; k.overruling > 0 && k.giveWay != nil {
		k.giveWay(errOverruled)
	}
}

// Overruled says of err, that verb on project came to, that it gave way, if it did. ctx is that of Yielding.
func Overruled(ctx context.Context, verb, project string, err error) error {
	if err == nil || !errors.Is(context.Cause(ctx), errOverruled) {
		return err
	}
	return errdefs.With(errdefs.ErrConflict, fmt.Errorf("%s of project %s was cut short: another command stops the project", verb, project))
}

// Turn takes the turn of project without asking anybody to hurry.
func (l *Loop) Turn(ctx context.Context, project string) (release func(), err error) {
	leave := l.Enter()
	unlock, err := l.passes.Lock(ctx, project)
	if err != nil {
		leave()
		return nil, err
	}
	return func() { unlock(); leave() }, nil
}

// Glance is Turn for who only looks, or has little to do. A healing that waits lets it through, and goes on waiting afterwards.
func (l *Loop) Glance(ctx context.Context, project string) (release func(), err error) {
	l.glances(project, 1)
	defer l.glances(project, -1)
	return l.Turn(ctx, project)
}

// Enter counts a request in flight.
func (l *Loop) Enter() (leave func()) {
	l.busy.Add(1)
	return func() { l.busy.Add(-1) }
}

// Working is Enter for what changes the host without a project's turn: it waits for who needs everybody to stand still.
func (l *Loop) Working(ctx context.Context) (leave func(), err error) {
	if err := l.gate.Enter(ctx); err != nil {
		return nil, err
	}
	count := l.Enter()
	return func() { count(); l.gate.Leave() }, nil
}

// Taken says whether somebody has the turn of project or waits for it.
func (l *Loop) Taken(project string) bool { return l.passes.Taken(project) }

// Released is closed when nobody has the turn of project any more; nil, which blocks for ever, when nobody does now.
func (l *Loop) Released(project string) <-chan struct{} { return l.passes.Released(project) }
