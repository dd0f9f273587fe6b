package host

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewGCCommand makes the command gc.
func NewGCCommand(run *cli.Run) *cobra.Command {
	var o ask.GCOptions
	var format string
	cmd := &cobra.Command{
		Use:   "gc [OPTIONS]",
		Short: "Remove what no project, container or image name has any more",
		Long: `Finds and removes what nothing has any more: snapshots, network namespaces, links and cgroups without a container, half-made
layers and volumes, layers and images without a name that no container uses, and logs of projects that are gone. On a healthy host it
finds nothing but images that have lost their name to a newer pull: what a killed daemon leaves, the next one removes when it starts.

Volumes that were removed and kept (keep-removed-volumes) go when their time is over. It never touches other volumes, snapshots, images that have a name, or anything of another instance of stack. It waits until no other command works.

Exit codes: 0 done, or with --check nothing was found; 2 with --check something was; 1 an error.`,
		Args:        cli.NoArgs,
		Annotations: map[string]string{cli.NoProject: "true"},
		RunE:        func(cmd *cobra.Command, _ []string) error { return collect(cmd.Context(), run, o, format) },
	}
	cmd.Flags().BoolVar(&o.Check, "check", false, "Remove nothing: say what is there")
	cmd.Flags().StringVar(&format, "format", formatter.Text, "text or json")
	return cmd
}

func collect(ctx context.Context, run *cli.Run, o ask.GCOptions, format string) error {
	if err := formatter.CheckTextOrJSON(format); err != nil {
		return err
	}
	daemon := run.Connect()
	found, err := daemon.GC(ctx, o)
	if err != nil {
		return err
	}
	for _, why := range found.Skipped {
		run.Warn("%s", why)
	}
	if format == formatter.JSON {
		err = formatter.WriteJSON(run.Out, found)
	} else {
		err = gcText(run, found)
	}
	if err == nil && o.Check && len(found.Found) > 0 {
		return &exitcode.Error{Code: exitcode.Differs}
	}
	return err
}

func gcText(run *cli.Run, found *ask.Garbage) error {
	for _, d := range found.Found {
		fmt.Fprintf(run.Out, "%s: %s\n", d.Name, d.Why)
	}
	var err error
	switch n := len(found.Found); {
	case n == 0:
		_, err = fmt.Fprintln(run.Out, "nothing to remove")
	case found.Removed:
		_, err = fmt.Fprintf(run.Out, "%d removed\n", n)
	default:
		_, err = fmt.Fprintf(run.Out, "%d to remove\n", n)
	}
	return err
}
