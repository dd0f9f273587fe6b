package containers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/follow"
	"github.com/stackrun/stack/cmd/stack/logview"
	"github.com/stackrun/stack/cmd/stack/terminal"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/output/severity"
)

type logsFlags struct {
	follow, timestamps, noColor, noPrefix, json bool
	index                                       int
	since, until, tail, grep, level             string
}

// NewLogsCommand makes the command logs.
func NewLogsCommand(run *cli.Run) *cobra.Command {
	var l logsFlags
	cmd := &cobra.Command{
		Use:   "logs [OPTIONS] [SERVICE...]",
		Short: "Show what the containers wrote",
		Long: `Shows what the containers wrote to stdout and stderr, all of it on stdout: what follows in a pipe sees it all. A
project's logs outlive its containers: those of a container that was replaced are still there. With --follow it goes on when the daemon
is killed or replaced, and no line is missing or twice.

--level goes by what lines say of themselves: level=warn, "severity":"ERROR", [error], WARNING: and what else is common. A line that says
nothing is a part of the one before if it was written at once behind it, as a stack trace is, and is left out otherwise.`,
		RunE: func(cmd *cobra.Command, services []string) error { return showLogs(cmd.Context(), run, l, services) },
	}
	f := cmd.Flags()
	f.BoolVarP(&l.follow, "follow", "f", false, "Go on with what they write")
	f.StringVar(&l.grep, "grep", "", "Only lines that match this regular expression; (?i) before it ignores case")
	f.IntVar(&l.index, "index", 0, "Only this replica of the service")
	f.BoolVar(&l.json, "json", false, "Print JSON objects, one a line: container, service, replica, time, stream and line")
	f.StringVar(&l.level, "level", "", "Only lines of this level or worse: trace, debug, info, warn, error or fatal")
	f.BoolVar(&l.noColor, "no-color", false, "No colours")
	f.BoolVar(&l.noPrefix, "no-log-prefix", false, "Do not say whose line it is")
	f.StringVar(&l.since, "since", "", "Only lines since then: 2026-01-02T15:04:05Z, or 10m for ten minutes ago")
	f.StringVar(&l.until, "until", "", "Only lines before then")
	f.StringVarP(&l.tail, "tail", "n", "all", "Only this many last lines of each container")
	f.BoolVarP(&l.timestamps, "timestamps", "t", false, "Show when each line was written")
	return cmd
}

func showLogs(ctx context.Context, run *cli.Run, l logsFlags, services []string) error {
	o, err := l.options(services, time.Now())
	if err != nil {
		return err
	}
	name, daemon, err := run.Reach(ctx, services)
	if err != nil {
		return err
	}
	out, errs := buffered(run.Out, l.follow), buffered(run.Err, l.follow)
	view := logview.New(out, errs, logview.Options{
		Project: name, Color: run.Color(run.Out) && !l.noColor, NoPrefix: l.noPrefix, Timestamps: l.timestamps, OneStream: true,
		OutTerminal: terminal.Of(run.Out) != nil, ErrTerminal: terminal.Of(run.Err) != nil,
	})
	if err := expect(ctx, daemon, view, name, services); err != nil {
		return err
	}
	show := view.Entry
	if l.json {
		show = objects(out, view.Entry)
	}
	parts := follow.NewSequel(o)
	read := func() error {
		o, each := parts.Next(show)
		return daemon.Logs(ctx, name, o, each)
	}
	if l.follow {
		err = follow.GoOn(ctx, read)
	} else {
		err = read()
	}
	err = errors.Join(err, view.Break(), out.Flush(), errs.Flush())
	if errors.Is(err, syscall.EPIPE) {
		return &exitcode.Error{Code: exitcode.Failed} // head has what it wanted
	}
	return err
}

// options are the flags in the words of the engine; now is what relative times count from.
func (l logsFlags) options(services []string, now time.Time) (o ask.LogOptions, err error) {
	o = ask.LogOptions{Services: services, Index: l.index, Follow: l.follow, Tail: -1, Grep: l.grep, Level: l.level}
	if l.tail != "all" {
		if o.Tail, err = strconv.Atoi(l.tail); err != nil || o.Tail < -1 {
			return o, fmt.Errorf("invalid --tail %q, expected all or a number", l.tail)
		}
	}
	if l.json && (l.noPrefix || l.timestamps) {
		return o, fmt.Errorf("--json tells whose each line is and when it was written: it goes with neither --no-log-prefix nor --timestamps")
	}
	if _, err := regexp.Compile(l.grep); err != nil {
		return o, fmt.Errorf("invalid --grep %q: %w", l.grep, err)
	}
	if _, err := severity.Parse(l.level); err != nil {
		return o, fmt.Errorf("--level: %w", err)
	}
	if l.index != 0 && len(services) != 1 {
		return o, fmt.Errorf("--index needs exactly one service")
	}
	if o.Since, err = cli.ParseTime(l.since, now); err != nil {
		return o, fmt.Errorf("invalid --since %q, expected a time such as 2026-01-02T15:04:05Z or a duration such as 10m", l.since)
	}
	if o.Until, err = cli.ParseTime(l.until, now); err != nil {
		return o, fmt.Errorf("invalid --until %q, expected a time such as 2026-01-02T15:04:05Z or a duration such as 10m", l.until)
	}
	return o, nil
}

// expect announces the containers to the view, so that all prefixes are of one width.
func expect(ctx context.Context, daemon *client.Client, view *logview.View, project string, services []string) error {
	all, err := daemon.Containers(ctx, project)
	if err != nil {
		return err
	}
	for _, c := range all {
		if len(services) == 0 || slices.Contains(services, c.Service) {
			view.Expect(c.Name, c.Service, c.Replica)
		}
	}
	return nil
}

type flusher interface {
	io.Writer
	Flush() error
}

// buffered gathers lines when nobody waits for each.
func buffered(w io.Writer, live bool) flusher {
	if live {
		return direct{w}
	}
	return bufio.NewWriterSize(w, 64<<10)
}

type direct struct{ io.Writer }

func (direct) Flush() error { return nil }
