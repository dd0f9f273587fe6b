package cgroup

import (
	"errors"
	"slices"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/internal/errdefs"
)

func p[T interface{ int64 | uint64 | uint16 | bool }](v T) *T { return &v }

func TestParseMounts(t *testing.T) {
	const info = `22 1 0:21 / / rw - ext4 /dev/vda rw
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpuacct,cpu
33 31 0:30 / /sys/fs/cgroup/my\040pids rw - cgroup cgroup rw,pids
34 31 0:31 /.. /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
35 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
36 31 0:32 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
37 31 0:33 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
38 31 0:34 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
39 38 0:35 / /sys/fs/cgroup/devices rw - tmpfs tmpfs rw
`
	got, err := parseMounts(strings.NewReader(info))
	if err != nil {
		t.Fatal(err)
	}
	want := []mount{
		{"/", "/sys/fs/cgroup/cpu,cpuacct", false, []string{"cpuacct", "cpu"}},
		{"/", "/sys/fs/cgroup/my pids", false, []string{"pids"}},
		{"/", "/sys/fs/cgroup/memory", false, []string{"memory"}},
		{"/", "/sys/fs/cgroup/systemd", false, nil},
		{"/", "/sys/fs/cgroup/unified", true, nil},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v", got)
	}
	for i := range want {
		if got[i].root != want[i].root || got[i].point != want[i].point || got[i].v2 != want[i].v2 || !slices.Equal(got[i].controllers, want[i].controllers) {
			t.Errorf("%d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

// everything asks for all that can be limited.
func everything() *specs.LinuxResources {
	device := specs.LinuxThrottleDevice{Rate: 1000}
	device.Major, device.Minor = 8, 16
	return &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: p[int64](64 << 20), Swap: p[int64](96 << 20), Reservation: p[int64](32 << 20)},
		CPU:    &specs.LinuxCPU{Shares: p[uint64](1024), Quota: p[int64](50000), Period: p[uint64](100000), Cpus: "0-1", Mems: "0"},
		Pids:   &specs.LinuxPids{Limit: p[int64](100)},
		BlockIO: &specs.LinuxBlockIO{Weight: p[uint16](500), ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{device},
			ThrottleWriteIOPSDevice: []specs.LinuxThrottleDevice{device}},
		HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}},
	}
}

func text(list []setting) string {
	var out []string
	for _, s := range list {
		out = append(out, s.file+"="+s.value)
	}
	return strings.Join(out, "\n")
}

func TestSettings(t *testing.T) {
	v1 := host{v1: map[string]string{}}
	for _, c := range v1Controllers {
		v1.v1[c] = "/sys/fs/cgroup/" + c
	}
	v2 := host{v2: "/sys/fs/cgroup", v2Controllers: []string{"cpu", "cpuset", "io", "memory", "pids", "hugetlb"}}
	for name, tc := range map[string]struct {
		host host
		want string
	}{
		"v1": {v1, `memory.limit_in_bytes=67108864
memory.memsw.limit_in_bytes=100663296
memory.soft_limit_in_bytes=33554432
cpu.shares=1024
cpu.cfs_period_us=100000
cpu.cfs_quota_us=50000
cpuset.cpus=0-1
cpuset.mems=0
pids.max=100
blkio.bfq.weight=500
blkio.throttle.read_bps_device=8:16 1000
blkio.throttle.write_iops_device=8:16 1000
hugetlb.2MB.limit_in_bytes=4194304`},
		"v2": {v2, `memory.max=67108864
memory.swap.max=33554432
memory.low=33554432
cpu.weight=100
cpu.max=50000 100000
cpuset.cpus=0-1
cpuset.mems=0
pids.max=100
io.bfq.weight=500
io.max=8:16 rbps=1000
io.max=8:16 wiops=1000
hugetlb.2MB.max=4194304`},
	} {
		t.Run(name, func(t *testing.T) {
			got, missing := (&Parent{host: tc.host}).settings(everything())
			if text(got) != tc.want {
				t.Errorf("got\n%s\nwant\n%s", text(got), tc.want)
			}
			if len(missing) > 0 {
				t.Errorf("missing %q", missing)
			}
		})
	}
}

func TestMissingControllers(t *testing.T) {
	got, missing := (&Parent{host: host{v1: map[string]string{"pids": "/p"}}}).settings(everything())
	if text(got) != "pids.max=100" {
		t.Errorf("got %s", text(got))
	}
	for _, part := range []string{"memory limit", "cpu quota", "cpu shares", "cpuset cpus", "blkio weight", "2MB pages"} {
		if !slices.ContainsFunc(missing, func(s string) bool { return strings.HasPrefix(s, part) || strings.Contains(s, part) }) {
			t.Errorf("%s is missing silently: %q", part, missing)
		}
	}
}

func TestUnlimited(t *testing.T) {
	r := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: p[int64](1 << 20), Swap: p[int64](-1)}, CPU: &specs.LinuxCPU{Quota: p[int64](-1)},
		Pids: &specs.LinuxPids{Limit: p[int64](-1)}}
	if s, _ := memoryV2(r); text(s) != "memory.max=1048576\nmemory.swap.max=max" {
		t.Error(text(s))
	}
	if s, _ := memoryV1(r); text(s) != "memory.limit_in_bytes=1048576\nmemory.memsw.limit_in_bytes=-1" {
		t.Error(text(s))
	}
	if s, _ := cpuV2(r); text(s) != "cpu.max=max 100000" {
		t.Error(text(s))
	}
	if s, _ := pids(r); text(s) != "pids.max=max" {
		t.Error(text(s))
	}
	if _, bad := memoryV2(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: p[int64](2 << 20), Swap: p[int64](1 << 20), Swappiness: p[uint64](1),
		DisableOOMKiller: p(true)}}); len(bad) != 3 {
		t.Errorf("not said: %q", bad)
	}
}

func TestWeight(t *testing.T) {
	for shares, want := range map[uint64]uint64{0: 1, 2: 1, 1024: 100, 262144: 10000, 1 << 30: 10000} {
		if got := weight(shares); got != want {
			t.Errorf("weight(%d) = %d, want %d", shares, got, want)
		}
	}
	for s := uint64(2); s < 262144; s += 97 {
		if weight(s) > weight(s+97) {
			t.Fatalf("weight falls at %d", s)
		}
	}
}

func TestReadBack(t *testing.T) {
	for _, tc := range []struct {
		same      func(string, string) bool
		want, got string
		ok        bool
	}{
		{samePages, "1048577", "1048576", true},
		{samePages, "1048576", "2097152", false},
		{samePages, "-1", "9223372036854771712", true},
		{samePages, "max", "max", true},
		{sameSet, "0-1", "0,1", true},
		{sameSet, "0,1,2", "0-2", true},
		{sameSet, "0-1", "0", false},
		{sameSet, "0-1", "x", false},
		{hasLine, "8:16 1000", "8:0 5\n8:16 1000\n", true},
		{hasDefault, "100", "default 100\n8:0 50", true},
	} {
		if got := tc.same(tc.want, tc.got); got != tc.ok {
			t.Errorf("%q and %q: %v", tc.want, tc.got, got)
		}
	}
}

func rule(allow bool, kind string, major, minor int64, acc string) specs.LinuxDeviceCgroup {
	r := specs.LinuxDeviceCgroup{Allow: allow, Type: kind, Access: acc}
	if major >= 0 {
		r.Major = &major
	}
	if minor >= 0 {
		r.Minor = &minor
	}
	return r
}

func TestDeviceSet(t *testing.T) {
	all := specs.LinuxDeviceCgroup{Access: "rwm"}
	allowAll := specs.LinuxDeviceCgroup{Allow: true, Access: "rwm"}
	for name, tc := range map[string]struct {
		rules []specs.LinuxDeviceCgroup
		allow bool
		want  string
	}{
		"none":              {nil, true, ""},
		"deny all":          {[]specs.LinuxDeviceCgroup{all}, false, ""},
		"reset":             {[]specs.LinuxDeviceCgroup{all, rule(true, "c", 1, 3, "rwm"), allowAll}, true, ""},
		"joined":            {[]specs.LinuxDeviceCgroup{all, rule(true, "c", 1, 3, "r"), rule(true, "c", 1, 3, "wm")}, false, "c 1:3 rwm"},
		"taken back":        {[]specs.LinuxDeviceCgroup{all, rule(true, "c", 1, 3, "rwm"), rule(false, "c", 1, 3, "w")}, false, "c 1:3 rm"},
		"wildcard":          {[]specs.LinuxDeviceCgroup{all, rule(true, "b", 8, -1, "r")}, false, "b 8:* r"},
		"denied of all":     {[]specs.LinuxDeviceCgroup{allowAll, rule(false, "b", 8, 0, "w")}, true, "b 8:0 w"},
		"denied, not there": {[]specs.LinuxDeviceCgroup{all, rule(true, "c", 1, 3, "rwm"), rule(false, "b", 1, 3, "w")}, false, "c 1:3 rwm"},
	} {
		s, err := newDeviceSet(tc.rules)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, e := range s.exceptions {
			got = append(got, e.device.String()+" "+e.access.String())
		}
		if s.allow != tc.allow || strings.Join(got, ", ") != tc.want {
			t.Errorf("%s: allow %v, %q", name, s.allow, got)
		}
	}
	for name, rules := range map[string][]specs.LinuxDeviceCgroup{
		"a part of a wildcard": {all, rule(true, "c", 1, -1, "rwm"), rule(false, "c", 1, 3, "w")},
		"type a with a number": {rule(true, "a", 1, -1, "rwm")},
		"odd type":             {rule(true, "x", 1, 1, "r")},
		"odd access":           {rule(true, "c", 1, 1, "rx")},
	} {
		if _, err := newDeviceSet(rules); !errors.Is(err, errdefs.ErrNotSupported) && !errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
