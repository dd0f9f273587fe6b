package supervise

import "context"

// Ending is what becomes of one container from the moment on at which it was asked for, also when the container is forgotten meanwhile.
type Ending struct {
	g    *Group
	u    *unit
	run  uint64
	runs bool // it did when the Ending was asked for
}

// Ending begins to look at container id; nil when it is not known.
func (g *Group) Ending(id string) *Ending {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.units[id]
	if u == nil {
		return nil
	}
	return &Ending{g: g, u: u, run: u.run, runs: u.state == Running || u.state == Stopping}
}

// Runs says whether the container ran when the Ending was asked for.
func (e *Ending) Runs() bool { return e.runs }

// Last is how the last run ended, nil when none has.
func (e *Ending) Last() *Exit {
	e.g.mu.Lock()
	defer e.g.mu.Unlock()
	return e.u.exit
}

// Next waits for the end of the run that went on when e was asked for, or else of the next one, or for the container to be forgotten. It returns the
// last exit then, nil when it has never run.
func (e *Ending) Next(ctx context.Context) (*Exit, error) {
	return e.await(ctx, func() bool {
		over := e.u.state == Ended || e.u.state == Backoff
		if e.runs {
			return over || e.u.run > e.run
		}
		return e.u.run > e.run && (over || e.u.run > e.run+1)
	})
}

// Forgotten waits until the container is deleted. It returns as Next.
func (e *Ending) Forgotten(ctx context.Context) (*Exit, error) {
	return e.await(ctx, func() bool { return false })
}

func (e *Ending) await(ctx context.Context, over func() bool) (*Exit, error) {
	for {
		e.g.mu.Lock()
		done, exit, changed := e.u.forgotten || over(), e.u.exit, e.u.changed
		e.g.mu.Unlock()
		if done {
			return exit, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-e.g.ctx.Done():
			return nil, context.Cause(e.g.ctx)
		case <-changed:
		}
	}
}

// Configure gives a container that is known another Config, for what is decided from now on. Its health check is that of its run until the next.
func (g *Group) Configure(id string, cfg Config) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if u := g.units[id]; u != nil {
		u.cfg = cfg
	}
}
