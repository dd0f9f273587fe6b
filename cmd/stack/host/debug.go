package host

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/internal/atomicfile"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/spec"
)

// NewDebugCommand makes the command debug.
func NewDebugCommand(run *cli.Run) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "debug COMMAND",
		Short: "Look inside stack",
		RunE: func(cmd *cobra.Command, args []string) error {
			return errors.Join(cli.UnknownCommand(cmd, args), cmd.Help())
		},
	}
	cmd.AddCommand(newDumpCommand(run))
	return cmd
}

func newDumpCommand(run *cli.Run) *cobra.Command {
	var format, output string
	cmd := &cobra.Command{
		Use:   "dump [OPTIONS]",
		Short: "Print everything that a plan is made of",
		Long: `Prints what the Compose file asks for, what is on this host, the plan that follows from the two, and the graph of its resources and steps:
what a report of a fault should have with it. Without a Compose file (-p NAME) the project is as it was last brought up. Values of
variables named like a secret are left out. Nothing is promised of the form, which changes with the program.

--format dot prints the graph alone, for Graphviz: stack debug dump --format dot | dot -Tsvg`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return dumpState(cmd.Context(), run, format, output) },
	}
	cmd.Flags().StringVar(&format, "format", formatter.JSON, "json or dot")
	cmd.Flags().StringVarP(&output, "output", "o", "", "Write to this file")
	return cmd
}

func dumpState(ctx context.Context, run *cli.Run, format, output string) error {
	if format != formatter.JSON && format != "dot" {
		return fmt.Errorf("unsupported --format value %q, expected json or dot", format)
	}
	var p *spec.Project
	name, there, err := run.Project(ctx, nil)
	if err == nil && there != nil {
		p, err = run.LoadFor(ctx, spec.ToRun, nil)
	}
	if err != nil {
		return err
	}
	daemon := run.Connect()
	found, err := daemon.Dump(ctx, name, p)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if format == formatter.JSON {
		err = formatter.WriteJSON(&b, found)
	} else {
		writeDot(&b, found)
	}
	if err != nil {
		return err
	}
	if err := run.WriteOutput(cmp.Or(output, "-"), b.Bytes(), atomicfile.NoSync); err != nil {
		return fmt.Errorf("cannot write the dump: %w", err)
	}
	return nil
}

// shapes of the nodes of resources.
var shapes = map[plan.Kind]string{plan.KindContainer: "box", plan.KindNetwork: "hexagon", plan.KindVolume: "cylinder"}

// writeDot writes the graph in the DOT language (https://graphviz.org/doc/info/lang.html): the resources, and the steps beside them.
func writeDot(w io.Writer, d *ask.Dump) {
	q := strconv.Quote
	fmt.Fprintf(w, "digraph %s {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n", q(d.Project))
	fmt.Fprintf(w, "  subgraph cluster_resources {\n    label=\"resources\";\n")
	for _, n := range d.Graph.Resources {
		fmt.Fprintf(w, "    %s [label=%s, shape=%s];\n", q(n.ID), q(n.Text), shapes[n.Kind])
	}
	fmt.Fprintf(w, "  }\n")
	if len(d.Graph.Steps) > 0 {
		fmt.Fprintf(w, "  subgraph cluster_plan {\n    label=\"plan\";\n")
		for _, n := range d.Graph.Steps {
			fmt.Fprintf(w, "    %s [label=%s, shape=plaintext];\n", q(n.ID), q(n.ID+" "+n.Text))
		}
		fmt.Fprintf(w, "  }\n")
	}
	for _, e := range d.Graph.Edges {
		style := ""
		if e.Weak {
			style = ", style=dashed"
		}
		fmt.Fprintf(w, "  %s -> %s [label=%s%s];\n", q(e.From), q(e.To), q(e.Text), style)
	}
	fmt.Fprintf(w, "}\n")
}
