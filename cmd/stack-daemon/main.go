// Command stack-daemon is the daemon's program: the engine, the drivers, and what answers in front of them.
// It is embedded in stack (package daemonprog), which writes its command line; nobody calls it by hand.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/stackrun/stack/cmd/stack/daemon"
	"github.com/stackrun/stack/cmd/stack/daemon/options"
	"github.com/stackrun/stack/cmd/stack/inquiry"
	"github.com/stackrun/stack/cmd/stack/inquiry/answer"
)

// version is set by the build, as that of the command is: -ldflags "-X main.version=1.2.3".
var version = "0.1.0-dev"

// cancelled is the exit code of who was told to end before anything came of it: 128 + SIGINT, as a shell tells of a process that died of it.
const cancelled = 130

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals // the first is taking too long
		os.Exit(cancelled)
	}()
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil:
	case ctx.Err() != nil, errors.Is(err, context.Canceled):
		os.Exit(cancelled)
	default:
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	verb := ""
	if len(args) > 0 {
		verb = args[0]
	}
	switch verb {
	case options.Verb:
		o, err := options.Parse(args[1:])
		if err != nil {
			return err
		}
		p := daemon.Process{Options: o, Version: version, Log: os.Stderr}
		return p.Run(ctx)
	case inquiry.Verb:
		return answer.Serve(ctx, os.Stdin, os.Stdout)
	}
	return errors.New("stack-daemon is a part of stack and is not called by hand: see `stack daemon --help`")
}
