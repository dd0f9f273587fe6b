package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/reconcile/ask"
)

func newGCCommand(a *app) *cobra.Command {
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
		Args:        cobra.NoArgs,
		Annotations: map[string]string{noProject: "true"},
		RunE:        func(cmd *cobra.Command, _ []string) error { return a.gc(cmd.Context(), o, format) },
	}
	cmd.Flags().BoolVar(&o.Check, "check", false, "Remove nothing: say what is there")
	cmd.Flags().StringVar(&format, "format", formatter.Text, "text or json")
	return cmd
}

func (a *app) gc(ctx context.Context, o ask.GCOptions, format string) error {
	if err := formatter.CheckTextOrJSON(format); err != nil {
		return err
	}
	daemon := a.connect()
	found, err := daemon.GC(ctx, o)
	if err != nil {
		return err
	}
	for _, why := range found.Skipped {
		a.warn("%s", why)
	}
	if format == formatter.JSON {
		err = formatter.WriteJSON(a.out, found)
	} else {
		err = a.gcText(found)
	}
	if err == nil && o.Check && len(found.Found) > 0 {
		return &exitcode.Error{Code: exitcode.Differs}
	}
	return err
}

func (a *app) gcText(found *ask.Garbage) error {
	for _, d := range found.Found {
		fmt.Fprintf(a.out, "%s: %s\n", d.Name, d.Why)
	}
	var err error
	switch n := len(found.Found); {
	case n == 0:
		_, err = fmt.Fprintln(a.out, "nothing to remove")
	case found.Removed:
		_, err = fmt.Fprintf(a.out, "%d removed\n", n)
	default:
		_, err = fmt.Fprintf(a.out, "%d to remove\n", n)
	}
	return err
}
