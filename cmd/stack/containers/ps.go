// Package containers has the verbs that look at containers, and take files into them and out of them: cp, export, logs, port, ports, ps, stats and top.
package containers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/cmd/stack/terminal"
	"github.com/stackrun/stack/reconcile/ask"
)

type psFlags struct {
	all, quiet, services, orphans, noTrunc bool
	status                                 []string
	filter, format                         string
}

// NewPsCommand makes the command ps.
func NewPsCommand(run *cli.Run) *cobra.Command {
	var p psFlags
	cmd := &cobra.Command{
		Use:   "ps [OPTIONS] [SERVICE...]",
		Short: "List containers",
		Long:  "Lists the project's containers: those that run, with -a all.",
		RunE: func(cmd *cobra.Command, services []string) error {
			return listContainers(cmd.Context(), run, p, services)
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&p.all, "all", "a", false, "Stopped containers and those of run, too")
	f.StringVar(&p.filter, "filter", "", "status=STATE: only containers in this state")
	f.StringVar(&p.format, "format", "table", "table, json, or a Go template over the keys of json")
	f.BoolVar(&p.noTrunc, "no-trunc", false, "Do not shorten commands and ids")
	f.BoolVar(&p.orphans, "orphans", true, "Include containers of services that the file does not have")
	f.BoolVarP(&p.quiet, "quiet", "q", false, "Only ids")
	f.BoolVar(&p.services, "services", false, "Only the names of the services")
	f.StringArrayVar(&p.status, "status", nil, "Only containers in this state: created, running, restarting, paused, exited, dead or removing")
	return cmd
}

var states = []string{"created", "running", "restarting", "paused", "exited", "dead", "removing"}

func (p *psFlags) check() error {
	if p.filter != "" {
		key, value, ok := strings.Cut(p.filter, "=")
		if !ok || key != "status" {
			return fmt.Errorf("invalid --filter %q, expected status=STATE", p.filter)
		}
		p.status = append(p.status, value)
	}
	for _, s := range p.status {
		if !slices.Contains(states, s) {
			return fmt.Errorf("invalid status %q, expected %s", s, strings.Join(states, ", "))
		}
	}
	return nil
}

func listContainers(ctx context.Context, run *cli.Run, p psFlags, services []string) error {
	if err := p.check(); err != nil {
		return err
	}
	project, file, err := run.Project(ctx, services)
	if err != nil {
		return err
	}
	all, err := run.Connect().ContainersWithout(ctx, project, api.ContainersOptions{NoLabels: !p.showsLabels()})
	if err != nil {
		return err
	}
	if file != nil { // the daemon goes by that of the last up
		for i, c := range all {
			all[i].Orphan = file.Services[c.Service] == nil && file.Inactive[c.Service] == nil
		}
	}
	chosen := p.choose(all, services)
	switch {
	case p.quiet:
		ids := make([]string, len(chosen))
		for i, c := range chosen {
			ids[i] = c.ID
		}
		return formatter.WriteLines(run.Out, ids)
	case p.services:
		var names []string
		for _, c := range chosen {
			if !slices.Contains(names, c.Service) {
				names = append(names, c.Service)
			}
		}
		return formatter.WriteLines(run.Out, names)
	}
	rows := make([]psRow, len(chosen))
	for i, c := range chosen {
		rows[i] = newPsRow(c, time.Now(), p.noTrunc || p.format == "json", p.noTrunc)
	}
	cols := 0
	if t := terminal.Of(run.Out); t != nil {
		_, cols, _ = t.Size()
	}
	return writePs(run.Out, p.format, rows, cols)
}

// showsLabels says whether anything of what is shown may be labels.
func (p *psFlags) showsLabels() bool { return !p.quiet && !p.services && p.format != "table" }

// choose filters and sorts by name, replicas by number.
func (p *psFlags) choose(all []ask.Container, services []string) []ask.Container {
	var chosen []ask.Container
	for _, c := range all {
		switch {
		case len(services) > 0 && !slices.Contains(services, c.Service),
			len(p.status) > 0 && !slices.Contains(p.status, c.State),
			!p.orphans && c.Orphan,
			c.OneOff && !p.all && len(p.status) == 0 && c.State != "running":
			continue
		case !p.all && len(p.status) == 0 && (c.State == "exited" || c.State == "created" || c.State == "dead"):
			continue
		}
		chosen = append(chosen, c)
	}
	slices.SortFunc(chosen, func(x, y ask.Container) int {
		if c := strings.Compare(x.Service, y.Service); c != 0 {
			return c
		}
		if c := x.Replica - y.Replica; c != 0 {
			return c
		}
		return strings.Compare(x.Name, y.Name)
	})
	return chosen
}
