package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewRmCommand makes the command rm.
func NewRmCommand(run *cli.Run) *cobra.Command {
	var o ask.ServiceOptions
	var force, all bool
	cmd := &cobra.Command{
		Use:   "rm [OPTIONS] [SERVICE...]",
		Short: "Remove stopped containers",
		Long:  "Removes stopped containers, after asking. Volumes stay; -v removes anonymous ones.",
		RunE: func(cmd *cobra.Command, services []string) error {
			return removeContainers(cmd.Context(), run, services, o, force)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&force, "force", "f", false, "Do not ask")
	f.BoolVarP(&o.Stop, "stop", "s", false, "Stop the containers first")
	f.BoolVarP(&o.Volumes, "volumes", "v", false, "Remove anonymous volumes of the containers, too")
	f.BoolVarP(&all, "all", "a", false, "")
	f.MarkHidden("all") //nolint:errcheck // it exists
	return cmd
}

func removeContainers(ctx context.Context, run *cli.Run, services []string, o ask.ServiceOptions, force bool) error {
	all, err := run.Containers(ctx, services)
	if err != nil {
		return err
	}
	var names []string
	for _, c := range all {
		stopped := c.State != "running" && c.State != "restarting" && c.State != "paused"
		if (o.Stop || stopped) && (len(services) == 0 || slices.Contains(services, c.Service)) && !c.OneOff {
			names = append(names, c.Name)
		}
	}
	if len(names) == 0 {
		fmt.Fprintln(run.Err, "No stopped containers")
		return nil
	}
	if !force {
		fmt.Fprintf(run.Err, "Going to remove %s\n", strings.Join(names, ", "))
		if !run.Confirm("Are you sure?") {
			return nil
		}
	}
	return act(ctx, run, services, o, (*client.Client).Remove)
}
