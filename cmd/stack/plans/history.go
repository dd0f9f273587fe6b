// Package plans has the verbs of plans and what came of them: apply, drift, history, rollback and why.
package plans

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/cmd/stack/preview"
	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/plaintext"
	"github.com/stackrun/stack/reconcile/history"
	"github.com/stackrun/stack/reconcile/plan"
)

// NewHistoryCommand makes the command history.
func NewHistoryCommand(run *cli.Run) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "history [OPTIONS] [NUMBER]",
		Short: "Show what was done to the project, and how it came out",
		Long: `Lists the last 50 plans of the project that changed something: when, by which command, what, how it came out, and how long it took.
With a NUMBER it shows all of that one: every change with its reasons, and the error.

An outcome "interrupted" says that the daemon was killed, or the machine went down, before it was done. The history outlives 'stack
down'; 'stack down --volumes' removes it. Values of variables named like a secret are not shown.`,
		Args: atMostOneNumber,
		RunE: func(cmd *cobra.Command, args []string) error { return showHistory(cmd.Context(), run, format, args) },
	}
	cmd.Flags().StringVar(&format, "format", formatter.Text, "text or json")
	return cmd
}

// atMostOneNumber is for verbs that take [N].
func atMostOneNumber(_ *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("expected one number at most")
	}
	for _, s := range args {
		if n, err := strconv.Atoi(s); err != nil || n < 1 {
			return fmt.Errorf("invalid number %q, expected 1 or more", s)
		}
	}
	return nil
}

func showHistory(ctx context.Context, run *cli.Run, format string, args []string) error {
	if err := formatter.CheckTextOrJSON(format); err != nil {
		return err
	}
	name, daemon, err := run.Reach(ctx, nil)
	if err != nil {
		return err
	}
	all, err := daemon.History(ctx, name)
	if err != nil {
		return err
	}
	if len(args) == 0 {
		if format == formatter.JSON {
			return formatter.WriteJSON(run.Out, append([]history.Entry{}, all...))
		}
		return writeHistory(run.Out, name, all)
	}
	n, _ := strconv.Atoi(args[0]) // checked
	for i := range all {
		if all[i].Number != n {
			continue
		}
		if format == formatter.JSON {
			return formatter.WriteJSON(run.Out, all[i])
		}
		_, err := io.WriteString(run.Out, entryText(&all[i]))
		return err
	}
	return errdefs.With(errdefs.ErrNotFound, fmt.Errorf("cannot show #%d of project %s: `stack history` lists what there is", n, name))
}

// writeHistory is the table, the last entry at the bottom, where the eye is.
func writeHistory(w io.Writer, project string, all []history.Entry) error {
	if len(all) == 0 {
		_, err := fmt.Fprintf(w, "%s: nothing is recorded\n", project)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 1, 3, ' ', 0)
	fmt.Fprintln(t, "NUMBER\tTIME\tOUTCOME\tTOOK\tCHANGES\tCOMMAND")
	for i := range all {
		e := &all[i]
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", e.Number, e.Time.Local().Format(time.DateTime), e.Outcome, took(e.Duration()), preview.Counts(e.Changes), typed(e))
	}
	return t.Flush()
}

// typed is how e was asked for, in one line.
func typed(e *history.Entry) string {
	if e.Command == "" {
		return "-"
	}
	return "stack " + plaintext.OneLine(e.Command)
}

// took is a duration as people want to read it, "-" for none.
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// entryText is all of one entry.
func entryText(e *history.Entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#%d  %s  %s", e.Number, e.Time.Local().Format(time.DateTime), e.Outcome)
	if d := e.Duration(); d > 0 {
		fmt.Fprintf(&b, " after %s", took(d))
	}
	fmt.Fprintf(&b, "\n%s\n", typed(e))
	preview.WriteChanges(&b, e.Changes, func(c plan.Change) { fmt.Fprintf(&b, "  %s %s\n", c.Action, c.Name) })
	if e.Error != "" {
		b.WriteString(e.Error + "\n")
	}
	return b.String()
}
