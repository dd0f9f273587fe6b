package probe

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/cmd/stack/doctor"
)

const cgroupRoot = "/sys/fs/cgroup"

// wanted are the controllers that limits of a Compose file need.
var wanted = []string{"memory", "cpu", "pids", "cpuset"}

func checkCgroups() []doctor.Check {
	var st unix.Statfs_t
	if err := unix.Statfs(cgroupRoot, &st); err != nil {
		return []doctor.Check{missing("cgroups", "mount them: mount -t cgroup2 none "+cgroupRoot, "%s: %v", cgroupRoot, err)}
	}
	if st.Type == unix.CGROUP2_SUPER_MAGIC {
		text, _ := os.ReadFile(cgroupRoot + "/cgroup.controllers")
		return []doctor.Check{controllers("v2", strings.Fields(string(text)))}
	}
	mounts, _ := os.ReadFile("/proc/self/mounts")
	mode, have := parseV1(string(mounts))
	if mode == "" {
		return []doctor.Check{missing("cgroups", "mount them: mount -t cgroup2 none "+cgroupRoot, "nothing is mounted below %s", cgroupRoot)}
	}
	return []doctor.Check{controllers(mode, have)}
}

// parseV1 reads /proc/self/mounts: which v1 controllers are mounted, and whether cgroup2 is beside them.
func parseV1(mounts string) (mode string, have []string) {
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 4 {
			continue
		}
		switch f[2] {
		case "cgroup":
			if mode == "" {
				mode = "v1"
			}
			have = append(have, strings.Split(f[3], ",")...)
		case "cgroup2":
			mode = "hybrid"
		}
	}
	return mode, have
}

func controllers(mode string, have []string) doctor.Check {
	var lacking []string
	for _, c := range wanted {
		if !slices.Contains(have, c) {
			lacking = append(lacking, c)
		}
	}
	if len(lacking) > 0 {
		return warning("cgroups", "boot without cgroup_disable=, and with cgroup_enable=memory where the distribution turns it off",
			"%s without %s: those limits of a file cannot be applied", mode, strings.Join(lacking, ", "))
	}
	return ok("cgroups", "%s: %s", mode, strings.Join(wanted, ", "))
}
