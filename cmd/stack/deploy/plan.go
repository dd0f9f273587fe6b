package deploy

import (
	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
)

// NewPlanCommand makes the command plan.
func NewPlanCommand(run *cli.Run) *cobra.Command {
	var u upFlags
	cmd := &cobra.Command{
		Use:   "plan [OPTIONS] [SERVICE...]",
		Short: "Say what up would do and why, and change nothing",
		Long: `Says what 'stack up' with the same options would do, and why: each field that differs, on this host and in the
file. Values of variables named like a secret are left out. No registry is asked: an image that is not on this host is one that would be
pulled, and where a pull policy wants a look at the registry, that is all that can be said.

With -o the plan is saved, too (- is stdout), and 'stack apply FILE' carries out exactly that, or nothing if this host has changed since. Images
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
