package reconcile

import (
	"context"
	"io"

	"github.com/stackrun/stack/image"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
)

// Build makes the images of services, whether they are here or not, and those that they build on. It makes no container another one: the
// next up does.
func (e *Engine) Build(ctx context.Context, p *spec.Project, o ask.BuildOptions, sink event.Sink) error {
	defer e.loop.Enter()()
	if err := e.gate.Enter(ctx); err != nil {
		return err
	}
	defer e.gate.Leave()
	want, err := e.planner.Desire(p, ask.UpOptions{Offline: o.Offline})
	if err != nil {
		return err
	}
	return e.images.Build(ctx, p, want, o, sink)
}

// Pull fetches the images of services (empty = all). policy "" is always, "missing" leaves local ones alone, ask.PullOffline says which are not here.
func (e *Engine) Pull(ctx context.Context, p *spec.Project, services []string, policy string, sink event.Sink) error {
	defer e.loop.Enter()()
	want, err := e.planner.Desire(p, ask.UpOptions{})
	if err != nil {
		return err
	}
	return e.images.Pull(ctx, p, want, services, policy, sink)
}

// Push gives the images of services that are built and have a name to the registries that their names say. Every image gets its try, whatever happens to the others.
func (e *Engine) Push(ctx context.Context, p *spec.Project, o ask.PushOptions, sink event.Sink) error {
	defer e.loop.Enter()()
	want, err := e.planner.Desire(p, ask.UpOptions{})
	if err != nil {
		return err
	}
	return e.images.Push(ctx, p, want, o, sink)
}

// Load imports images from a docker-archive or OCI layout tar.
func (e *Engine) Load(ctx context.Context, r io.Reader, sink event.Sink) ([]image.Info, error) {
	defer e.loop.Enter()()
	return e.images.Load(ctx, r, sink)
}
