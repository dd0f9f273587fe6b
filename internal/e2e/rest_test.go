package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestMonitorsRest: of containers with nothing to do no program in Go is left but the daemon, and they are what they were all the same: for their log, for who attaches,
// for an exec, for the next daemon, and at their end.
func TestMonitorsRest(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	p := &project{t: t, host: h, name: "resting", dir: filepath.Join(h.dir, "resting")}
	p.write("compose.yaml", `
services:
  one:
    image: busybox
    init: true
    stop_grace_period: 1m
    command: ["sh", "-c", "trap 'echo bye; exit 3' TERM; trap 'echo asked' USR1; echo ready; while :; do sleep 0.05; done"]
  two:
    image: busybox
    stdin_open: true
    command: ["sh", "-c", "echo ready; read line; echo got $$line; exec sleep 1000"]
  three:
    image: busybox
    command: [sleep, "1000"]
    restart: always
`)
	t.Cleanup(p.takeDownWholly)
	p.up()
	monitors := func() (all []int) {
		return processes(t, func(c string) bool { return c == "stack-init monitor" })
	}
	rest := func() {
		t.Helper()
		p.eventually("our processes beside the daemon are three that rest", func() bool {
			all := monitors()
			for _, pid := range all {
				if !mapsLittle(pid) {
					return false
				}
			}
			return len(all) == 3
		})
	}
	rest()
	p.ok("kill", "-s", "USR1", "one")
	p.eventually("the log has what one says", func() bool { return strings.Contains(p.ok("logs", "one"), "asked") })
	p.sh("three", "true")
	attached := p.beginWith(strings.NewReader("typed\n"), "attach", "two")
	p.eventually("two has read what was typed", func() bool { return strings.Contains(p.ok("logs", "two"), "got typed") })
	mustKill(t, attached.cmd.Process.Pid)
	attached.cmd.Wait()
	rest()

	before := p.one("resting-one-1").ID
	h.killDaemon(t)
	h.startDaemon(t)
	if after := p.one("resting-one-1"); after.ID != before || after.State != "running" {
		t.Errorf("to the next daemon it is %+v", after)
	}
	p.ok("stop", "one")
	if one := p.one("resting-one-1"); one.ExitCode != 3 || !strings.Contains(p.ok("logs", "one"), "bye") {
		t.Errorf("at its end it is %+v; log:\n%s", one, p.ok("logs", "one"))
	}
	was := p.runs("three")
	victim := p.status(p.one("resting-three-1").ID).MonitorPid
	p.eventually("the monitor of three rests", func() bool { return mapsLittle(victim) })
	mustKill(t, victim)
	p.eventually("its end is seen, and three is started again", func() bool { is := p.runs("three"); return is != "" && is != was })
}

// mapsLittle says whether the process has mapped no more than a MiB.
func mapsLittle(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return false
	}
	pages, err := strconv.Atoi(strings.Fields(string(b))[0])
	return err == nil && pages > 0 && pages*syscall.Getpagesize() < 1<<20
}
