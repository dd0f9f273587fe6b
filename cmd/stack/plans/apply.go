package plans

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/reconcile/ask"
)

type applyFlags struct {
	wait        bool
	waitTimeout int
	quietPull   bool
}

// NewApplyCommand makes the command apply.
func NewApplyCommand(run *cli.Run) *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply [OPTIONS] FILE",
		Short: "Carry out a plan that 'stack plan -o' has saved, exactly that or nothing",
		Long: `Does what the plan in FILE says, and returns when everything is started. FILE is what 'stack plan -o FILE' has written; - reads it from
stdin. The Compose file is not read again: the plan has the project in it, as the options before 'plan' have made it, so -f, --profile and the
like are refused here, and so is -p with another project's name.

If this host is not what it was when the plan was made (a container has ended, an image has another content, the file of a secret has
changed, ...), each difference is named and nothing is done. A plan of another host, of another version of stack, or one that somebody
has edited, is refused.`,
		Args:        oneFile,
		Annotations: map[string]string{cli.NoProject: "true"},
		RunE:        func(cmd *cobra.Command, args []string) error { return applyPlan(cmd.Context(), run, f, args[0]) },
	}
	cmd.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault // files
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.wait, "wait", false, "Return when everything runs and is healthy")
	flags.IntVar(&f.waitTimeout, "wait-timeout", 0, "With --wait: give up after this many seconds")
	flags.BoolVar(&f.quietPull, "quiet-pull", false, "Do not show the progress of pulls")
	return cmd
}

func oneFile(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("expected the file of one plan, see 'stack plan --help'")
	}
	return nil
}

func applyPlan(ctx context.Context, run *cli.Run, f applyFlags, path string) error {
	switch {
	case f.waitTimeout != 0 && !f.wait:
		return fmt.Errorf("--wait-timeout needs --wait")
	case f.waitTimeout < 0:
		return fmt.Errorf("--wait-timeout %d: expected a number of seconds", f.waitTimeout)
	}
	if given := ofTheFile(run); given != "" {
		return fmt.Errorf("cannot apply a plan with %s: it has the project in it, and no Compose file is read; give that to `stack plan -o FILE`", given)
	}
	file, err := readPlan(run, path)
	if err != nil {
		return fmt.Errorf("cannot read the plan: %w", err)
	}
	run.Past = true
	daemon := run.Connect()
	return daemon.Apply(ctx, file, ask.ApplyOptions{
		Project: run.Flags.Name, Command: run.Command(), Wait: f.wait, WaitTimeout: time.Duration(f.waitTimeout) * time.Second, Parallel: run.Flags.Parallel, Offline: run.Offline(),
	}, run.ImageFilter(f.quietPull, false))
}

// ofTheFile is a global option that the user has given and that says how a Compose file is read, "" = none.
func ofTheFile(run *cli.Run) string {
	for _, o := range []struct {
		name  string
		given bool
	}{
		{"-f", len(run.Flags.Files) > 0}, {"--profile", len(run.Flags.Profiles) > 0}, {"--env-file", len(run.Flags.EnvFiles) > 0}, {"--project-directory", run.Flags.ProjectDir != ""},
		{"--isolated", run.Flags.Isolated != nil}, {"--all-resources", run.Flags.AllResources},
	} {
		if o.given {
			return o.name
		}
	}
	return ""
}

// readPlan reads the file at path, or stdin.
func readPlan(run *cli.Run, path string) ([]byte, error) {
	in := run.In
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, ask.MaxSaved+1))
	if err == nil && len(text) > ask.MaxSaved {
		err = errors.New("it is too large for one")
	}
	return text, err
}
