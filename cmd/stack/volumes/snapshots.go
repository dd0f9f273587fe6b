package volumes

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

// addSnapshotCommands gives volumes its verbs.
func addSnapshotCommands(run *cli.Run, volumes *cobra.Command) {
	snapshots := newSnapshotsCommand(run)
	volumes.AddCommand(newSnapshotCommand(run), snapshots, newRestoreVolumesCommand(run), newCloneCommand(run), newRemovedCommand(run), newUndeleteCommand(run))
	for _, c := range append(volumes.Commands(), snapshots.Commands()...) {
		c.DisableFlagsInUseLine = true // each says where its own stand
	}
}

func newSnapshotCommand(run *cli.Run) *cobra.Command {
	var o ask.SnapshotOptions
	var timeout int
	cmd := &cobra.Command{
		Use:   "snapshot [OPTIONS] [VOLUME|SERVICE...]",
		Short: "Keep what is in volumes, to go back to",
		Long: `Copies what is in volumes of the project as it is at one moment, without an argument in all of them. A volume is named as in the file or by its own name;
a service stands for all that its containers have.

Containers that have one of the volumes are paused meanwhile, with --stop stopped and started again. Where the file system can share blocks (btrfs, xfs) the copy
takes no room and no time to speak of. Sockets are left out: nobody listens at a copy.

Snapshots stay until 'stack volumes snapshots rm', also when the project or the volumes are removed.`,
		ValidArgsFunction: completeVolumes(run),
		RunE: func(cmd *cobra.Command, volumes []string) error {
			o.Volumes, o.Timeout = volumes, cli.Timeout(cmd, timeout)
			return onProject(cmd.Context(), run, func(ctx context.Context, project string) error {
				return run.Connect().SnapshotVolumes(ctx, project, o, run.Progress().Event)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.Name, "name", "", "Name of the snapshot (default: the time, 20060102-150405 in UTC)")
	f.BoolVar(&o.Stop, "stop", false, "Stop containers that have the volumes instead of pausing them, and start them again")
	f.IntVarP(&timeout, "timeout", "t", 0, "With --stop: seconds that a container has to stop in (default: its own stop_grace_period)")
	return cmd
}

func newSnapshotsCommand(run *cli.Run) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "snapshots [OPTIONS]",
		Short: "List the project's snapshots, the oldest first",
		Args:  cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return onProject(cmd.Context(), run, func(ctx context.Context, project string) error { return listSnapshots(ctx, run, project, format) })
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json, or a Go template over the keys of json")
	cmd.AddCommand(&cobra.Command{
		Use:               "rm SNAPSHOT...",
		Short:             "Remove snapshots",
		Args:              cli.Arguments(1, -1),
		ValidArgsFunction: completeSnapshots(run, true),
		RunE: func(cmd *cobra.Command, names []string) error {
			return onProject(cmd.Context(), run, func(ctx context.Context, project string) error {
				return run.Connect().RemoveSnapshots(ctx, project, names, run.Progress().Event)
			})
		},
	})
	return cmd
}

func newRestoreVolumesCommand(run *cli.Run) *cobra.Command {
	var o ask.RestoreOptions
	var timeout int
	cmd := &cobra.Command{
		Use:   "restore [OPTIONS] SNAPSHOT [VOLUME|SERVICE...]",
		Short: "Give volumes what a snapshot has",
		Long: `Puts what was in volumes at a snapshot in the place of what is in them now, which goes: in all of the snapshot, or those that are named. All are restored or none, also when the
daemon is killed meanwhile. A volume that was removed is made again.

What has one of them must not run. With --stop the project's own containers are stopped, dependents first, and started again, what they depend on first.`,
		Args:              cli.Arguments(1, -1),
		ValidArgsFunction: completeSnapshots(run, false),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Name, o.Volumes, o.Timeout = args[0], args[1:], cli.Timeout(cmd, timeout)
			return onProject(cmd.Context(), run, func(ctx context.Context, project string) error {
				return run.Connect().RestoreVolumes(ctx, project, o, run.Progress().Event)
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.Stop, "stop", false, "Stop containers that have the volumes, and start them again")
	f.IntVarP(&timeout, "timeout", "t", 0, "With --stop: seconds that a container has to stop in (default: its own stop_grace_period)")
	return cmd
}

func newCloneCommand(run *cli.Run) *cobra.Command {
	var o ask.CloneOptions
	cmd := &cobra.Command{
		Use:   "clone [OPTIONS] SOURCE [TARGET]",
		Short: "Fill a volume with what another one has",
		Long: `Copies what is in volume SOURCE, of this project or of the one that --from names, into volume TARGET of this project's file, which is made as 'up' would make it. Without TARGET it is
the one of the same name.

For a branch with a database of its own, in a second worktree of a repository, before its first up:

  stack --isolated volumes clone --from shop data

Containers that have SOURCE are paused meanwhile; none that runs may have TARGET.`,
		Args:              cli.Arguments(1, 2),
		ValidArgsFunction: completeVolumes(run),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Source, o.Target = args[0], args[len(args)-1]
			if len(args) == 1 && o.From == "" {
				return fmt.Errorf("name the volume of this project that %s is to be copied to, or with --from the project that it is of", o.Source)
			}
			p, err := run.LoadFor(cmd.Context(), spec.ToManage, nil)
			if err != nil {
				return err
			}
			return run.Connect().CloneVolume(cmd.Context(), p, o, run.Progress().Event)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.From, "from", "", "The project that has SOURCE, as 'stack ls' calls it (default: this one)")
	f.BoolVar(&o.Replace, "replace", false, "Also when there is a volume TARGET: what is in it goes")
	return cmd
}

// onProject calls do with the name of the project that is meant.
func onProject(ctx context.Context, run *cli.Run, do func(ctx context.Context, project string) error) error {
	name, _, err := run.Project(ctx, nil)
	if err != nil {
		return err
	}
	return do(ctx, name)
}

// snapshotRow is a snapshot for people and templates.
type snapshotRow struct {
	Name      string
	CreatedAt string
	Volumes   string // by their keys in the file, or else their names

}

func listSnapshots(ctx context.Context, run *cli.Run, project, format string) error {
	table := format == "" || format == "table"
	if !table {
		if err := formatter.Check(format); err != nil {
			return err
		}
	}
	all, err := run.Connect().Snapshots(ctx, project)
	if err != nil {
		return err
	}
	var rows []snapshotRow
	var cells [][]string
	for _, s := range all {
		var names []string
		for _, v := range s.Volumes {
			if v.Key != "" {
				names = append(names, v.Key)
			} else {
				names = append(names, v.Name)
			}
		}
		r := snapshotRow{Name: s.Name, CreatedAt: s.CreatedAt.Format(time.RFC3339), Volumes: strings.Join(names, ",")}
		rows = append(rows, r)
		cells = append(cells, []string{r.Name, s.CreatedAt.Local().Format(time.DateTime), r.Volumes})
	}
	if table {
		return formatter.WriteTable(run.Out, []string{"SNAPSHOT", "CREATED", "VOLUMES"}, cells)
	}
	return formatter.Write(run.Out, format, formatter.Titles([]string{"Name", "CreatedAt", "Volumes"}, map[string]string{"Name": "SNAPSHOT", "CreatedAt": "CREATED"}), rows)
}

// completeVolumes makes shells complete the file's volumes, and services, which stand for theirs.
func completeVolumes(run *cli.Run) cobra.CompletionFunc {
	return func(cmd *cobra.Command, before []string, _ string) ([]string, cobra.ShellCompDirective) {
		names := run.Services(cmd, nil)
		if _, p, err := run.Project(cmd.Context(), nil); err == nil && p != nil {
			names = append(names, slices.Sorted(maps.Keys(p.Volumes))...)
		}
		slices.Sort(names)
		return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return slices.Contains(before, n) }), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeSnapshots makes shells complete names of snapshots: as the first argument, or as all.
func completeSnapshots(run *cli.Run, all bool) cobra.CompletionFunc {
	return func(cmd *cobra.Command, before []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(before) > 0 && !all {
			return completeVolumes(run)(cmd, before[1:], "")
		}
		name, _, err := run.Project(cmd.Context(), nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		have, err := run.Connect().Snapshots(cmd.Context(), name)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, s := range have {
			names = append(names, s.Name+"\t"+strconv.Itoa(len(s.Volumes))+" volumes, "+s.CreatedAt.Local().Format(time.DateTime))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
