package containers_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stackrun/stack/api/apitest"
	"github.com/stackrun/stack/cmd/stack/stacktest"
	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/reconcile/ask"
	"github.com/stackrun/stack/runtime/process"
)

// busy is an engine with containers that use half a processor, another, nothing any more. Each look is a second after the one before.
func busy(looks *int) *apitest.Engine {
	var mu sync.Mutex
	return &apitest.Engine{OnStats: func(context.Context, string) ([]ask.ContainerStats, error) {
		mu.Lock()
		defer mu.Unlock()
		*looks++
		n := time.Duration(*looks)
		return []ask.ContainerStats{
			{ID: strings.Repeat("d", 64), Container: "shop-db-1", Service: "db", Usage: &process.Usage{
				Clock: n * time.Second, CPU: n * time.Second / 2, Memory: 96 << 20, InactiveCache: 32 << 20, MemoryLimit: 256 << 20, Pids: 7,
				Received: 12_345, Sent: 1_500_000, Read: 4096, Written: 2_000_000_000,
			}},
			{ID: strings.Repeat("e", 64), Container: "shop-batch-1", Service: "batch"},
			{ID: strings.Repeat("f", 64), Container: "shop-web-1", Service: "web", Usage: &process.Usage{Clock: n * time.Second, CPU: n * 1500 * time.Millisecond, MemoryLimit: 1 << 30}},
		}, nil
	}}
}

func TestStatsOnce(t *testing.T) {
	looks := 0
	u := stacktest.NewPerson(t, busy(&looks))
	const db = "dddddddddddd shop-db-1 50.00% 64MiB / 256MiB 25.00% 12.3kB / 1.5MB 4.1kB / 2GB 7"
	const head = "CONTAINER ID NAME CPU % MEM USAGE / LIMIT MEM % NET I/O BLOCK I/O PIDS"
	for line, want := range map[string]string{
		"stats --no-stream db":                                 head + " " + db,
		"stats --no-stream":                                    head + " " + db + " ffffffffffff shop-web-1 150.00% 0B / 1GiB 0.00% 0B / 0B 0B / 0B 0",
		"stats --no-stream batch":                              "",
		"stats --no-stream -a batch":                           head + " eeeeeeeeeeee shop-batch-1 0.00% 0B / 0B 0.00% 0B / 0B 0B / 0B 0",
		"stats --no-stream --no-trunc --format {{.ID}} db":     strings.Repeat("d", 64),
		"stats --no-stream --format {{.Name}}:{{.CPUPerc}} db": "shop-db-1:50.00%",
	} {
		code, out, errs := u.Run(line)
		if got := stacktest.Squeezed(out); code != 0 || got != want {
			t.Errorf("stack %s: code %d, got %q, want %q; %s", line, code, got, want, errs)
		}
	}
	_, out, _ := u.Run("stats --no-stream --format json db")
	keys := []string{"BlockIO", "CPUPerc", "Container", "ID", "MemPerc", "MemUsage", "Name", "NetIO", "PIDs"}
	var row map[string]string
	if err := json.Unmarshal([]byte(out), &row); err != nil || !slices.Equal(slices.Sorted(maps.Keys(row)), keys) {
		t.Fatalf("%v: %s", err, out)
	}
	if row["Container"] != strings.Repeat("d", 64) || row["ID"] != "dddddddddddd" || row["MemUsage"] != "64MiB / 256MiB" || row["PIDs"] != "7" {
		t.Errorf("json: %v", row)
	}
	if _, out, _ := u.Args("stats", "--no-stream", "--format", `table {{.Name}}\t{{.NetIO}}`, "db"); stacktest.Squeezed(out) != "NAME NET I/O shop-db-1 12.3kB / 1.5MB" {
		t.Errorf("table: %q", out)
	}
	looks = 0
	for line, want := range map[string]string{
		"stats nobody": "no such service: nobody", "stats --format {{.Name": "invalid --format", "stats --format {{.Nonsense}}": "invalid --format",
	} {
		if code, out, errs := u.Run(line); code != 1 || out != "" || !strings.Contains(errs, want) {
			t.Errorf("stack %s: code %d, %q, %s", line, code, out, errs)
		}
	}
}

// On a terminal each table takes the place of the one before, until Ctrl-C.
func TestStatsInPlace(t *testing.T) {
	looks := 0
	u := stacktest.NewPerson(t, busy(&looks))
	s := u.Sit("stats db")
	again := "\x1b[2A\r\x1b[J"
	sandbox.Eventually(t, "the third table", func() bool { return strings.Count(s.Screen.String(), again) >= 2 })
	s.Press("\x03")
	code, screen := s.Ends()
	if code != 130 || strings.Contains(screen, "error") {
		t.Errorf("code %d:\n%q", code, screen)
	}
	for i, table := range strings.Split(strings.TrimSuffix(screen, "^C"), again) {
		if got := stacktest.Squeezed(strings.TrimPrefix(table, "\r\x1b[J")); !strings.HasPrefix(got, "CONTAINER ID") || !strings.Contains(got, "shop-db-1 50.00%") {
			t.Errorf("table %d: %q", i, table)
		}
	}
}
