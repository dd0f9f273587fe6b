package fake

import (
	"time"

	"github.com/stackrun/stack/runtime"
	"github.com/stackrun/stack/runtime/process"
)

// Reboot is a power cut, while no daemon runs: whatever ran has ended with nobody to see it, and what is kept below the run root is gone.
func (h *Host) Reboot() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.networks)
	clear(h.sandboxes)
	for _, x := range h.containers {
		if x.status != runtime.Running {
			continue
		}
		if x.timer != nil {
			x.timer.Stop()
		}
		x.status = runtime.Stopped
		x.exit = &process.Exit{Code: 137, Signal: 9, FinishedAt: time.Now(), Error: "the host went down while the container ran"}
		close(x.ended)
	}
}

// Hint is a false alarm of every driver.
func (h *Host) Hint() {
	h.hints.networks.Give()
	h.hints.volumes.Give()
	h.hints.containers.Give()
}

// Reads counts the listings of containers: looks at the host.
func (h *Host) Reads() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reads
}
