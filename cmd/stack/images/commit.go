package images

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewCommitCommand makes the command commit.
func NewCommitCommand(run *cli.Run) *cobra.Command {
	var o ask.CommitOptions
	pause := true
	cmd := &cobra.Command{
		Use:   "commit [OPTIONS] SERVICE [REPOSITORY[:TAG]]",
		Short: "Make an image of what a container has changed",
		Long: `Makes an image of a container of the service, which may run or not: its image, what the container has written on its own as one more layer, and the command,
environment, user and labels that the file gives it. What is mounted in it, its volumes among others, is no part of the image. Prints the image's id.

--change takes instructions of a Dockerfile: CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME, WORKDIR.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return fmt.Errorf("commit needs one service, and at most one name for the image")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Service, o.NoPause = args[0], !pause
			if len(args) > 1 {
				o.Ref = args[1]
			}
			return commitContainer(cmd.Context(), run, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.Author, "author", "a", "", `Who has made it (e.g. "Hannibal Smith <hannibal@a-team.com>")`)
	f.StringArrayVarP(&o.Changes, "change", "c", nil, "Change the image's configuration by an instruction of a Dockerfile; may be given several times")
	f.IntVar(&o.Index, "index", 0, "Which replica of the service (default: the first)")
	f.StringVarP(&o.Comment, "message", "m", "", "What the image's history says of it")
	f.BoolVarP(&pause, "pause", "p", true, "Pause the container meanwhile")
	return cmd
}

func commitContainer(ctx context.Context, run *cli.Run, o ask.CommitOptions) error {
	if o.Index < 0 {
		return fmt.Errorf("--index %d: expected a positive number", o.Index)
	}
	name, daemon, err := run.Reach(ctx, []string{o.Service})
	if err != nil {
		return err
	}
	img, err := daemon.Commit(ctx, name, o, run.Progress().Event)
	if err != nil {
		return err
	}
	run.EndProgress()
	_, err = fmt.Fprintln(run.Out, img.ID)
	return err
}
