package bundle

import (
	"maps"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/reconcile/plan"
)

// cpuPeriod is what a number of cpus is spread over, µs; the kernel's and docker's default.
const cpuPeriod = 100_000

// defaultPids is how many tasks (processes and threads) a container has at most that asks for no bound: a fork bomb
// ends there and not where the host has no pid left, whose maximum is 32768 by default (proc_sys_kernel(5), pid_max).
// pids_limit: -1 lifts it. Large Java services have some hundred threads.
const defaultPids = 4096

func setResources(out *specs.Spec, s *plan.Spec) {
	r := s.Resources
	res := out.Linux.Resources
	if res == nil {
		res = &specs.LinuxResources{}
		out.Linux.Resources = res
	}
	if r.Memory > 0 || r.MemoryReservation > 0 || r.MemorySwap != 0 || r.MemorySwappiness != nil || r.OOMKillDisable {
		m := &specs.LinuxMemory{}
		res.Memory = m
		if r.Memory > 0 {
			m.Limit = new(r.Memory)
			// Without a word on swap a container may use as much of it as it has memory: memory+swap is twice the
			// limit. docker's rule, which limits were chosen under.
			swap := 2 * r.Memory
			if r.MemorySwap != 0 {
				swap = r.MemorySwap
			}
			m.Swap = &swap
		}
		if r.MemoryReservation > 0 {
			m.Reservation = new(r.MemoryReservation)
		}
		if r.MemorySwappiness != nil {
			m.Swappiness = new(*r.MemorySwappiness)
		}
		if r.OOMKillDisable {
			m.DisableOOMKiller = new(true)
		}
	}
	if r.CPUs > 0 || r.CPUShares > 0 || r.CPUQuota != 0 || r.CPUPeriod > 0 || r.CPUSet != "" {
		c := &specs.LinuxCPU{Cpus: r.CPUSet}
		res.CPU = c
		if r.CPUShares > 0 {
			c.Shares = new(r.CPUShares)
		}
		if r.CPUPeriod > 0 {
			c.Period = new(r.CPUPeriod)
		}
		if r.CPUQuota != 0 {
			c.Quota = new(r.CPUQuota)
		}
		if r.CPUs > 0 {
			period := uint64(cpuPeriod)
			quota := int64(r.CPUs * cpuPeriod)
			c.Period, c.Quota = &period, &quota
		}
	}
	res.Pids = &specs.LinuxPids{Limit: new(r.Pids)}
	if r.Pids == 0 {
		res.Pids.Limit = new(int64(defaultPids))
	}
}

func setRlimits(p *specs.Process, limits map[string]plan.Ulimit) {
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		rlimit := specs.POSIXRlimit{Type: "RLIMIT_" + strings.ToUpper(name), Soft: Unbounded(limits[name].Soft), Hard: Unbounded(limits[name].Hard)}
		p.Rlimits = slices.DeleteFunc(p.Rlimits, func(r specs.POSIXRlimit) bool { return r.Type == rlimit.Type })
		p.Rlimits = append(p.Rlimits, rlimit)
	}
}

// Unbounded turns -1 into RLIM_INFINITY, which is all ones: see getrlimit(2).
func Unbounded(n int64) uint64 {
	if n < 0 {
		return ^uint64(0)
	}
	return uint64(n)
}

// setSysctls gives the runtime those that are not of the network namespace: the network driver writes net.* when it makes
// the namespace (see NetSysctls).
func setSysctls(out *specs.Spec, s *plan.Spec) {
	for k, v := range s.Sysctls {
		if strings.HasPrefix(k, "net.") {
			continue
		}
		if out.Linux.Sysctl == nil {
			out.Linux.Sysctl = map[string]string{}
		}
		out.Linux.Sysctl[k] = v
	}
}

// NetSysctls are those of s that belong to its network namespace.
func NetSysctls(s *plan.Spec) map[string]string {
	var net map[string]string
	for k, v := range s.Sysctls {
		if strings.HasPrefix(k, "net.") {
			if net == nil {
				net = map[string]string{}
			}
			net[k] = v
		}
	}
	return net
}
