package client

import (
	"context"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
	"github.com/stackrun/stack/spec"
)

// Snapshots are those of project's volumes, the oldest first.
func (c *Client) Snapshots(ctx context.Context, project string) ([]ask.Snapshot, error) {
	var all []ask.Snapshot
	return all, c.get(ctx, path(project, "snapshots"), &all)
}

func (c *Client) SnapshotVolumes(ctx context.Context, project string, o ask.SnapshotOptions, s event.Sink) error {
	return c.verb(ctx, project, "snapshot-volumes", o, s)
}

func (c *Client) RestoreVolumes(ctx context.Context, project string, o ask.RestoreOptions, s event.Sink) error {
	return c.verb(ctx, project, "restore-volumes", o, s)
}

func (c *Client) RemoveSnapshots(ctx context.Context, project string, names []string, s event.Sink) error {
	return c.verb(ctx, project, "remove-snapshots", names, s)
}

// CloneVolume fills a volume of p with what another one has.
func (c *Client) CloneVolume(ctx context.Context, p *spec.Project, o ask.CloneOptions, s event.Sink) error {
	return c.verb(ctx, p.Name, "clone-volume", api.CloneRequest{Project: p, Options: o}, s)
}

// RemovedVolumes are those of project that can be brought back, the latest first.
func (c *Client) RemovedVolumes(ctx context.Context, project string) ([]ask.RemovedVolume, error) {
	var all []ask.RemovedVolume
	return all, c.get(ctx, path(project, "removed-volumes"), &all)
}

func (c *Client) UndeleteVolumes(ctx context.Context, project string, names []string, s event.Sink) error {
	return c.verb(ctx, project, "undelete-volumes", names, s)
}
