package monitor_test

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sandbox"
	"github.com/stackrun/stack/runtime/proto"
)

// BenchmarkRun is a container's life as the monitor does it: cgroups aside, from its start to its exit file.
func BenchmarkRun(b *testing.B) {
	root := image(b)
	program(b)
	before := cpu(b)
	// The processor's time beside the clock's: on a busy machine only the first means anything.
	defer func() { b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-µs/op") }()
	for b.Loop() {
		c := newContainer(b, root, "")
		c.Spec.Process.Args = []string{"/bin/true"}
		c.start()
		c.await(proto.ReportStarted)
		c.await(proto.ReportExited)
		c.ended()
	}
}

// BenchmarkLog is a container that writes a million lines of 100 bytes.
func BenchmarkLog(b *testing.B) {
	root := image(b)
	program(b)
	for b.Loop() {
		c := newContainer(b, root, "yes "+strings.Repeat("x", 99)+" | head -n 1000000")
		c.run()
	}
}

// BenchmarkMemory reports the monitor's memory while its container runs.
func BenchmarkMemory(b *testing.B) {
	c := newContainer(b, image(b), "sleep 1000")
	c.start()
	c.await(proto.ReportStarted)
	first := memory(b, c.pid, "Private_Dirty")
	other := newContainer(b, image(b), "sleep 1000")
	other.start()
	other.await(proto.ReportStarted)
	sandbox.Eventually(b, "the monitor gives memory back", func() bool { return memory(b, c.pid, "Private_Dirty") < first })
	for b.Loop() {
		for _, what := range []string{"Pss", "Private_Dirty", "Rss"} {
			b.ReportMetric(float64(memory(b, c.pid, what)), what+"-kB")
		}
	}
}

// cpu is what our children, and theirs, have used.
func cpu(t testing.TB) time.Duration {
	var u unix.Rusage
	must(t, unix.Getrusage(unix.RUSAGE_CHILDREN, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func memory(t testing.TB, pid int, what string) (kb int) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	must(t, err)
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if strings.HasPrefix(s.Text(), what+":") {
			fmt.Sscanf(strings.TrimPrefix(s.Text(), what+":"), "%d", &kb)
		}
	}
	return kb
}
