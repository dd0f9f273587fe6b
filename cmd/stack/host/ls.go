package host

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewLsCommand makes the command ls.
func NewLsCommand(run *cli.Run) *cobra.Command {
	var o lsFlags
	cmd := &cobra.Command{
		Use:         "ls [OPTIONS]",
		Short:       "List projects",
		Args:        cli.NoArgs,
		Annotations: map[string]string{cli.NoProject: "true"},
		RunE:        func(cmd *cobra.Command, _ []string) error { return listProjects(cmd.Context(), run, o) },
	}
	f := cmd.Flags()
	f.BoolVarP(&o.all, "all", "a", false, "List projects that have only stopped containers, too")
	f.StringVar(&o.format, "format", "table", "table or json")
	f.StringArrayVar(&o.filters, "filter", nil, "name=TEXT: only projects whose name has TEXT in it")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "Only names")
	return cmd
}

type lsFlags struct {
	all, quiet bool
	format     string
	filters    []string
}

// lsRow is a row of ls, with docker compose's keys and the project's directory.
type lsRow struct {
	Name, Status, ConfigFiles, Directory string

	isolated bool
}

func listProjects(ctx context.Context, run *cli.Run, o lsFlags) error {
	if o.format != "table" && o.format != "json" {
		return fmt.Errorf("unsupported --format value %q, expected table or json", o.format)
	}
	var names []string
	for _, f := range o.filters {
		key, value, ok := strings.Cut(f, "=")
		if !ok || key != "name" {
			return fmt.Errorf("invalid --filter %q, expected name=TEXT", f)
		}
		names = append(names, value)
	}
	daemon := run.Connect()
	all, err := daemon.Projects(ctx)
	if err != nil {
		return err
	}
	rows := lsRows(all, o.all, names)
	switch {
	case o.quiet:
		names := make([]string, len(rows))
		for i, r := range rows {
			names[i] = r.Name
		}
		return formatter.WriteLines(run.Out, names)
	case o.format == "json":
		return json.NewEncoder(run.Out).Encode(rows)
	}
	return writeLs(run.Out, rows)
}

func lsRows(all []ask.ProjectSummary, stopped bool, names []string) []lsRow {
	rows := []lsRow{}
	for _, p := range all {
		if !stopped && p.States["running"]+p.States["restarting"]+p.States["paused"] == 0 {
			continue
		}
		if len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(p.Name, n) }) {
			continue
		}
		var status []string
		for _, s := range slices.Sorted(maps.Keys(p.States)) {
			status = append(status, fmt.Sprintf("%s(%d)", s, p.States[s]))
		}
		rows = append(rows, lsRow{p.Name, strings.Join(status, ", "), strings.Join(p.Files, ","), p.Dir, p.Isolated})
	}
	return rows
}

func writeLs(w io.Writer, rows []lsRow) error {
	t := tabwriter.NewWriter(w, 0, 1, 3, ' ', 0)
	// Where names alone do not tell projects apart, the directory does. Otherwise the table is docker compose's.
	isolated := slices.ContainsFunc(rows, func(r lsRow) bool { return r.isolated })
	head := "NAME\tSTATUS\tCONFIG FILES"
	if isolated {
		head += "\tDIRECTORY"
	}
	fmt.Fprintln(t, head)
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%s\t%s", r.Name, r.Status, cell(r.ConfigFiles))
		if isolated {
			fmt.Fprintf(t, "\t%s", cell(r.Directory))
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

// cell is s as it stands in a table: a path may have a line break in it, or what moves the cursor, and is quoted then.
func cell(s string) string {
	if strings.ContainsFunc(s, unicode.IsControl) {
		return strconv.Quote(s)
	}
	return s
}
