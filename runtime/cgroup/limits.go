package cgroup

import (
	"fmt"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// translator turns one part of the resources into settings of either version. Pure. The second result names what that
// version cannot express.
type translator struct {
	v1Name, v2Name string
	v1, v2         func(*specs.LinuxResources) ([]setting, []string)
}

var translators = []translator{
	{"memory", "memory", memoryV1, memoryV2},
	{"cpu", "cpu", cpuV1, cpuV2},
	{"cpuset", "cpuset", cpuset, cpuset},
	{"pids", "pids", pids, pids},
	{"blkio", "io", blkioV1, ioV2},
	{"hugetlb", "hugetlb", hugetlbV1, hugetlbV2},
}

// unlimited is how the files of each version spell "no limit".
const (
	unlimitedV1 = "-1"
	unlimitedV2 = "max"
)

// infinityV1 is from where on v1 means no limit: it reads back the largest number of whole pages, of 64 KiB at most.
const infinityV1 = math.MaxInt64 &^ 0xffff

func memoryV1(r *specs.LinuxResources) (out []setting, bad []string) {
	m := r.Memory
	if m == nil {
		return nil, nil
	}
	bytes := func(what, file string, v *int64) {
		if v != nil && *v != 0 {
			out = append(out, setting{controller: "memory", what: what, file: file, value: number(*v, unlimitedV1), same: samePages, bytes: true})
		}
	}
	// memory+swap may not be less than memory: on a new cgroup, where both are unlimited, memory comes first.
	bytes("memory limit", "memory.limit_in_bytes", m.Limit)
	bytes("memory+swap limit", "memory.memsw.limit_in_bytes", m.Swap)
	bytes("memory reservation", "memory.soft_limit_in_bytes", m.Reservation)
	bytes("kernel TCP memory limit", "memory.kmem.tcp.limit_in_bytes", m.KernelTCP)
	if m.Swappiness != nil {
		out = append(out, setting{controller: "memory", what: "swappiness", file: "memory.swappiness", value: strconv.FormatUint(*m.Swappiness, 10)})
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		out = append(out, setting{controller: "memory", what: "OOM killer disabled", file: "memory.oom_control", value: "1",
			same: func(_, got string) bool { return strings.HasPrefix(got, "oom_kill_disable 1") }})
	}
	return out, nil
}

func memoryV2(r *specs.LinuxResources) (out []setting, bad []string) {
	m := r.Memory
	if m == nil {
		return nil, nil
	}
	add := func(what, file, value string) {
		out = append(out, setting{controller: "memory", what: what, file: file, value: value, same: samePages, bytes: true})
	}
	if m.Limit != nil && *m.Limit != 0 {
		add("memory limit", "memory.max", number(*m.Limit, unlimitedV2))
	}
	if m.Swap != nil && *m.Swap != 0 {
		// The runtime-spec's swap is memory+swap, that of v2 is swap alone.
		switch {
		case *m.Swap < 0:
			add("memory+swap limit", "memory.swap.max", unlimitedV2)
		case m.Limit == nil || *m.Limit <= 0:
			bad = append(bad, "memory+swap limit: needs a memory limit on cgroup v2")
		case *m.Swap < *m.Limit:
			bad = append(bad, fmt.Sprintf("memory+swap limit: %d is less than the memory limit %d", *m.Swap, *m.Limit))
		default:
			add("memory+swap limit", "memory.swap.max", number(*m.Swap-*m.Limit, unlimitedV2))
		}
	}
	if m.Reservation != nil && *m.Reservation != 0 {
		add("memory reservation", "memory.low", number(*m.Reservation, unlimitedV2))
	}
	if m.Swappiness != nil {
		bad = append(bad, "swappiness: cgroup v2 has none")
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		bad = append(bad, "OOM killer disabled: cgroup v2 cannot")
	}
	if m.KernelTCP != nil && *m.KernelTCP != 0 {
		bad = append(bad, "kernel TCP memory limit: cgroup v2 has none")
	}
	return out, bad
}

func cpuV1(r *specs.LinuxResources) (out []setting, bad []string) {
	c := r.CPU
	if c == nil {
		return nil, nil
	}
	add := func(what, file, value string) {
		out = append(out, setting{controller: "cpu", what: what, file: file, value: value})
	}
	if c.Shares != nil && *c.Shares != 0 {
		add("cpu shares", "cpu.shares", strconv.FormatUint(*c.Shares, 10))
	}
	if c.Period != nil && *c.Period != 0 {
		add("cpu period", "cpu.cfs_period_us", strconv.FormatUint(*c.Period, 10))
	}
	if c.Quota != nil && *c.Quota != 0 {
		add("cpu quota", "cpu.cfs_quota_us", number(*c.Quota, unlimitedV1))
	}
	if c.Burst != nil {
		add("cpu burst", "cpu.cfs_burst_us", strconv.FormatUint(*c.Burst, 10))
	}
	if c.Idle != nil {
		add("cpu idle", "cpu.idle", strconv.FormatInt(*c.Idle, 10))
	}
	return out, nil
}

func cpuV2(r *specs.LinuxResources) (out []setting, bad []string) {
	c := r.CPU
	if c == nil {
		return nil, nil
	}
	add := func(what, file, value string) {
		out = append(out, setting{controller: "cpu", what: what, file: file, value: value})
	}
	if c.Shares != nil && *c.Shares != 0 {
		add("cpu shares", "cpu.weight", strconv.FormatUint(weight(*c.Shares), 10))
	}
	quota, period := unlimitedV2, uint64(100000)
	if c.Quota != nil && *c.Quota > 0 {
		quota = strconv.FormatInt(*c.Quota, 10)
	}
	if c.Period != nil && *c.Period != 0 {
		period = *c.Period
	}
	if c.Quota != nil && *c.Quota != 0 || c.Period != nil && *c.Period != 0 {
		add("cpu quota", "cpu.max", fmt.Sprintf("%s %d", quota, period))
	}
	if c.Burst != nil {
		add("cpu burst", "cpu.max.burst", strconv.FormatUint(*c.Burst, 10))
	}
	if c.Idle != nil {
		add("cpu idle", "cpu.idle", strconv.FormatInt(*c.Idle, 10))
	}
	return out, nil
}

// weight maps v1's shares (2…262144, default 1024) to v2's weight (1…10000, default 100) so that the ends
// and the defaults meet, as the OCI runtimes do since 2025:
// https://github.com/opencontainers/cgroups/blob/v0.1.0/utils.go (ConvertCPUSharesToCgroupV2Value)
func weight(shares uint64) uint64 {
	switch {
	case shares <= 2:
		return 1
	case shares >= 262144:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

func cpuset(r *specs.LinuxResources) (out []setting, bad []string) {
	if r.CPU == nil {
		return nil, nil
	}
	if r.CPU.Cpus != "" {
		out = append(out, setting{controller: "cpuset", what: "cpuset cpus", file: "cpuset.cpus", value: r.CPU.Cpus, same: sameSet})
	}
	if r.CPU.Mems != "" {
		out = append(out, setting{controller: "cpuset", what: "cpuset memory nodes", file: "cpuset.mems", value: r.CPU.Mems, same: sameSet})
	}
	return out, nil
}

func pids(r *specs.LinuxResources) ([]setting, []string) {
	if r.Pids == nil || r.Pids.Limit == nil || *r.Pids.Limit == 0 {
		return nil, nil
	}
	return []setting{{controller: "pids", what: "pids limit", file: "pids.max", value: number(*r.Pids.Limit, unlimitedV2)}}, nil
}

func hugetlb(r *specs.LinuxResources, file string) (out []setting, bad []string) {
	for _, h := range r.HugepageLimits {
		out = append(out, setting{controller: "hugetlb", what: "limit of " + h.Pagesize + " pages",
			file: fmt.Sprintf("hugetlb.%s.%s", h.Pagesize, file), value: strconv.FormatUint(h.Limit, 10)})
	}
	return out, nil
}

func hugetlbV1(r *specs.LinuxResources) ([]setting, []string) { return hugetlb(r, "limit_in_bytes") }
func hugetlbV2(r *specs.LinuxResources) ([]setting, []string) { return hugetlb(r, "max") }

// refused names what no version of this package sets.
func refused(r *specs.LinuxResources) (bad []string) {
	if c := r.CPU; c != nil && (c.RealtimeRuntime != nil && *c.RealtimeRuntime != 0 || c.RealtimePeriod != nil && *c.RealtimePeriod != 0) {
		bad = append(bad, "cpu realtime: not supported")
	}
	if m := r.Memory; m != nil && m.Kernel != nil && *m.Kernel > 0 {
		bad = append(bad, "kernel memory limit: Linux has none since 5.4")
	}
	if n := r.Network; n != nil && (n.ClassID != nil && *n.ClassID != 0 || len(n.Priorities) > 0) {
		bad = append(bad, "network class and priority: not supported")
	}
	if len(r.Rdma) > 0 {
		bad = append(bad, "rdma limit: not supported")
	}
	if len(r.Unified) > 0 {
		keys := make([]string, 0, len(r.Unified))
		for k := range r.Unified {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		bad = append(bad, "unified "+strings.Join(keys, ", ")+": not supported")
	}
	return bad
}

// number spells a limit; a negative one is none.
func number(v int64, unlimited string) string {
	if v < 0 {
		return unlimited
	}
	return strconv.FormatInt(v, 10)
}

// samePages compares bytes; the kernel rounds to whole pages.
func samePages(want, got string) bool {
	if want == got {
		return true
	}
	if want == unlimitedV1 {
		g, err := strconv.ParseInt(got, 10, 64)
		return err == nil && g >= infinityV1
	}
	w, err1 := strconv.ParseInt(want, 10, 64)
	g, err2 := strconv.ParseInt(got, 10, 64)
	page := int64(os.Getpagesize())
	return err1 == nil && err2 == nil && g/page == w/page
}

// sameSet compares "0-1" with "0,1".
func sameSet(want, got string) bool {
	w, err1 := parseSet(want)
	g, err2 := parseSet(got)
	if err1 != nil || err2 != nil || len(w) != len(g) {
		return false
	}
	for k := range w {
		if !g[k] {
			return false
		}
	}
	return true
}

// parseSet reads the list format of cpuset(7): "0-4,9".
func parseSet(s string) (map[int]bool, error) {
	out := map[int]bool{}
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, ranged := strings.Cut(strings.TrimSpace(part), "-")
		a, err := strconv.Atoi(lo)
		if err != nil {
			return nil, err
		}
		b := a
		if ranged {
			if b, err = strconv.Atoi(hi); err != nil {
				return nil, err
			}
		}
		if a < 0 || b < a || b > 1<<16 {
			return nil, fmt.Errorf("bad range %q", part)
		}
		for i := a; i <= b; i++ {
			out[i] = true
		}
	}
	return out, nil
}
