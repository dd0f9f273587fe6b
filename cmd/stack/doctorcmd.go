package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/doctor"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/inquiry"
)

func newDoctorCommand(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:         "doctor [OPTIONS]",
		Short:       "Say what this host can do for containers, and how to fix what it cannot",
		Long:        "Tries what containers need of this host, changes nothing, and says for what is missing what to do. It fails when something is missing without which nothing works.",
		Args:        cobra.NoArgs,
		Annotations: map[string]string{noProject: "true"},
		RunE:        func(cmd *cobra.Command, _ []string) error { return a.doctor(cmd.Context(), format) },
	}
	cmd.Flags().StringVar(&format, "format", "table", "table or json")
	return cmd
}

func (a *app) doctor(ctx context.Context, format string) error {
	if format != "table" && format != "json" {
		return fmt.Errorf("unsupported --format value %q, expected table or json", format)
	}
	answer, err := a.inquire(ctx, inquiry.Question{Host: &a.roots})
	if err != nil {
		return err
	}
	all := answer.Host
	if format == "json" {
		if err := json.NewEncoder(a.out).Encode(all); err != nil {
			return err
		}
	} else {
		marks := map[doctor.State]string{
			doctor.OK: a.paint(a.out, "32", "✔"), doctor.Warning: a.paint(a.out, "33", "!"), doctor.Missing: a.paint(a.out, "31", "✘"),
		}
		t := tabwriter.NewWriter(a.out, 0, 1, 2, ' ', 0)
		for _, c := range all {
			fmt.Fprintf(t, "%s %s\t%s\n", marks[c.State], c.Name, c.Detail)
			if c.Fix != "" && c.State != doctor.OK {
				fmt.Fprintf(t, "  \t→ %s\n", c.Fix)
			}
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if doctor.Essential(all) {
		return &exitcode.Error{Code: exitcode.Failed, Err: errors.New("this host lacks something that stack cannot do without")}
	}
	return nil
}
