package containers

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/cmd/stack/selection"
)

// NewPortCommand makes the command port.
func NewPortCommand(run *cli.Run) *cobra.Command {
	var index int
	var protocol string
	cmd := &cobra.Command{
		Use:   "port [OPTIONS] SERVICE PRIVATE_PORT",
		Short: "Show where a port is published",
		Args:  cli.Arguments(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			port, err := strconv.ParseUint(args[1], 10, 16)
			if err != nil || port == 0 {
				return fmt.Errorf("invalid port %q, expected 1 to 65535", args[1])
			}
			if protocol != "tcp" && protocol != "udp" {
				return fmt.Errorf("invalid --protocol %q, expected tcp or udp", protocol)
			}
			return showPort(cmd.Context(), run, args[0], int(port), protocol, index)
		},
	}
	f := cmd.Flags()
	f.IntVar(&index, "index", 0, "Which replica of the service (default: the first)")
	f.StringVar(&protocol, "protocol", "tcp", "tcp or udp")
	return cmd
}

func showPort(ctx context.Context, run *cli.Run, service string, port int, protocol string, index int) error {
	all, err := run.Containers(ctx, []string{service})
	if err != nil {
		return err
	}
	c, err := selection.Replica(all, service, index)
	if err != nil {
		return err
	}
	for _, p := range c.Ports {
		if p.TargetPort == port && p.Protocol == protocol && p.PublishedPort != 0 {
			host := p.URL
			if host == "" {
				host = "0.0.0.0"
			}
			return formatter.WriteLines(run.Out, []string{net.JoinHostPort(host, strconv.Itoa(p.PublishedPort))})
		}
	}
	return fmt.Errorf("no port %d/%s is published of container %s", port, protocol, c.Name)
}
