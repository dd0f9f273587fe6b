package containers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/stackrun/stack/api/client"
	"github.com/stackrun/stack/cmd/stack/cli"
	"github.com/stackrun/stack/cmd/stack/exitcode"
	"github.com/stackrun/stack/cmd/stack/follow"
	"github.com/stackrun/stack/cmd/stack/formatter"
	"github.com/stackrun/stack/cmd/stack/terminal"
	"github.com/stackrun/stack/internal/objectid"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
)

type statsFlags struct {
	all, noStream, noTrunc bool
	format                 string
}

// NewStatsCommand makes the command stats.
func NewStatsCommand(run *cli.Run) *cobra.Command {
	var s statsFlags
	cmd := &cobra.Command{
		Use:   "stats [OPTIONS] [SERVICE...]",
		Short: "Show what containers use of the machine",
		Long: `Shows what the containers that run use, anew each second until Ctrl-C: in place on a terminal, one table below the other elsewhere.

CPU % is of one processor since the figure before. MEM USAGE is without the cache of files that nobody has used for a while, as docker counts it.
NET I/O and BLOCK I/O are sums since the container was started, in and out.`,
		RunE: func(cmd *cobra.Command, services []string) error { return showStats(cmd.Context(), run, s, services) },
	}
	f := cmd.Flags()
	f.BoolVarP(&s.all, "all", "a", false, "Containers that do not run, too")
	f.StringVar(&s.format, "format", "table", "table, json, or a Go template over the keys of json")
	f.BoolVar(&s.noStream, "no-stream", false, "Only once")
	f.BoolVar(&s.noTrunc, "no-trunc", false, "Do not shorten ids")
	return cmd
}

// What the figures of a processor are apart by: two readings make one.
const (
	firstStats = 500 * time.Millisecond // nobody waits longer for the first
	eachStats  = time.Second
)

func showStats(ctx context.Context, run *cli.Run, s statsFlags, services []string) error {
	if !s.table() {
		if err := formatter.Check(s.format); err != nil {
			return err
		}
	}
	name, daemon, err := run.Reach(ctx, services)
	if err != nil {
		return err
	}
	w := statsWatch{flags: s, services: services, before: map[string]process.Usage{}}
	if _, err := w.read(ctx, daemon, name); err != nil {
		return err
	}
	view := framesOf(run, s)
	for wait := firstStats; ; wait = eachStats {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		var rows []statsRow
		if err := follow.GoOn(ctx, func() (err error) { rows, err = w.read(ctx, daemon, name); return err }); err != nil {
			return err
		}
		err := view.show(func(b *bytes.Buffer) error { return writeStats(b, s.format, rows) }, len(rows) > 0)
		if errors.Is(err, syscall.EPIPE) {
			return &exitcode.Error{Code: exitcode.Failed} // head has what it wanted
		}
		if err != nil || s.noStream {
			return err
		}
	}
}

func (s statsFlags) table() bool { return s.format == "" || s.format == "table" }

// statsWatch makes rows of readings.
type statsWatch struct {
	flags    statsFlags
	services []string
	before   map[string]process.Usage // by id
}

func (w *statsWatch) read(ctx context.Context, daemon *client.Client, project string) ([]statsRow, error) {
	all, err := daemon.Stats(ctx, project)
	if err != nil {
		return nil, err
	}
	return w.rows(all), nil
}

func (w *statsWatch) rows(all []ask.ContainerStats) []statsRow {
	var rows []statsRow
	now := map[string]process.Usage{}
	for _, c := range all {
		if len(w.services) > 0 && !slices.Contains(w.services, c.Service) || c.Usage == nil && !w.flags.all {
			continue
		}
		var u process.Usage
		if c.Usage != nil {
			u = *c.Usage
			now[c.ID] = u
		}
		before, seen := w.before[c.ID]
		if !seen {
			before = u
		}
		rows = append(rows, newStatsRow(c, before, u, w.flags.noTrunc))
	}
	w.before = now
	return rows
}

// statsRow is a container with the keys of docker compose's stats --format json.
type statsRow struct {
	BlockIO   string
	CPUPerc   string
	Container string
	ID        string
	MemPerc   string
	MemUsage  string
	Name      string
	NetIO     string
	PIDs      string
}

var (
	statsKeys   = []string{"BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs"}
	statsTitles = map[string]string{
		"BlockIO": "BLOCK I/O", "CPUPerc": "CPU %", "ID": "CONTAINER ID", "MemPerc": "MEM %", "MemUsage": "MEM USAGE / LIMIT", "NetIO": "NET I/O",
	}
)

// newStatsRow is c as stats shows it, that has used now what u says, and before what that says.
func newStatsRow(c ask.ContainerStats, before, u process.Usage, fullID bool) statsRow {
	id := c.ID
	if !fullID {
		id = objectid.Short(id)
	}
	busy := 0.0
	if apart := u.Clock - before.Clock; apart > 0 && u.CPU > before.CPU { // less: it was started anew
		busy = 100 * float64(u.CPU-before.CPU) / float64(apart)
	}
	memory, full := float64(u.Memory), 0.0
	if u.InactiveCache < u.Memory {
		memory = float64(u.Memory - u.InactiveCache)
	}
	if u.MemoryLimit > 0 {
		full = 100 * memory / float64(u.MemoryLimit)
	}
	return statsRow{
		Container: c.ID, ID: id, Name: c.Container, CPUPerc: fmt.Sprintf("%.2f%%", busy), MemPerc: fmt.Sprintf("%.2f%%", full),
		MemUsage: formatter.BinarySize(memory) + " / " + formatter.BinarySize(float64(u.MemoryLimit)),
		NetIO:    formatter.DecimalSize(float64(u.Received)) + " / " + formatter.DecimalSize(float64(u.Sent)),
		BlockIO:  formatter.DecimalSize(float64(u.Read)) + " / " + formatter.DecimalSize(float64(u.Written)),
		PIDs:     fmt.Sprint(u.Pids),
	}
}

func writeStats(b *bytes.Buffer, format string, rows []statsRow) error {
	if format != "" && format != "table" {
		return formatter.Write(b, format, formatter.Titles(statsKeys, statsTitles), rows)
	}
	var cells [][]string
	for _, r := range rows {
		cells = append(cells, []string{r.ID, r.Name, r.CPUPerc, r.MemUsage, r.MemPerc, r.NetIO, r.BlockIO, r.PIDs})
	}
	return formatter.WriteTable(b, []string{"CONTAINER ID", "NAME", "CPU %", "MEM USAGE / LIMIT", "MEM %", "NET I/O", "BLOCK I/O", "PIDS"}, cells)
}

// framesOf is where the figures of s go: in place if that can be, and there are more to come.
func framesOf(run *cli.Run, s statsFlags) *frames {
	f := &frames{out: run.Out}
	if !s.noStream && s.format != "json" && run.ANSI != "never" && run.Env["TERM"] != "dumb" {
		f.on = terminal.Of(run.Out)
	}
	return f
}
