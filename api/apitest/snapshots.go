package apitest

import (
	"context"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
)

// OnSnapshots are what an Engine does with what is in volumes.
type OnSnapshots struct {
	OnList    func(context.Context, string) ([]ask.Snapshot, error)
	OnTake    func(context.Context, string, ask.SnapshotOptions, event.Sink) error
	OnRestore func(context.Context, string, ask.RestoreOptions, event.Sink) error
	OnRemove  func(context.Context, string, []string, event.Sink) error
	OnClone   func(context.Context, *spec.Project, ask.CloneOptions, event.Sink) error

	OnRemoved  func(context.Context, string) ([]ask.RemovedVolume, error)
	OnUndelete func(context.Context, string, []string, event.Sink) error
}

func (e *OnSnapshots) RemovedVolumes(ctx context.Context, project string) ([]ask.RemovedVolume, error) {
	if e.OnRemoved == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnRemoved(ctx, project)
}

func (e *OnSnapshots) UndeleteVolumes(ctx context.Context, project string, names []string, s event.Sink) error {
	if e.OnUndelete == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnUndelete(ctx, project, names, s)
}

func (e *OnSnapshots) Snapshots(ctx context.Context, project string) ([]ask.Snapshot, error) {
	if e.OnList == nil {
		return nil, errdefs.ErrNotSupported
	}
	return e.OnList(ctx, project)
}

func (e *OnSnapshots) SnapshotVolumes(ctx context.Context, project string, o ask.SnapshotOptions, s event.Sink) error {
	if e.OnTake == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnTake(ctx, project, o, s)
}

func (e *OnSnapshots) RestoreVolumes(ctx context.Context, project string, o ask.RestoreOptions, s event.Sink) error {
	if e.OnRestore == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnRestore(ctx, project, o, s)
}

func (e *OnSnapshots) RemoveSnapshots(ctx context.Context, project string, names []string, s event.Sink) error {
	if e.OnRemove == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnRemove(ctx, project, names, s)
}

func (e *OnSnapshots) CloneVolume(ctx context.Context, p *spec.Project, o ask.CloneOptions, s event.Sink) error {
	if e.OnClone == nil {
		return errdefs.ErrNotSupported
	}
	return e.OnClone(ctx, p, o, s)
}
