// Package volumes has the verb volumes and those below it: what is in volumes is kept, put back and copied.
package volumes

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewVolumesCommand makes the command volumes.
func NewVolumesCommand(run *cli.Run) *cobra.Command {
	var quiet bool
	var format string
	cmd := &cobra.Command{
		Use:   "volumes [OPTIONS] [SERVICE...]",
		Short: "List the project's volumes",
		Long: `Lists the volumes that were made for the project, named and anonymous; of services, those that their containers have, running or not.
An external volume is not the project's. The commands below it keep what is in volumes, and put it back.`,
		RunE: func(cmd *cobra.Command, services []string) error {
			return listVolumes(cmd.Context(), run, format, quiet, services)
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "table", "table, json, or a Go template over the keys of json")
	f.BoolVarP(&quiet, "quiet", "q", false, "Only names")
	addSnapshotCommands(run, cmd)
	return cmd
}

// volumeRow is a volume with the keys of docker compose's volumes --format json. Those of swarm are always N/A, and so are the two that
// docker does not look for here either.
type volumeRow struct {
	Availability string
	Driver       string
	Group        string
	Labels       string
	Links        string
	Mountpoint   string
	Name         string
	Scope        string
	Size         string
	Status       string

	labels map[string]string
}

// Label is for templates: the value of one label.
func (r volumeRow) Label(name string) string { return r.labels[name] }

var volumeKeys = []string{"Availability", "Driver", "Group", "Labels", "Links", "Mountpoint", "Name", "Scope", "Size", "Status"}

func listVolumes(ctx context.Context, run *cli.Run, format string, quiet bool, services []string) error {
	table := format == "" || format == "table"
	if !table {
		if err := formatter.Check(format); err != nil {
			return err
		}
	}
	name, daemon, err := run.Reach(ctx, services)
	if err != nil {
		return err
	}
	all, err := daemon.Volumes(ctx, name)
	if err != nil {
		return err
	}
	var rows []volumeRow
	for _, v := range all {
		if len(services) == 0 || slices.ContainsFunc(v.Services, func(s string) bool { return slices.Contains(services, s) }) {
			rows = append(rows, newVolumeRow(v))
		}
	}
	switch {
	case quiet:
		names := make([]string, len(rows))
		for i, r := range rows {
			names[i] = r.Name
		}
		return formatter.WriteLines(run.Out, names)
	case table:
		var cells [][]string
		for _, r := range rows {
			cells = append(cells, []string{r.Driver, r.Name})
		}
		return formatter.WriteTable(run.Out, []string{"DRIVER", "VOLUME NAME"}, cells)
	}
	return formatter.Write(run.Out, format, formatter.Titles(volumeKeys, map[string]string{"Name": "VOLUME NAME"}), rows)
}

func newVolumeRow(v ask.Volume) volumeRow {
	const none = "N/A"
	return volumeRow{
		Availability: none, Driver: v.Driver, Group: none, Labels: formatter.Labels(v.Labels), Links: none, Mountpoint: v.Path, Name: v.Name, Scope: "local",
		Size: none, Status: none, labels: v.Labels,
	}
}
