package containers

import (
	"cmp"
	"encoding/json"
	"maps"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/blkiodev"
	"github.com/moby/moby/api/types/container"

	"github.com/stackrun/stack/internal/logdriver"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/reconcile/single"
	"github.com/stackrun/stack/runtime/cgroup"
)

// ownRuntime is what inspect calls the one that there is.
const ownRuntime = "stack"

// unlocked is what a container is called whose system paths nobody masks.
const unlocked = "systempaths=unconfined"

// setHost takes what h says but for mounts and networks.
func setHost(want *single.Want, h *container.HostConfig) (warnings []string, err error) {
	warnings = []string{}
	if err := refuse("HostConfig.", h); err != nil {
		return nil, err
	}
	s := &want.Spec
	if s.Resources, err = resources(&h.Resources); err != nil {
		return nil, err
	}
	if err := checkWords(h); err != nil {
		return nil, err
	}
	if h.Runtime == "runc" {
		warnings = append(warnings, "Runtime: stack has a runtime of its own, and runs the container with that")
	}
	if h.UsernsMode == "host" {
		warnings = append(warnings, "UsernsMode: containers of stack live in the host's user namespace in any case")
	}
	s.Ulimits = ulimits(h.Ulimits)
	s.CgroupParent, s.DeviceRules = h.CgroupParent, h.DeviceCgroupRules
	for _, d := range h.Devices {
		s.Devices = append(s.Devices, plan.Device{Source: d.PathOnHost, Target: cmp.Or(d.PathInContainer, d.PathOnHost), Permissions: d.CgroupPermissions})
	}
	for _, d := range h.DeviceRequests {
		if err := refuse("HostConfig.DeviceRequests.", d); err != nil {
			return nil, err
		}
		if len(d.Capabilities) > 1 {
			return nil, cannot("HostConfig.DeviceRequests: %d lists of capabilities, of which one would do; stack takes one list", len(d.Capabilities))
		}
		q := plan.DeviceRequest{Driver: d.Driver, Count: int64(d.Count), IDs: d.DeviceIDs}
		if len(d.Capabilities) == 1 {
			q.Capabilities = d.Capabilities[0]
		}
		s.DeviceRequests = append(s.DeviceRequests, q)
	}
	if err := container.ValidateRestartPolicy(h.RestartPolicy); err != nil {
		return nil, invalid("%v", err)
	}
	s.Restart = restartPolicy(h.RestartPolicy)
	if h.AutoRemove && s.Restart.Name != "" {
		return nil, invalid("can't create 'AutoRemove' container with restart policy")
	}
	s.Logging = plan.Logging{Driver: h.LogConfig.Type, Options: h.LogConfig.Config}
	more, err := checkLogging(s.Logging)
	if err != nil {
		return nil, err
	}
	warnings = append(warnings, more...)
	s.Annotations, s.CapAdd, s.CapDrop, s.Privileged = h.Annotations, h.CapAdd, h.CapDrop, h.Privileged
	s.Cgroup, s.IPC, s.PID, s.UTS = string(h.CgroupnsMode), string(h.IpcMode), string(h.PidMode), string(h.UTSMode)
	s.GroupAdd, s.OOMScoreAdj, s.ReadOnly, s.ShmSize, s.Sysctls = h.GroupAdd, h.OomScoreAdj, h.ReadonlyRootfs, h.ShmSize, h.Sysctls
	s.SecurityOpt = h.SecurityOpt
	if h.MaskedPaths != nil || h.ReadonlyPaths != nil {
		if len(h.MaskedPaths)+len(h.ReadonlyPaths) > 0 {
			return nil, cannot("HostConfig.MaskedPaths and HostConfig.ReadonlyPaths: stack masks docker's own set of paths, or none when both lists are empty")
		}
		s.SecurityOpt = append(s.SecurityOpt, unlocked)
	}
	if h.Init != nil {
		s.Init = *h.Init
	}
	want.Rows, want.Cols = uint16(min(h.ConsoleSize[0], 1<<16-1)), uint16(min(h.ConsoleSize[1], 1<<16-1))
	want.Traits.AutoRemove, want.Traits.IDFile, want.Traits.PublishAll = h.AutoRemove, h.ContainerIDFile, h.PublishAllPorts
	return warnings, nil
}

// checkLogging refuses what a driver that sends a log cannot take, and tells of options that have no effect.
func checkLogging(l plan.Logging) (warnings []string, err error) {
	if logdriver.Sends(l.Driver) {
		for _, f := range logdriver.Check(l.Driver, l.Options) {
			if !f.Idle {
				return nil, invalid("%v", f)
			}
			warnings = append(warnings, "LogConfig.Config."+f.Option+": "+f.Detail)
		}
		return warnings, nil
	}
	for _, name := range slices.Sorted(maps.Keys(l.Options)) {
		if name != "max-size" && name != "max-file" {
			warnings = append(warnings, "LogConfig.Config."+name+": stack's logs have no such option, it has no effect")
		}
	}
	return warnings, nil
}

// checkWords refuses values of fields that take few.
func checkWords(h *container.HostConfig) error {
	switch {
	case h.Runtime != "" && h.Runtime != "runc" && h.Runtime != ownRuntime:
		return cannot("HostConfig.Runtime %q: stack has a runtime of its own, and no other", h.Runtime)
	case !h.Isolation.IsDefault():
		return cannot("HostConfig.Isolation %q: that is for Windows", h.Isolation)
	case !h.UsernsMode.Valid():
		return invalid("invalid UsernsMode: %s", h.UsernsMode)
	case h.VolumeDriver != "" && h.VolumeDriver != "local":
		return cannot("HostConfig.VolumeDriver %q: stack has volumes of driver local only", h.VolumeDriver)
	case !h.IpcMode.Valid():
		return invalid("invalid IPC mode: %s", h.IpcMode)
	case !h.PidMode.Valid():
		return invalid("invalid PID mode: %s", h.PidMode)
	case !h.UTSMode.Valid():
		return invalid("invalid UTS mode: %s", h.UTSMode)
	case !h.CgroupnsMode.Valid():
		return invalid("invalid cgroup namespace mode: %s", h.CgroupnsMode)
	case slices.ContainsFunc(h.SecurityOpt, func(o string) bool {
		profile, ok := strings.CutPrefix(o, "seccomp=")
		return ok && profile != "unconfined" && profile != "builtin" && !json.Valid([]byte(profile))
	}):
		return invalid("HostConfig.SecurityOpt: the seccomp profile is no JSON: a client sends what is in its file")
	case h.ShmSize < 0:
		return invalid("SHM size can not be less than 0")
	}
	return nil
}

func restartPolicy(p container.RestartPolicy) plan.RestartPolicy {
	if p.IsNone() {
		return plan.RestartPolicy{}
	}
	return plan.RestartPolicy{Name: string(p.Name), MaxAttempts: p.MaximumRetryCount}
}

func ulimits(list []*container.Ulimit) map[string]plan.Ulimit {
	var out map[string]plan.Ulimit
	for _, u := range list {
		if u == nil {
			continue
		}
		if out == nil {
			out = map[string]plan.Ulimit{}
		}
		out[strings.ToLower(u.Name)] = plan.Ulimit{Soft: u.Soft, Hard: u.Hard}
	}
	return out
}

// resources are the limits of r. MemorySwappiness -1 and PidsLimit 0 are docker's words for none said.
func resources(r *container.Resources) (plan.Resources, error) {
	if err := refuse("HostConfig.", r); err != nil {
		return plan.Resources{}, err
	}
	const minMemory = 6 << 20 // dockerd's
	switch {
	case r.Memory < 0 || r.CPUShares < 0 || r.NanoCPUs < 0 || r.CPUPeriod < 0 || r.MemoryReservation < 0:
		return plan.Resources{}, invalid("invalid limit: expected a positive number")
	case r.Memory > 0 && r.Memory < minMemory:
		return plan.Resources{}, invalid("Minimum memory limit allowed is 6MB") //nolint:staticcheck // docker's sentence
	case r.Memory > 0 && r.MemorySwap > 0 && r.MemorySwap < r.Memory:
		return plan.Resources{}, invalid("Minimum memoryswap limit should be larger than memory limit, see usage") //nolint:staticcheck // docker's sentence
	case r.NanoCPUs > 0 && (r.CPUPeriod > 0 || r.CPUQuota > 0):
		return plan.Resources{}, invalid("Conflicting options: Nano CPUs and CPU Period or Quota cannot both be set") //nolint:staticcheck // docker's sentence
	}
	if have := runtime.NumCPU(); r.NanoCPUs > 0 && (r.NanoCPUs < 1e7 || r.NanoCPUs > int64(have)*1e9) {
		return plan.Resources{}, invalid("range of CPUs is from 0.01 to %[1]d.00, as there are only %[1]d CPUs available", have)
	}
	if r.CpusetCpus != "" {
		if err := cgroup.CheckCPUs(r.CpusetCpus); err != nil {
			return plan.Resources{}, invalid("Requested CPUs are not available - requested %w", err) //nolint:staticcheck // docker's sentence
		}
	}
	out := plan.Resources{
		CPUs: float64(r.NanoCPUs) / 1e9, CPUShares: uint64(r.CPUShares), CPUQuota: r.CPUQuota, CPUPeriod: uint64(r.CPUPeriod), CPUSet: r.CpusetCpus,
		Memory: r.Memory, MemoryReservation: r.MemoryReservation, MemorySwap: r.MemorySwap,
	}
	if r.MemorySwappiness != nil && *r.MemorySwappiness >= 0 {
		if *r.MemorySwappiness > 100 {
			return out, invalid("invalid value: %d, valid memory swappiness range is 0-100", *r.MemorySwappiness)
		}
		out.MemorySwappiness = new(uint64(*r.MemorySwappiness))
	}
	if r.OomKillDisable != nil {
		out.OOMKillDisable = *r.OomKillDisable
	}
	if r.PidsLimit != nil {
		out.Pids = *r.PidsLimit
	}
	out.BlkIO = blkIO(r)
	return out, nil
}

func blkIO(r *container.Resources) *plan.BlkIO {
	b := plan.BlkIO{Weight: r.BlkioWeight, ReadBps: rates(r.BlkioDeviceReadBps), WriteBps: rates(r.BlkioDeviceWriteBps), ReadIOps: rates(r.BlkioDeviceReadIOps), WriteIOps: rates(r.BlkioDeviceWriteIOps)}
	for _, d := range r.BlkioWeightDevice {
		if d != nil {
			b.WeightDevice = append(b.WeightDevice, plan.DeviceRate{Path: d.Path, Rate: int64(d.Weight)})
		}
	}
	if b.Weight == 0 && len(b.WeightDevice)+len(b.ReadBps)+len(b.WriteBps)+len(b.ReadIOps)+len(b.WriteIOps) == 0 {
		return nil
	}
	return &b
}

func rates(list []*blkiodev.ThrottleDevice) []plan.DeviceRate {
	var out []plan.DeviceRate
	for _, d := range list {
		if d != nil {
			out = append(out, plan.DeviceRate{Path: d.Path, Rate: int64(d.Rate)})
		}
	}
	return out
}
