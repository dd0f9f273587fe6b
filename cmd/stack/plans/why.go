package plans

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"

	"github.com/stackrun/stack/internal/plaintext"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/runtime/process"
)

// NewWhyCommand makes the command why.
func NewWhyCommand(run *cli.Run) *cobra.Command {
	var o ask.WhyOptions
	var format string
	cmd := &cobra.Command{
		Use:   "why [OPTIONS] SERVICE",
		Short: "Say how a service's containers came to be what they are",
		Long: `Shows, for each container of the service: why it was created, made anew or started the last time, with each field that differed; the chain
of steps that decided when it ran (image, networks, volumes, what it waited for and how many health checks that took) with the time of each;
what has started it again since; how it ended, its last health check, and the last lines of its log.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("expected one service")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Service = args[0]
			return showWhy(cmd.Context(), run, o, format)
		},
	}
	cmd.Flags().IntVar(&o.Index, "index", 0, "Only this replica")
	cmd.Flags().StringVar(&format, "format", formatter.Text, "text or json")
	return cmd
}

func showWhy(ctx context.Context, run *cli.Run, o ask.WhyOptions, format string) error {
	if err := formatter.CheckTextOrJSON(format); err != nil {
		return err
	}
	name, daemon, err := run.Reach(ctx, []string{o.Service})
	if err != nil {
		return err
	}
	found, err := daemon.Why(ctx, name, o)
	if err != nil {
		return err
	}
	if format == formatter.JSON {
		return formatter.WriteJSON(run.Out, found)
	}
	_, err = io.WriteString(run.Out, whyText(found))
	return err
}

func whyText(v *ask.Why) string {
	var b strings.Builder
	if len(v.Containers) == 0 {
		fmt.Fprintf(&b, "%s has no container; `stack up` makes one\n", v.Service)
	}
	for i := range v.Containers {
		if i > 0 {
			b.WriteByte('\n')
		}
		whyContainer(&b, &v.Containers[i])
	}
	if e := v.Unfinished; e != nil {
		fmt.Fprintf(&b, "\nthe last plan of %s is not done: #%d, %s, %s\n", v.Project, e.Number, typed(e), e.Outcome)
		if e.Error != "" {
			b.WriteString("  " + strings.ReplaceAll(e.Error, "\n", "\n  ") + "\n")
		}
	}
	return b.String()
}

func whyContainer(b *strings.Builder, c *ask.WhyContainer) {
	fmt.Fprintf(b, "%s: %s", c.Name, c.State)
	if c.Health != "" {
		fmt.Fprintf(b, ", %s", c.Health)
	}
	switch {
	case c.Asked:
		b.WriteString(" (a command has stopped it)")
	case c.Stopped:
		b.WriteString(" (it stays so until a command starts it)")
	}
	if !c.StartedAt.IsZero() {
		fmt.Fprintf(b, ", started %s", c.StartedAt.Local().Format(time.DateTime))
	}
	b.WriteByte('\n')
	if c.NotSent != "" {
		fmt.Fprintf(b, "  its log is not sent to %s\n", plaintext.Output(c.NotSent))
	}
	switch {
	case c.Start != nil:
		whyStart(b, c.Start)
	case c.StartedAt.IsZero():
		b.WriteString("  it has never been started\n")
	default:
		b.WriteString("  how it came to run is not known: nothing that is remembered started it\n")
	}
	if r := c.Restart; r != nil {
		b.WriteString("  started again")
		if r.Count > 0 {
			fmt.Fprintf(b, " %d %s", r.Count, map[bool]string{true: "time", false: "times"}[r.Count == 1])
		}
		if !r.Time.IsZero() {
			fmt.Fprintf(b, ", last at %s", r.Time.Local().Format(time.DateTime))
		}
		fmt.Fprintf(b, ": %s\n", r.Cause)
	}
	if x := c.Exit; x != nil {
		b.WriteString("  its last run that has ended " + plaintext.OneLine(process.Ended(x.Code, x.OOM, x.Error)))
		if !x.FinishedAt.IsZero() {
			fmt.Fprintf(b, " at %s", x.FinishedAt.Local().Format(time.DateTime))
		}
		b.WriteByte('\n')
	}
	for _, l := range c.Lines() {
		b.WriteString("  " + l + "\n")
	}
}

// whyStart is
//
//	recreate by stack up -d (#7)
//	    image: "app:1" -> "app:2"
//	  how it came to run, 2.31s:
//	      0ms  create network shop_default       3ms
//	      3ms  wait for db to be healthy      2.29s  (3 health checks)
func whyStart(b *strings.Builder, s *history.Start) {
	fmt.Fprintf(b, "  %s by %s", s.Action, who(s))
	if s.Number > 0 {
		fmt.Fprintf(b, " (#%d)", s.Number)
	}
	b.WriteByte('\n')
	for _, r := range s.Reasons {
		fmt.Fprintf(b, "      %s\n", r)
	}
	if len(s.Path) == 0 {
		return
	}
	begin, end := s.Path[0].Begin, s.Path[len(s.Path)-1].End
	fmt.Fprintf(b, "  the steps that decided when it ran, %s:\n", spent(end.Sub(begin)))
	wide := 0
	for _, p := range s.Path {
		wide = max(wide, len(p.What))
	}
	for _, p := range s.Path {
		fmt.Fprintf(b, "    %8s  %-*s  %8s", "+"+spent(p.Begin.Sub(begin)), wide, p.What, spent(p.End.Sub(p.Begin)))
		if p.Probes > 0 {
			fmt.Fprintf(b, "  (%s)", checks(p.Probes))
		}
		b.WriteByte('\n')
	}
	if h := s.Health; h != nil {
		fmt.Fprintf(b, "  healthy %s after its start (%s)\n", spent(h.At.Sub(s.Time)), checks(h.Probes))
	}
}

func who(s *history.Start) string {
	if s.Command == "" {
		return "the daemon"
	}
	return "stack " + plaintext.OneLine(s.Command)
}

func checks(n int) string {
	if n == 1 {
		return "1 health check"
	}
	return fmt.Sprintf("%d health checks", n)
}

// spent is a duration down to a millisecond, not below none: clocks are set.
func spent(d time.Duration) string {
	if d < time.Millisecond {
		return "0s"
	}
	return took(d)
}
