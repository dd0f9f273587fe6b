package e2e

import (
	"strings"
	"testing"
)

// TestLogLimit: without a limit every line is kept; with one the reader is told that older lines are gone. The init of a container whose limit of
// processes is four leaves it three.
func TestLogLimit(t *testing.T) {
	p := compose(t, "limit", `
services:
  all:
    image: busybox
    init: true
    pids_limit: 4
    command: ["sh", "-c", "yes 0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789 | head -n 120000"]
  some:
    image: busybox
    command: ["sh", "-c", "seq 20000; echo last"]
    logging: {options: {max-size: 20k, max-file: "2"}}
`)
	p.up()
	p.ok("wait", "all", "some")
	if n := strings.Count(p.ok("logs", "--no-log-prefix", "all"), "\n"); n != 120_000 { // 17 MB
		t.Errorf("%d lines without a limit", n)
	}
	got := p.run("logs", "--no-log-prefix", "some")
	if !strings.HasSuffix(got.stdout, "\nlast\n") || strings.HasPrefix(got.stdout, "1\n") {
		t.Errorf("the limited log begins with %.20q", got.stdout)
	}
	contains(t, "stderr", got.stderr, "warning: log of some-1: older lines are missing")
	contains(t, "stderr", got.stderr, "max-size")
	equal(t, "stderr of --tail", p.run("logs", "--tail", "3", "some").stderr, "")
}
