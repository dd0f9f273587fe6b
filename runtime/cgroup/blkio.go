package cgroup

import (
	"fmt"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// throttle is one of the four limits per device, in the words of either version.
type throttle struct {
	what, v1, v2 string
	devices      []specs.LinuxThrottleDevice
}

func throttles(b *specs.LinuxBlockIO) []throttle {
	return []throttle{
		{"read bytes per second", "blkio.throttle.read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"write bytes per second", "blkio.throttle.write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"read operations per second", "blkio.throttle.read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"write operations per second", "blkio.throttle.write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	}
}

func blkioV1(r *specs.LinuxResources) (out []setting, bad []string) {
	b := r.BlockIO
	if b == nil {
		return nil, nil
	}
	if b.Weight != nil && *b.Weight != 0 {
		v := fmt.Sprint(*b.Weight)
		// blkio.weight went with the CFQ scheduler (Linux 5.0); BFQ's has its own name.
		out = append(out, setting{controller: "blkio", what: "blkio weight", file: "blkio.bfq.weight", value: v,
			alternative: &setting{controller: "blkio", what: "blkio weight", file: "blkio.weight", value: v}})
	}
	for _, d := range b.WeightDevice {
		if d.Weight == nil {
			continue
		}
		v := fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.Weight)
		out = append(out, setting{controller: "blkio", what: "blkio weight of a device", file: "blkio.bfq.weight_device", value: v, same: hasLine,
			alternative: &setting{controller: "blkio", what: "blkio weight of a device", file: "blkio.weight_device", value: v, same: hasLine}})
	}
	for _, t := range throttles(b) {
		for _, d := range t.devices {
			out = append(out, setting{controller: "blkio", what: t.what, file: t.v1, value: fmt.Sprintf("%d:%d %d", d.Major, d.Minor, d.Rate), same: hasLine})
		}
	}
	if b.LeafWeight != nil && *b.LeafWeight != 0 {
		bad = append(bad, "blkio leaf weight: Linux has none since 5.0")
	}
	return out, bad
}

func ioV2(r *specs.LinuxResources) (out []setting, bad []string) {
	b := r.BlockIO
	if b == nil {
		return nil, nil
	}
	if b.Weight != nil && *b.Weight != 0 {
		// 10…1000 of v1 to 1…10000 of io.weight, io.bfq.weight takes v1's range.
		out = append(out, setting{controller: "io", what: "blkio weight", file: "io.bfq.weight", value: fmt.Sprint(*b.Weight), same: hasDefault,
			alternative: &setting{controller: "io", what: "blkio weight", file: "io.weight",
				value: fmt.Sprint(1 + (uint64(max(*b.Weight, 10))-10)*9999/990), same: hasDefault}})
	}
	for _, d := range b.WeightDevice {
		if d.Weight != nil {
			out = append(out, setting{controller: "io", what: "blkio weight of a device", file: "io.bfq.weight",
				value: fmt.Sprintf("%d:%d %d", d.Major, d.Minor, *d.Weight), same: hasLine})
		}
	}
	for _, t := range throttles(b) {
		for _, d := range t.devices {
			device, limit := fmt.Sprintf("%d:%d", d.Major, d.Minor), fmt.Sprintf("%s=%d", t.v2, d.Rate)
			out = append(out, setting{controller: "io", what: t.what, file: "io.max", value: device + " " + limit,
				same: func(_, got string) bool {
					for line := range strings.Lines(got) {
						f := strings.Fields(line)
						if len(f) > 1 && f[0] == device && strings.Contains(line, " "+limit) {
							return true
						}
					}
					return false
				}})
		}
	}
	if b.LeafWeight != nil && *b.LeafWeight != 0 {
		bad = append(bad, "blkio leaf weight: cgroup v2 has none")
	}
	return out, bad
}

// hasLine is for files with one line per device.
func hasLine(want, got string) bool {
	for line := range strings.Lines(got) {
		if strings.Join(strings.Fields(line), " ") == want {
			return true
		}
	}
	return false
}

// hasDefault is for files whose general value stands in a line "default 100".
func hasDefault(want, got string) bool { return got == want || hasLine("default "+want, got) }
