package containers

import (
	"context"
	"encoding/json"
	"net/http"
	"runtime"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/stackrun/stack/api/docker/wire"
	"github.com/stackrun/stack/internal/hostinfo"
)

// statsInterval is the time between two readings, dockerd's.
const statsInterval = time.Second

// stats are readings of what the container uses, one a second; without stream one, which has another of a second before to compare with unless one-shot says that it need not.
func (h *handlers) stats(w http.ResponseWriter, r *http.Request) error {
	ref := r.PathValue("id")
	now, err := h.reading(r.Context(), ref)
	if err != nil {
		return err
	}
	tick := time.NewTicker(statsInterval)
	defer tick.Stop()
	next := func() bool {
		select {
		case <-r.Context().Done():
			return false
		case <-tick.C:
		}
		before := now
		if now, err = h.reading(r.Context(), before.ID); err != nil {
			return false // it is gone
		}
		now.PreCPUStats, now.PreRead = before.CPUStats, before.Read
		return true
	}
	if !wire.BoolOr(r, "stream", true) {
		if !wire.Bool(r, "one-shot") && now.CPUStats.SystemUsage != 0 {
			next()
		}
		if err != nil {
			return err
		}
		return wire.JSON(w, http.StatusOK, now)
	}
	out := json.NewEncoder(wire.Stream(w, "application/json"))
	for {
		if out.Encode(now) != nil || !next() {
			return nil
		}
	}
}

// reading is what a container uses now; of one that does not run, nothing.
func (h *handlers) reading(ctx context.Context, ref string) (s container.StatsResponse, err error) {
	id, name, u, err := h.engine.Usage(ctx, ref)
	if err != nil {
		return s, err
	}
	s.ID, s.Name, s.OSType = id, "/"+name, "linux"
	if u == nil {
		return s, nil
	}
	system, err := hostinfo.CPUTime()
	if err != nil {
		return s, err
	}
	s.Read = time.Now()
	s.CPUStats = container.CPUStats{CPUUsage: container.CPUUsage{TotalUsage: uint64(u.CPU)}, SystemUsage: uint64(system), OnlineCPUs: uint32(runtime.NumCPU())}
	// The first name is that of cgroup v2, the other of v1: clients look for either.
	s.MemoryStats = container.MemoryStats{Usage: u.Memory, Limit: u.MemoryLimit, Stats: map[string]uint64{"inactive_file": u.InactiveCache, "total_inactive_file": u.InactiveCache}}
	s.PidsStats = container.PidsStats{Current: u.Pids}
	s.BlkioStats.IoServiceBytesRecursive = []container.BlkioStatEntry{{Op: "read", Value: u.Read}, {Op: "write", Value: u.Written}}
	if u.Received+u.Sent > 0 {
		s.Networks = map[string]container.NetworkStats{"eth0": {RxBytes: u.Received, TxBytes: u.Sent}} // of all interfaces together
	}
	return s, nil
}
