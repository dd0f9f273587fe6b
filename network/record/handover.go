package record

import (
	"slices"

	"github.com/stackrun/stack/network/definition"
)

// Handover is what a sandbox's record knows of its predecessor and successor.
type Handover struct {
	Waiting  bool              `json:",omitempty"` // for the names and ports of Config.Succeeds
	Relieved bool              `json:",omitempty"` // its names and ports have gone to a successor
	Turn     uint64            `json:",omitempty"` // counts the handovers that led to it: of two that claim one port, the later has it
	Gave     []definition.Port `json:",omitempty"` // ports that went to the successor; connections may still lead here
}

// finishHandovers brings records together of which a crash left one written: whoever took over has the ports.
func finishHandovers(all []Sandbox) []Sandbox {
	for i := range all {
		old := &all[i]
		for _, r := range all {
			if r.Config.Succeeds != old.Config.ContainerID || r.Waiting || r.Turn <= old.Turn {
				continue
			}
			old.Relieved = true
			old.Ports = slices.DeleteFunc(slices.Clone(old.Ports), func(p definition.Port) bool {
				moved := slices.ContainsFunc(r.Ports, func(q definition.Port) bool {
					return p.Protocol == q.Protocol && p.HostIP == q.HostIP && p.HostPort == q.HostPort
				})
				if moved {
					old.Gave = append(slices.Clip(old.Gave), p)
				}
				return moved
			})
		}
	}
	return all
}
