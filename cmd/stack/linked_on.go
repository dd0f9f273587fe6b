//go:build failpoint

package main

import (
	"context"
	"os"

	"github.com/stackrun/stack/cmd/stack/daemon"
	"github.com/stackrun/stack/cmd/stack/daemon/options"
	"github.com/stackrun/stack/cmd/stack/inquiry/answer"
	"github.com/stackrun/stack/cmd/stack/launch"
)

// linkedDaemon is the daemon in this binary, so that a binary for tests with failpoints is built in one step.
func linkedDaemon() *launch.Linked {
	return &launch.Linked{
		Daemon: func(ctx context.Context, o options.Options) error {
			p := daemon.Process{Options: o, Version: version, Log: os.Stderr}
			return p.Run(ctx)
		},
		Answer: answer.Of,
	}
}
