package lifecycle

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/event"
)

// NewWaitCommand makes the command wait.
func NewWaitCommand(run *cli.Run) *cobra.Command {
	var down bool
	cmd := &cobra.Command{
		Use:   "wait [OPTIONS] SERVICE [SERVICE...]",
		Short: "Wait until containers of services end, and tell their exit codes",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fmt.Errorf("wait needs a service")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, services []string) error {
			return awaitContainers(cmd.Context(), run, services, down)
		},
	}
	cmd.Flags().BoolVar(&down, "down-project", false, "Take the project down when the first container ends")
	return cmd
}

func awaitContainers(ctx context.Context, run *cli.Run, services []string, down bool) error {
	name, daemon, err := run.Reach(ctx, services)
	if err != nil {
		return err
	}
	code, err := awaitExits(ctx, run, daemon, name, services, down)
	if err != nil {
		return err
	}
	if down {
		if err := daemon.Down(ctx, name, ask.DownOptions{}, run.Progress().Event); err != nil {
			return err
		}
	}
	return exitcode.With(code)
}

// awaitExits tells of each container of services as it ends, and gives the code of the last; of the first when
// one is enough.
func awaitExits(ctx context.Context, run *cli.Run, daemon *client.Client, project string, services []string, first bool) (code int, err error) {
	following, stop := context.WithCancel(ctx)
	defer stop()
	changed := make(chan struct{}, 1)
	lost := make(chan error, 1)
	go func() {
		lost <- daemon.Events(following, project, event.Window{}, func(event.Event) {
			select {
			case changed <- struct{}{}:
			default:
			}
		})
	}()
	told := map[string]bool{}
	for {
		all, err := daemon.Containers(ctx, project)
		if err != nil {
			return 0, err
		}
		waiting, found := false, false
		for _, c := range all {
			if c.OneOff || !slices.Contains(services, c.Service) {
				continue
			}
			found = true
			if c.State != "exited" || c.Exit == nil {
				waiting = true
				continue
			}
			if !told[c.ID] {
				told[c.ID] = true
				code = c.Exit.Code
				if _, err := fmt.Fprintf(run.Out, "container %q exited with status code %d\n", c.ID, code); err != nil {
					return 0, err
				}
				if first {
					return code, nil
				}
			}
		}
		if !found {
			return 0, fmt.Errorf("no containers for project %q and these services", project)
		}
		if !waiting {
			return code, nil
		}
		select {
		case <-changed:
		case err := <-lost:
			return 0, err
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}
