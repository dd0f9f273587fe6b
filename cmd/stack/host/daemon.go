// Package host has the verbs of the host and of stack itself: daemon, debug, doctor, events, gc, ls and version.
package host

import (
	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/daemon/options"
)

// NewDaemonCommand makes the command daemon.
func NewDaemonCommand(run *cli.Run) *cobra.Command {
	o := options.Options{Idle: run.Env.Idle()}
	cmd := &cobra.Command{
		Use:   "daemon [OPTIONS]",
		Short: "Hold projects up: the process behind every other command",
		Long: `Holds projects up: keeps containers as their Compose files want them, answers the other commands
and serves the containers' DNS. Other commands start it when it is needed, and then it leaves by itself once
nothing runs; started by hand or by systemd it stays.

It may be ended or killed at any time: containers run on, and the next daemon takes them over.

Its socket speaks the Docker Engine API too: export DOCKER_HOST=unix:///run/stack/stack.sock. With --host that is served by TCP and TLS as well, to
clients who have a certificate.

It is a program of its own, which stack carries and puts below the state root.`,
		Args:        cli.NoArgs,
		Annotations: map[string]string{cli.NoProject: "true"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run.Launcher.Become(cmd.Context(), o, func(text string) { run.Warn("%s", text) })
		},
	}
	o.Flags(cmd.Flags())
	return cmd
}
