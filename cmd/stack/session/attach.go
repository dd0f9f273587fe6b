package session

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/cmd/stack/terminal"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
)

type attachFlags struct {
	keys              string
	index             int
	noStdin, sigProxy bool
}

// NewAttachCommand makes the command attach.
func NewAttachCommand(run *cli.Run) *cobra.Command {
	var f attachFlags
	cmd := &cobra.Command{
		Use:   "attach [OPTIONS] SERVICE",
		Short: "Connect to the input and output of a container that runs",
		Long: `Shows what the service's container writes from now on, and gives it what is typed, if the file says stdin_open. It ends with the container,
and with its exit code. The end of the input here is not the end of the container's.

Where the file says tty, Ctrl-P Ctrl-Q (or --detach-keys) leaves the container running. Elsewhere Ctrl-C goes to the container, but for a third
one, which ends this command only; with --sig-proxy=false the first does.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("attach needs one service")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return attachTo(cmd.Context(), run, f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.keys, "detach-keys", detachDefault, "Keys that leave the container's terminal")
	flags.IntVar(&f.index, "index", 0, "Which replica of the service (default: the first that runs)")
	flags.BoolVar(&f.noStdin, "no-stdin", false, "Output only")
	flags.BoolVar(&f.sigProxy, "sig-proxy", true, "Send SIGINT and SIGTERM on to a container without a terminal")
	return cmd
}

// errDetached is that the keys were typed.
var errDetached = errors.New("detached")

func attachTo(ctx context.Context, run *cli.Run, f attachFlags, service string) error {
	if f.keys == "" {
		f.keys = detachDefault
	}
	keys, err := parseDetachKeys(f.keys)
	if err != nil {
		return err
	}
	name, daemon, err := run.Reach(ctx, []string{service})
	if err != nil {
		return err
	}
	all, err := daemon.Containers(ctx, name)
	if err != nil {
		return err
	}
	c, err := replicaThatRuns(all, service, f.index)
	if err != nil {
		return err
	}
	o := ask.AttachOptions{Service: service, Index: f.index, Stdin: c.StdinOpen && !f.noStdin}
	if c.TTY && o.Stdin && terminal.Of(run.In) == nil {
		return fmt.Errorf("cannot attach to container %s: it has a terminal, and here is none to type at; --no-stdin shows its output", c.Name)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var s *session
	switch {
	case c.TTY && !o.Stdin: // nobody types: Ctrl-C is ours
		s = &session{io: process.IO{Stdout: run.Out, Stderr: run.Err}, begin: func() error { return nil }, restore: func() {}}
		if t := terminal.Of(run.Out); t != nil {
			stop := s.follow(t)
			defer stop()
		}
	default:
		s = openSession(run, c.TTY, o.Stdin, func() { cancel(context.Canceled) })
		if !c.TTY && !f.sigProxy {
			s.begin = func() error { return nil }
		}
	}
	defer s.restore()
	if c.TTY && o.Stdin {
		s.io.Stdin = &detachable{r: s.io.Stdin, keys: keys, detach: func() { cancel(errDetached) }}
	}
	if err := s.begin(); err != nil {
		return err
	}
	o.Rows, o.Cols = s.rows, s.cols
	exit, err := daemon.Attach(ctx, name, o, s.io)
	s.restore()
	switch {
	case context.Cause(ctx) == errDetached:
		fmt.Fprintf(run.Err, "\ndetached from container %s, which runs on\n", c.Name)
		return nil
	case err != nil:
		return err
	}
	return exitcode.WithProcess(exit)
}

// replicaThatRuns is replica, of those that run where no number is asked for.
func replicaThatRuns(all []ask.Container, service string, index int) (ask.Container, error) {
	if index == 0 {
		var running []ask.Container
		for _, c := range all {
			if c.State == "running" {
				running = append(running, c)
			}
		}
		if c, err := selection.Replica(running, service, 0); err == nil {
			return c, nil
		}
	}
	return selection.Replica(all, service, index)
}
