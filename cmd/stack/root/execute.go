package root

import (
	"context"
	"errors"
	"os"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/exitcode"
)

// Execute is the whole command but os.Exit.
func Execute(run *cli.Run, args []string) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	run.Interrupts.Handle(func(os.Signal) {
		cancel()
		run.Interrupts.Handle(func(os.Signal) { os.Exit(exitcode.Cancelled) })
	})
	run.Words = args
	root := newRoot(run)
	args, verb := joinValues(root, args)
	addVerbs(run, root, verb)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	run.EndProgress()
	return exitCode(ctx, run, err)
}

// exitCode prints err and says which exit code it means.
func exitCode(ctx context.Context, run *cli.Run, err error) int {
	var exit *exitcode.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if exit.Err != nil && !errors.Is(exit.Err, context.Canceled) {
			run.PrintError(exit.Err)
		}
		return exit.Code
	case ctx.Err() != nil, errors.Is(err, context.Canceled):
		return exitcode.Cancelled
	}
	run.PrintError(err)
	return exitcode.Failed
}
