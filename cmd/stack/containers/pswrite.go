package containers

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/stackrun/stack/cmd/stack/formatter"
)

// writePs prints rows as a table of at most cols columns if that can be (0 = any), as one JSON object a line, or by a
// template; `table TEMPLATE` is a template with a header.
func writePs(w io.Writer, format string, rows []psRow, cols int) error {
	if format == "" || format == "table" {
		_, err := io.WriteString(w, psTable(rows, cols))
		return err
	}
	return formatter.Write(w, format, formatter.Titles(psKeys, psHeaders), rows)
}

var psKeys = []string{
	"Command", "CreatedAt", "Engine", "ExitCode", "Health", "ID", "Image", "Labels", "LocalVolumes", "Mounts", "Name", "Names", "Networks",
	"Ports", "Project", "Publishers", "RunningFor", "Service", "Size", "State", "Status",
}

var psHeaders = map[string]string{
	"CreatedAt": "CREATED AT", "ExitCode": "EXIT CODE", "ID": "CONTAINER ID", "RunningFor": "CREATED", "LocalVolumes": "LOCAL VOLUMES",
}

// psColumns in docker compose's order. Where a terminal is too narrow the spare ones go, lowest first.
var psColumns = []struct {
	head  string
	value func(psRow) string
	spare int // 0 = never
}{
	{"NAME", func(r psRow) string { return r.Name }, 0},
	{"IMAGE", func(r psRow) string { return r.Image }, 3},
	{"COMMAND", func(r psRow) string { return r.Command }, 1},
	{"SERVICE", func(r psRow) string { return r.Service }, 4},
	{"CREATED", func(r psRow) string { return r.RunningFor }, 2},
	{"STATUS", func(r psRow) string { return r.Status }, 0},
	{"PORTS", func(r psRow) string { return r.Ports }, 0},
}

// psTable is the table without spare columns, as many as make it fit.
func psTable(rows []psRow, cols int) string {
	var text string
	for without := 0; without <= 4; without++ {
		var b strings.Builder
		t := tabwriter.NewWriter(&b, 0, 1, 3, ' ', 0)
		line := func(value func(i int) string) {
			var cells []string
			for i, c := range psColumns {
				if c.spare == 0 || c.spare > without {
					cells = append(cells, value(i))
				}
			}
			fmt.Fprintln(t, strings.Join(cells, "\t"))
		}
		line(func(i int) string { return psColumns[i].head })
		for _, r := range rows {
			line(func(i int) string { return psColumns[i].value(r) })
		}
		t.Flush() //nolint:errcheck // into memory
		text = b.String()
		widest := 0
		for l := range strings.Lines(text) {
			widest = max(widest, len([]rune(strings.TrimRight(l, " \n"))))
		}
		if cols <= 0 || widest <= cols {
			break
		}
	}
	return formatter.TrimLines(text)
}
