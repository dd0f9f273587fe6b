package volumes

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
)

func newRemovedCommand(run *cli.Run) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "removed [OPTIONS]",
		Short: "List volumes that were removed and can be brought back",
		Long: `Lists the project's volumes that were removed and are kept, the latest first. How long they are is said by keep-removed-volumes in the daemon's configuration:

  keep-removed-volumes: 24h

Without it volumes that are removed are gone, and their room is free.`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return onProject(cmd.Context(), run, func(ctx context.Context, project string) error { return removedVolumes(ctx, run, project, format) })
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json, or a Go template over the keys of json")
	return cmd
}

func newUndeleteCommand(run *cli.Run) *cobra.Command {
	return &cobra.Command{
		Use:   "undelete VOLUME...",
		Short: "Bring back volumes that were removed",
		Long: `Brings back volumes of the project as they were when they were last removed, by 'down --volumes' or otherwise, if they are kept (see 'stack volumes removed --help').
A volume is named as in the file or by its own name.`,
		Args: cli.Arguments(1, -1),
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if project, _, err := run.Project(cmd.Context(), nil); err == nil {
				all, _ := run.Connect().RemovedVolumes(cmd.Context(), project)
				for _, v := range all {
					names = append(names, cmp.Or(v.Key, v.Name))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			return onProject(cmd.Context(), run, func(ctx context.Context, project string) error {
				return run.Connect().UndeleteVolumes(ctx, project, names, run.Progress().Event)
			})
		},
	}
}

// removedRow is a removed volume for people and templates.
type removedRow struct {
	Name      string
	Key       string // in the file
	RemovedAt string
	Until     string
}

func removedVolumes(ctx context.Context, run *cli.Run, project, format string) error {
	table := format == "" || format == "table"
	if !table {
		if err := formatter.Check(format); err != nil {
			return err
		}
	}
	all, err := run.Connect().RemovedVolumes(ctx, project)
	if err != nil {
		return err
	}
	var rows []removedRow
	var cells [][]string
	for _, v := range all {
		rows = append(rows, removedRow{v.Name, v.Key, v.RemovedAt.Format(time.RFC3339), v.Until.Format(time.RFC3339)})
		cells = append(cells, []string{v.Name, v.RemovedAt.Local().Format(time.DateTime), v.Until.Local().Format(time.DateTime)})
	}
	if table {
		return formatter.WriteTable(run.Out, []string{"VOLUME NAME", "REMOVED", "KEPT UNTIL"}, cells)
	}
	return formatter.Write(run.Out, format, formatter.Titles([]string{"Name", "Key", "RemovedAt", "Until"}, map[string]string{"Name": "VOLUME NAME", "RemovedAt": "REMOVED", "Until": "KEPT UNTIL"}), rows)
}
