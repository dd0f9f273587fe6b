package session

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewExecCommand makes the command exec.
func NewExecCommand(run *cli.Run) *cobra.Command {
	var o ask.ExecOptions
	var noTTY, interactive, tty bool
	cmd := &cobra.Command{
		Use:   "exec [OPTIONS] SERVICE COMMAND [ARGS...]",
		Short: "Run a command in a container that runs",
		Long: `Runs a command in a running container of the service, with a terminal when there is one here. It ends
with the command's exit code.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 {
				return fmt.Errorf("exec needs a service and a command")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Service, o.Args = args[0], args[1:]
			o.Env = run.Env.Resolve(o.Env)
			if cmd.Flags().Changed("tty") && !tty {
				noTTY = true
			}
			return execIn(cmd.Context(), run, o, noTTY, interactive)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // flags after SERVICE are the command's
	f.BoolVarP(&o.Detach, "detach", "d", false, "Do not wait for the command")
	f.StringArrayVarP(&o.Env, "env", "e", nil, "KEY=VALUE, or KEY for the value that it has here")
	f.IntVar(&o.Index, "index", 0, "Which replica of the service (default: the first that runs)")
	f.BoolVarP(&noTTY, "no-tty", "T", false, "No terminal")
	f.BoolVar(&o.Privileged, "privileged", false, "Give the command all capabilities")
	f.StringVarP(&o.User, "user", "u", "", "Run as this user: name or uid, with :group if need be")
	f.StringVarP(&o.Cwd, "workdir", "w", "", "Run in this directory of the container")
	f.BoolVarP(&interactive, "interactive", "i", true, "")
	f.BoolVarP(&tty, "tty", "t", true, "")
	f.MarkHidden("interactive") //nolint:errcheck // it exists
	f.MarkHidden("tty")         //nolint:errcheck // it exists
	return cmd
}

func execIn(ctx context.Context, run *cli.Run, o ask.ExecOptions, noTTY, interactive bool) error {
	run.Connect().Ahead() // it starts what will be the parent of the process while the file is read
	name, daemon, err := run.Reach(ctx, []string{o.Service})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.TTY = !o.Detach && interactiveTTY(run, noTTY)
	s := openSession(run, o.TTY, interactive && !o.Detach, cancel)
	defer s.restore()
	if err := s.begin(); err != nil {
		return err
	}
	o.Rows, o.Cols = s.rows, s.cols
	exit, err := daemon.Exec(ctx, name, o, s.io)
	s.restore()
	if err != nil {
		return err
	}
	return exitcode.WithProcess(exit)
}
