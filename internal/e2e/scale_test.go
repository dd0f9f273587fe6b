package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// usage is what processes have used of the machine.
type usage struct {
	processor time.Duration // user and system
	memory    int           // PSS, kB
}

// used adds up what pids have used. One that has ended counts nothing.
func used(t *testing.T, pids ...int) (u usage) {
	t.Helper()
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// proc_pid_stat(5): utime and stime are fields 14 and 15, in clock ticks of 10 ms.
		f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		for _, ticks := range f[11:13] {
			n, err := strconv.Atoi(ticks)
			if err != nil {
				t.Fatal(err)
			}
			u.processor += time.Duration(n) * 10 * time.Millisecond
		}
		rollup, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		for line := range strings.Lines(string(rollup)) {
			if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
				n, _ := strconv.Atoi(strings.Fields(rest)[0])
				u.memory += n
			}
		}
	}
	return u
}

// TestCostIsLinear: what containers of one project cost grows with their number and no faster, and while nothing happens nothing is used.
func TestCostIsLinear(t *testing.T) {
	h := ownHost(t)
	h.makeDirs(t)
	h.startDaemon(t)
	p := newProject(t, h, "scale", map[string]string{"compose.yaml": `
services:
  app:
    image: busybox
    init: true
    command: [sleep, infinity]
    restart: always
    deploy: {replicas: 1}
`})
	p.ok("up", "--detach") // the image is pulled, the daemon warm
	p.ok("down", "--timeout", "0")
	h.settled(t)
	small := shortOrLong(30, 100)
	const idle = 600 * time.Millisecond // of a minute: 1 % of one processor
	type row struct {
		n                  int
		up, again, down    time.Duration
		daemon             usage
		upDaemon, downWork time.Duration
		perMonitor         int
		idle               time.Duration // processor time of a minute
	}
	var rows []row
	timed := func(args ...string) (time.Duration, time.Duration) {
		t.Helper()
		begun, before := time.Now(), used(t, h.daemon.Process.Pid)
		p.ok(args...)
		return time.Since(begun), used(t, h.daemon.Process.Pid).processor - before.processor
	}
	for _, n := range []int{small, 2 * small, 3 * small} {
		r := row{n: n}
		scale := fmt.Sprintf("app=%d", n)
		r.up, r.upDaemon = timed("up", "--detach", "--scale", scale)
		r.again, _ = timed("up", "--detach", "--scale", scale)
		monitors := processes(t, func(c string) bool { return c == "stack-init monitor" })
		if len(monitors) != n {
			t.Fatalf("there are %d monitors of %d containers", len(monitors), n)
		}
		// What the start needed is given back a moment after.
		everybody := append(monitors, h.daemon.Process.Pid)
		quiet, looked := used(t, everybody...), time.Now()
		p.eventually("it is quiet", func() bool {
			if time.Since(looked) < 200*time.Millisecond {
				return false
			}
			before := quiet
			quiet, looked = used(t, everybody...), time.Now()
			return quiet.processor-before.processor <= 10*time.Millisecond
		})
		r.daemon = used(t, h.daemon.Process.Pid)
		r.perMonitor = used(t, monitors...).memory / n
		watch := time.Duration(shortOrLong(5, 60)) * time.Second
		for range 5 { // on a busy machine what interrupts us is counted as ours
			begun := used(t, everybody...)
			time.Sleep(watch) // being idle is what is measured
			if r.idle = time.Duration(float64(used(t, everybody...).processor-begun.processor) * float64(time.Minute) / float64(watch)); r.idle <= idle {
				break
			}
		}
		r.down, r.downWork = timed("down", "--timeout", "0")
		h.settled(t)
		rows = append(rows, r)
		t.Logf("%d containers: up %v (daemon %v of processor), again %v, down %v (daemon %v); daemon %d kB, a monitor %d kB; idle: %v of processor a minute, all together",
			n, r.up.Round(time.Millisecond), r.upDaemon, r.again.Round(time.Millisecond), r.down.Round(time.Millisecond), r.downWork, r.daemon.memory, r.perMonitor, r.idle)
	}
	first, last := rows[0], rows[len(rows)-1]
	// Three times as many may cost three times as much; the clock ticks are coarse. By the processor's time and not by the wall's: the machine has
	// other work.
	linear := func(what string, a, b time.Duration) {
		t.Helper()
		if b > a*9/2+200*time.Millisecond {
			t.Errorf("%s: %v for %d, %v for %d: more than linear", what, a, first.n, b, last.n)
		}
	}
	linear("the daemon's processor time of up", first.upDaemon, last.upDaemon)
	linear("the daemon's processor time of down", first.downWork, last.downWork)
	if first.daemon.memory*9/2 < last.daemon.memory {
		t.Errorf("the daemon holds %d kB with %d containers and %d kB with %d", first.daemon.memory, first.n, last.daemon.memory, last.n)
	}
	if last.perMonitor > first.perMonitor*5/4+50 {
		t.Errorf("a monitor holds %d kB with %d containers and %d kB with %d", first.perMonitor, first.n, last.perMonitor, last.n)
	}
	if last.idle > idle {
		t.Errorf("%d containers that do nothing cost %v of processor a minute", last.n, last.idle)
	}
}
