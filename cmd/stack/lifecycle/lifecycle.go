// Package lifecycle has the verbs that act on what is there and make nothing new: down, kill, pause, restart, rm, start, stop, unpause and wait.
package lifecycle

import (
	"context"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
)

// act is what stop, start, restart, kill and rm have in common.
func act(ctx context.Context, run *cli.Run, services []string, o ask.ServiceOptions,
	do func(*client.Client, context.Context, string, ask.ServiceOptions, event.Sink) error) error {
	name, file, err := run.Project(ctx, services)
	if err != nil {
		return err
	}
	o.Services, o.Known = services, file != nil
	return do(run.Connect(), ctx, name, o, run.Progress().Event)
}
