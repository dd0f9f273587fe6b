package basespec

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/caps"
)

// defaultRlimits are the limits of a process that asks for none: those that Docker's unit gives, whatever the shell or service
// manager that the daemon was started from has.
func defaultRlimits() []specs.POSIXRlimit { return slices.Clone(machineRlimits()) }

var machineRlimits = sync.OnceValue(func() []specs.POSIXRlimit {
	have, err := caps.Available()
	raise := err == nil && slices.Contains(have, "CAP_SYS_RESOURCE")
	files := uint64(1 << 20)
	// The hard limit of NOFILE is bounded for everybody (proc_sys_fs(5), nr_open).
	if b, err := os.ReadFile("/proc/sys/fs/nr_open"); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil {
			files = min(files, n)
		}
	}
	var out []specs.POSIXRlimit
	for _, l := range []struct {
		name     string
		resource int
		limit    uint64
	}{
		{"RLIMIT_CORE", unix.RLIMIT_CORE, unix.RLIM_INFINITY},
		{"RLIMIT_NOFILE", unix.RLIMIT_NOFILE, files},
		{"RLIMIT_NPROC", unix.RLIMIT_NPROC, unix.RLIM_INFINITY}, // counts a uid's tasks over all containers: pids.max is the bound
	} {
		if !raise {
			// Without the capability nobody gets above our own hard limit: take that, and warn of nothing that nobody asked for.
			var own unix.Rlimit
			if unix.Getrlimit(l.resource, &own) != nil {
				continue
			}
			l.limit = min(l.limit, own.Max)
		}
		out = append(out, specs.POSIXRlimit{Type: l.name, Soft: l.limit, Hard: l.limit})
	}
	return out
})
