package e2e

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
)

// TestStats: what containers use, of the processor, memory, network and processes; those that do not run with --all only.
func TestStats(t *testing.T) {
	p := compose(t, "stats", `
services:
  busy:
    image: busybox
    command: [sh, -c, 'sleep 1000 & while :; do :; done']
    mem_limit: 64m
    stop_grace_period: 0s
  web:
    image: busybox
    command: `+httpd+`
    stop_grace_period: 0s
  off:
    image: busybox
    command: ["true"]
`)
	p.ok("up", "--detach")
	type row struct{ ID, Name, CPUPerc, MemUsage, MemPerc, NetIO, BlockIO, PIDs, Container string }
	rows := func(args ...string) map[string]row {
		found := map[string]row{}
		dec := json.NewDecoder(strings.NewReader(p.ok(append([]string{"stats", "--no-stream", "--format", "json"}, args...)...)))
		for dec.More() {
			var r row
			if err := dec.Decode(&r); err != nil {
				t.Fatal(err)
			}
			found[r.Name] = r
		}
		return found
	}
	percent := func(s string) float64 {
		f, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		return f
	}
	var all map[string]row
	p.eventually("it is busy, and off is off", func() bool {
		all = rows()
		_, off := all["stats-off-1"]
		return percent(all["stats-busy-1"].CPUPerc) > 0 && all["stats-busy-1"].PIDs == "2" && !off
	})
	busy := all["stats-busy-1"]
	if !strings.HasSuffix(busy.MemUsage, " / 64MiB") || percent(busy.MemPerc) <= 0 || len(busy.ID) != 12 || len(busy.Container) != 64 {
		t.Errorf("%+v", busy)
	}
	before := all["stats-web-1"].NetIO
	p.reaches("web", "127.0.0.1", "") // by lo: not counted
	p.reaches("busy", "web", "")      // by the network
	p.eventually("what web has sent is counted", func() bool {
		after := rows("web")["stats-web-1"].NetIO
		return after != before && !strings.HasSuffix(after, " / 0B")
	})
	if off := rows("--all", "off")["stats-off-1"]; off.CPUPerc != "0.00%" || off.PIDs != "0" || off.MemUsage != "0B / 0B" {
		t.Errorf("--all: %+v", off)
	}
	equal(t, "of nobody", p.ok("stats", "--no-stream", "off"), "")
	p.ok("pause", "busy")
	paused := rows("busy")["stats-busy-1"]
	equal(t, "the processor of a paused one", paused.CPUPerc, "0.00%")
	equal(t, "the processes of a paused one", paused.PIDs, "2")
	p.ok("unpause", "busy")
	p.fails(1, []string{"no such service: nobody"}, "stats", "nobody")
}
