package file

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/selection"
	"github.com/stackrun/stack/spec"
)

type graphFlags struct {
	format, output                   string
	images, networks, ports, volumes bool
}

// NewGraphCommand makes the command graph.
func NewGraphCommand(run *cli.Run) *cobra.Command {
	var g graphFlags
	cmd := &cobra.Command{
		Use:   "graph [OPTIONS] [SERVICE...]",
		Short: "Draw which services need which",
		Long: `Writes the services of the Compose file, or those named and what they depend on, as a graph: an arrow leads from a service to one that is started
before it, with what is waited for. Whatever makes one depend on another counts: depends_on, links, volumes_from, and the namespaces of another service.
A dotted arrow leads to one that may be missing. It needs no daemon.

--format dot is for Graphviz (stack graph | dot -Tsvg), --format mermaid for a Markdown file.`,
		RunE: func(cmd *cobra.Command, services []string) error { return showGraph(cmd.Context(), run, g, services) },
	}
	f := cmd.Flags()
	f.StringVar(&g.format, "format", "dot", "dot or mermaid")
	f.StringVarP(&g.output, "output", "o", "", "Write to this file")
	f.BoolVar(&g.images, "image", false, "With the image of each service")
	f.BoolVar(&g.networks, "networks", false, "With the networks that services are on")
	f.BoolVar(&g.ports, "ports", false, "With the ports that services publish")
	f.BoolVar(&g.volumes, "volumes", false, "With the volumes that services mount")
	return cmd
}

func showGraph(ctx context.Context, run *cli.Run, g graphFlags, services []string) error {
	write := map[string]func(*chart) []byte{"dot": (*chart).dot, "mermaid": (*chart).mermaid}[g.format]
	if write == nil {
		return fmt.Errorf("unsupported --format value %q, expected dot or mermaid", g.format)
	}
	p, err := run.LoadRaw(ctx, spec.ToShow, spec.Raw{EnvFiles: true}, services) // what is in env files draws nothing
	if err != nil {
		return err
	}
	if len(services) > 0 {
		p = p.Only(selection.WithDependencies(p, services))
	}
	return writeTo(run, g.output, func(w io.Writer) error {
		_, err := w.Write(write(draw(p, g)))
		return err
	})
}

// chart is what is drawn of a project.
type chart struct {
	name  string
	nodes []node
	lines []line
}

type kind int

const (
	service kind = iota
	network
	volume
)

type node struct {
	kind kind
	name string
	text []string // lines
}

// line leads from the service with number from among the nodes to another node.
type line struct {
	from, to int
	text     string
	missing  bool // to may be missing
}

// draw makes the chart of p's services, in the order of their names, and of what else g asks for.
func draw(p *spec.Project, g graphFlags) *chart {
	c := &chart{name: p.Name}
	names := slices.Sorted(maps.Keys(p.Services))
	for _, name := range names {
		s := p.Services[name]
		text := []string{name}
		if image := p.ImageOf(s); g.images && image != "" {
			text = append(text, image)
		}
		if g.ports {
			for _, port := range s.Ports {
				text = append(text, portText(port))
			}
		}
		c.node(service, name, text...)
	}
	for from, name := range names {
		s := p.Services[name]
		for _, other := range slices.Sorted(maps.Keys(s.DependsOn)) {
			if to := slices.Index(names, other); to >= 0 {
				d := s.DependsOn[other]
				c.lines = append(c.lines, line{from: from, to: to, text: dependencyText(d), missing: !d.Required})
			}
		}
		if g.networks {
			for _, n := range slices.Sorted(maps.Keys(s.Networks)) {
				c.lines = append(c.lines, line{from: from, to: c.node(network, n, n)})
			}
		}
		if g.volumes {
			for _, m := range s.Mounts {
				if m.Type == "volume" && m.Source != "" {
					c.lines = append(c.lines, line{from: from, to: c.node(volume, m.Source, m.Source), text: m.Target})
				}
			}
		}
	}
	return c
}

// node gives the number of a node, which it makes when it is not there.
func (c *chart) node(k kind, name string, text ...string) int {
	if i := slices.IndexFunc(c.nodes, func(n node) bool { return n.kind == k && n.name == name }); i >= 0 {
		return i
	}
	c.nodes = append(c.nodes, node{k, name, text})
	return len(c.nodes) - 1
}

// dependencyText is what is waited for, in a word; a start needs none.
func dependencyText(d spec.Dependency) string {
	var words []string
	switch d.Condition {
	case spec.ServiceHealthy:
		words = append(words, "healthy")
	case spec.ServiceCompleted:
		words = append(words, "completed")
	}
	if d.Restart {
		words = append(words, "restart")
	}
	return strings.Join(words, ", ")
}

// portText is a published port as a Compose file has it.
func portText(p spec.Port) string {
	var published string
	switch {
	case p.PublishedEnd > p.Published:
		published = fmt.Sprintf("%d-%d", p.Published, p.PublishedEnd)
	case p.Published > 0:
		published = strconv.Itoa(int(p.Published))
	}
	if p.HostIP != "" {
		published = net.JoinHostPort(p.HostIP, published)
	}
	text := fmt.Sprintf("%d/%s", p.Target, p.Protocol)
	if published != "" {
		text = published + ":" + text
	}
	return text
}

// dot writes c in the DOT language (https://graphviz.org/doc/info/lang.html).
func (c *chart) dot() []byte {
	var b bytes.Buffer
	quote := func(lines ...string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\x00", `\n`).Replace(strings.Join(lines, "\x00")) + `"`
	}
	fmt.Fprintf(&b, "digraph %s {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n", quote(c.name))
	id := func(i int) string {
		return quote([]string{"", "network ", "volume "}[c.nodes[i].kind] + c.nodes[i].name)
	}
	for i, n := range c.nodes {
		fmt.Fprintf(&b, "  %s [label=%s, shape=%s];\n", id(i), quote(n.text...), []string{"box", "hexagon", "cylinder"}[n.kind])
	}
	for _, l := range c.lines {
		style := ""
		switch {
		case c.nodes[l.to].kind != service:
			style = ", arrowhead=none, style=dashed"
		case l.missing:
			style = ", style=dotted"
		}
		fmt.Fprintf(&b, "  %s -> %s [label=%s%s];\n", id(l.from), id(l.to), quote(l.text), style)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// mermaid writes c as a flowchart of Mermaid (https://mermaid.js.org/syntax/flowchart.html). Names are texts only: as identifiers some are words of the language.
func (c *chart) mermaid() []byte {
	var b bytes.Buffer
	quote := func(lines ...string) string {
		return `"` + strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;", "\x00", "<br>").Replace(strings.Join(lines, "\x00")) + `"`
	}
	b.WriteString("flowchart LR\n")
	for i, n := range c.nodes {
		shape := [][2]string{{"[", "]"}, {"{{", "}}"}, {"[(", ")]"}}[n.kind]
		fmt.Fprintf(&b, "  n%d%s%s%s\n", i, shape[0], quote(n.text...), shape[1])
	}
	for _, l := range c.lines {
		arrow := "-->"
		switch {
		case c.nodes[l.to].kind != service:
			arrow = "---"
		case l.missing:
			arrow = "-.->"
		}
		if l.text != "" {
			arrow += "|" + quote(l.text) + "|"
		}
		fmt.Fprintf(&b, "  n%d %s n%d\n", l.from, arrow, l.to)
	}
	return b.Bytes()
}
