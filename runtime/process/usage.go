package process

import (
	"time"
)

// Usage is what a container uses now, and has used since its start.
type Usage struct {
	Clock time.Duration `json:"clock"` // CLOCK_MONOTONIC when it was read: what two readings are apart by, whatever is done to the time of day
	CPU   time.Duration `json:"cpu"`   // of all its processors

	Memory        uint64 `json:"memory"`        // bytes, with the cache
	InactiveCache uint64 `json:"inactiveCache"` // of Memory: pages of files that nobody has used for a while
	MemoryLimit   uint64 `json:"memoryLimit"`   // bytes: of the host's memory where there is no other
	Pids          uint64 `json:"pids"`          // processes and their threads

	// Received and Sent are what went through the interfaces of its network, lo excepted, bytes; on the host's network nothing is counted.
	Received uint64 `json:"received"`
	Sent     uint64 `json:"sent"`

	// Read and Written are what went to and came from devices, bytes. A container whose cgroups do not count that (see cgroup.Usage) has the sum of what
	// its processes count themselves: without what execs have done that have ended, and children that nobody has waited for.
	Read    uint64 `json:"read"`
	Written uint64 `json:"written"`
}
