package loop

import (
	"context"
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
