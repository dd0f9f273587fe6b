package cgroup

import (
	"os"
	"path/filepath"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/internal/sandbox"
)

// TestUsage: what a process uses is counted, whichever version counts it, and what is not there is nothing.
func TestUsage(t *testing.T) {
	sandbox.LeavesNothing(t)
	parent := open(t, "stack-usage1", Options{})
	r := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: p[int64](64 << 20)}, Pids: &specs.LinuxPids{Limit: p[int64](50)}}
	_, _, err := create(parent, "one", r)
	must(t, err)
	before, err := parent.Usage("one")
	must(t, err)
	enter(t, parent, "one", "sh", "-c", "sleep 1000 & while :; do :; done")
	sandbox.Eventually(t, "it has used the processor, memory and two processes", func() bool {
		u, err := parent.Usage("one")
		must(t, err)
		return u.CPU > before.CPU && u.Memory > before.Memory && u.Memory >= u.InactiveCache && u.MemoryLimit == 64<<20 && u.Pids == 2
	})
	_, _, err = create(parent, "free", nil)
	must(t, err)
	if u, err := parent.Usage("free"); err != nil || u.MemoryLimit != 0 || u.Pids != 0 {
		t.Errorf("without limits or processes: %+v, %v", u, err)
	}
	if u, err := parent.Usage("nobody"); err != nil || u != (Usage{}) {
		t.Errorf("of nobody: %+v, %v", u, err)
	}
}

// TestUsageOfFiles: the words of each version, as kernels write them.
func TestUsageOfFiles(t *testing.T) {
	v1, v2 := t.TempDir(), t.TempDir()
	for path, text := range map[string]string{
		v1 + "/cpuacct.usage":         "2500000000\n",
		v1 + "/memory.usage_in_bytes": "1000000\n", v1 + "/memory.limit_in_bytes": "9223372036854771712\n",
		v1 + "/memory.stat": "cache 5\ninactive_file 1\ntotal_cache 9\ntotal_inactive_file 300000\n", v1 + "/pids.current": "7\n",
		v1 + "/blkio.throttle.io_service_bytes_recursive": "8:0 Read 100\n8:0 Write 20\n8:0 Sync 1\n8:0 Total 120\n8:16 Read 3\n8:16 Write 4\nTotal 127\n",
		v2 + "/cpu.stat":       "usage_usec 2500000\nuser_usec 1\n",
		v2 + "/memory.current": "1000000\n", v2 + "/memory.max": "max\n", v2 + "/memory.stat": "anon 5\ninactive_file 300000\n", v2 + "/pids.current": "7\n",
		v2 + "/io.stat": "8:0 rbytes=100 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:16 rbytes=3 wbytes=4\n253:0 \n",
	} {
		path = filepath.Join(filepath.Dir(path), "s", "one", filepath.Base(path))
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want := Usage{CPU: 2_500_000_000, Memory: 1_000_000, InactiveCache: 300_000, Pids: 7, IO: true, Read: 103, Written: 24}
	for name, h := range map[string]host{
		"v1": {v1: map[string]string{"cpuacct": v1, "memory": v1, "pids": v1, "blkio": v1}},
		"v2": {v2: v2, v2Controllers: []string{"cpu", "memory", "pids", "io"}},
	} {
		if u, err := (&Parent{host: h, name: "s"}).Usage("one"); err != nil || u != want {
			t.Errorf("%s: %+v, %v", name, u, err)
		}
	}
	hybrid := host{v2: v2, v1: map[string]string{"memory": v1, "pids": v1}}
	want.IO, want.Read, want.Written = false, 0, 0
	if u, err := (&Parent{host: hybrid, name: "s"}).Usage("one"); err != nil || u != want {
		t.Errorf("both, and nobody counts what goes to devices: %+v, %v", u, err)
	}
	must(t, os.WriteFile(filepath.Join(v2, "s", "one", "pids.current"), []byte("many\n"), 0o644))
	if u, err := (&Parent{host: host{v2: v2, v2Controllers: []string{"pids"}}, name: "s"}).Usage("one"); err == nil {
		t.Errorf("nonsense is %+v", u)
	}
}
