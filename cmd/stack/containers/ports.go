package containers

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/reconcile/ask"
)

// NewPortsCommand makes the command ports.
func NewPortsCommand(run *cli.Run) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "ports [OPTIONS] [SERVICE...]",
		Short: "List the published ports of the project",
		Long: `Lists the ports of the host that lead to containers that run, and for each what the file asks for: with 'up --auto-ports' it may be another one.
Containers of 'run' are left out.

For scripts, --format env has variables to be evaluated, with the names that docker gives to links:

  eval "$(stack ports --format env)"
  curl "http://$WEB_PORT_80_TCP_ADDR:$WEB_PORT_80_TCP_PORT/"

They are SERVICE_PORT_TARGET_PROTOCOL_ADDR and _PORT; SERVICE is in capitals with _ for what no variable has in its name, and of a
replica N other than the first SERVICE_N. The address is one to connect to on this host: 127.0.0.1 for a port that is published on all.`,
		RunE: func(cmd *cobra.Command, services []string) error {
			return listPorts(cmd.Context(), run, format, services)
		},
	}
	cmd.Flags().StringVar(&format, "format", "table", "table, json, env, or a Go template over the keys of json")
	return cmd
}

// portRow is one published port of one container. One that is published on all addresses of both families is one row.
type portRow struct {
	Service   string
	Replica   int
	Target    int
	Protocol  string
	HostIP    string // 0.0.0.0 = all
	Published int
	Asked     string // what the file publishes: PORT or FIRST-LAST; "" = any
}

var portKeys = []string{"Service", "Replica", "Target", "Protocol", "HostIP", "Published", "Asked"}

func listPorts(ctx context.Context, run *cli.Run, format string, services []string) error {
	switch format {
	case "", "table", "env":
	default:
		if err := formatter.Check(format); err != nil {
			return err
		}
	}
	all, err := run.Containers(ctx, services)
	if err != nil {
		return err
	}
	rows := portRows(all, services)
	switch format {
	case "", "table":
		var cells [][]string
		for _, r := range rows {
			cells = append(cells, []string{r.Service, strconv.Itoa(r.Replica), strconv.Itoa(r.Target), r.Protocol, r.HostIP, strconv.Itoa(r.Published), cmp.Or(r.Asked, "any")})
		}
		return formatter.WriteTable(run.Out, []string{"SERVICE", "REPLICA", "TARGET", "PROTOCOL", "HOST IP", "PUBLISHED", "ASKED FOR"}, cells)
	case "env":
		return writePortVariables(run.Out, rows)
	}
	return formatter.Write(run.Out, format, formatter.Titles(portKeys, map[string]string{"HostIP": "HOST IP", "Asked": "ASKED FOR"}), rows)
}

// portRows are the published ports of the containers of services, none = all, in a fixed order.
func portRows(all []ask.Container, services []string) []portRow {
	var rows []portRow
	for _, c := range all {
		if c.OneOff || len(services) > 0 && !slices.Contains(services, c.Service) {
			continue
		}
		for _, p := range c.Ports {
			if p.PublishedPort != 0 {
				rows = append(rows, portRow{c.Service, c.Replica, p.TargetPort, p.Protocol, p.URL, p.PublishedPort, p.Asked})
			}
		}
	}
	slices.SortFunc(rows, func(a, b portRow) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), a.Replica-b.Replica, a.Target-b.Target, strings.Compare(a.Protocol, b.Protocol), a.Published-b.Published, strings.Compare(a.HostIP, b.HostIP))
	})
	return slices.DeleteFunc(rows, func(r portRow) bool {
		return r.HostIP == "::" && slices.ContainsFunc(rows, func(o portRow) bool { r.HostIP = "0.0.0.0"; return o == r })
	})
}

// writePortVariables prints rows for a shell's eval: no value needs quotes. Of several ports that lead to one port of a container the lowest counts.
func writePortVariables(w io.Writer, rows []portRow) error {
	var lines []string
	owner := map[string]portRow{}
	for _, r := range rows {
		name := variablePart(r.Service)
		if r.Replica > 1 {
			name += "_" + strconv.Itoa(r.Replica)
		}
		name += "_PORT_" + strconv.Itoa(r.Target) + "_" + strings.ToUpper(r.Protocol)
		if first, taken := owner[name]; taken {
			if first.Service != r.Service || first.Replica != r.Replica {
				return fmt.Errorf("cannot name variables of replica %d of %s and replica %d of %s differently: both would be %s (use --format json)", first.Replica, first.Service, r.Replica, r.Service, name)
			}
			continue
		}
		owner[name] = r
		host := r.HostIP
		switch host {
		case "0.0.0.0":
			host = "127.0.0.1"
		case "::":
			host = "::1"
		}
		lines = append(lines, name+"_ADDR="+host, name+"_PORT="+strconv.Itoa(r.Published))
	}
	return formatter.WriteLines(w, lines)
}

// variablePart is a service's name as a part of the name of a variable.
func variablePart(service string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z' || '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, service)
	if name != "" && name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}
