package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/console"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/spec"
)

func newPlanCommand(run *cli.Run) *cobra.Command {
	var u upFlags
	cmd := &cobra.Command{
		Use:   "plan [OPTIONS] [SERVICE...]",
		Short: "Say what up would do and why, and change nothing",
		Long: `Says what 'stack up' with the same options would do, and why: each field that differs, on this host and in the
file. Values of variables named like a secret are left out. No registry is asked: an image that is not on this host is one that would be
pulled, and where a pull policy wants a look at the registry, that is all that can be said.

With -o the plan is saved, too, and 'stack apply FILE' carries out exactly that, or nothing if this host has changed since. Images
that are here are then taken as they are. The file holds the whole project, with the values of its variables and the content of its
configs and secrets, and is for its owner alone.

Exit codes: 0 nothing would be done, 2 something would, 1 an error, also one for which up would refuse.`,
		RunE: func(cmd *cobra.Command, services []string) error {
			u.changed, u.dryRun = cmd.Flags().Changed, true
			return bringUp(cmd.Context(), run, u, services)
		},
	}
	u.planFlags.add(cmd)
	f := cmd.Flags()
	for _, name := range []string{"quiet-pull", "yes"} { // a line made for up is one for plan
		f.MarkHidden(name) //nolint:errcheck // it exists
	}
	u.addRecreation(cmd)
	f.BoolVar(&u.noStart, "no-start", false, "What would be done to create only")
	f.StringVar(&u.format, "format", formatter.Text, "text or json")
	f.StringVarP(&u.output, "output", "o", "", "Save the plan in this file, for 'stack apply'")
	return cmd
}

// addRecreation defines the flags of up that change what is to be recreated.
func (u *upFlags) addRecreation(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&u.noDeps, "no-deps", false, "Leave services alone that the named ones depend on")
	f.BoolVar(&u.alwaysRecreateDeps, "always-recreate-deps", false, "Recreate what the named services depend on, too")
	f.BoolVarP(&u.renewAnon, "renew-anon-volumes", "V", false, "Give recreated containers new anonymous volumes")
}

// showPlanOf shows what up would do, and saves it if it is to.
func showPlanOf(ctx context.Context, run *cli.Run, daemon *client.Client, p *spec.Project, o ask.UpOptions, u upFlags) error {
	if u.output != "" {
		saved, err := daemon.Save(ctx, p, o)
		if err != nil {
			return err
		}
		if saved.File != nil {
			// Whoever reads it reads the project's secrets.
			if err := atomicfile.Write(u.output, saved.File, 0o600, atomicfile.Sync); err != nil {
				return fmt.Errorf("cannot save the plan: %w", err)
			}
		}
		return showPlan(run, saved.Preview, u.format)
	}
	found, err := daemon.Plan(ctx, p, o)
	if err != nil {
		return err
	}
	return showPlan(run, found, u.format)
}

// showPlan prints a plan, and ends the command with what it comes to.
func showPlan(run *cli.Run, found *ask.Preview, format string) error {
	run.PrintWarnings(found.Warnings)
	if err := writePreview(run.Out, found, format, planText); err != nil {
		return err
	}
	switch {
	case len(found.Faults) > 0:
		return console.Faults(found.Faults)
	case len(found.Changes) > 0:
		return &exitcode.Error{Code: exitcode.Differs}
	}
	return nil
}
