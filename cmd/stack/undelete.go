package main

import (
	"cmp"
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/formatter"
)

func (a *app) newRemovedCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "removed [OPTIONS]",
		Short: "List volumes that were removed and can be brought back",
		Long: `Lists the project's volumes that were removed and are kept, the latest first. How long they are is said by keep-removed-volumes in the daemon's configuration:

  keep-removed-volumes: 24h

Without it volumes that are removed are gone, and their room is free.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.onProject(cmd.Context(), func(ctx context.Context, project string) error { return a.removedVolumes(ctx, project, format) })
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json, or a Go template over the keys of json")
	return cmd
}

func (a *app) newUndeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "undelete VOLUME...",
		Short: "Bring back volumes that were removed",
		Long: `Brings back volumes of the project as they were when they were last removed, by 'down --volumes' or otherwise, if they are kept (see 'stack volumes removed --help').
A volume is named as in the file or by its own name.`,
		Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if project, _, err := a.project(cmd.Context(), nil); err == nil {
				all, _ := a.connect().RemovedVolumes(cmd.Context(), project)
				for _, v := range all {
					names = append(names, cmp.Or(v.Key, v.Name))
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, names []string) error {
			return a.onProject(cmd.Context(), func(ctx context.Context, project string) error {
				return a.connect().UndeleteVolumes(ctx, project, names, a.progress().Event)
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

func (a *app) removedVolumes(ctx context.Context, project, format string) error {
	table := format == "" || format == "table"
	if !table {
		if err := formatter.Check(format); err != nil {
			return err
		}
	}
	all, err := a.connect().RemovedVolumes(ctx, project)
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
		return formatter.WriteTable(a.out, []string{"VOLUME NAME", "REMOVED", "KEPT UNTIL"}, cells)
	}
	return formatter.Write(a.out, format, formatter.Titles([]string{"Name", "Key", "RemovedAt", "Until"}, map[string]string{"Name": "VOLUME NAME", "RemovedAt": "REMOVED", "Until": "KEPT UNTIL"}), rows)
}
