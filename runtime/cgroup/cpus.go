package cgroup

import (
	"fmt"
	"os"
	"strings"

	"github.com/stackrun/stack/internal/errdefs"
)

// onlineCPUs is where the kernel lists the processors that run, in the format of cpuset(7).
const onlineCPUs = "/sys/devices/system/cpu/online"

// CheckCPUs says why set, a cpuset in the format of cpuset(7), names no cpus of this host: ErrInvalidArgument.
func CheckCPUs(set string) error {
	want, err := parseSet(set)
	if err != nil {
		return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%q: expected a list such as 0-2,4: %w", set, err))
	}
	raw, err := os.ReadFile(onlineCPUs)
	if err != nil {
		return nil // without a sysfs the kernel decides, when the limit is set
	}
	online := strings.TrimSpace(string(raw))
	have, err := parseSet(online)
	if err != nil {
		return nil
	}
	for cpu := range want {
		if !have[cpu] {
			return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf("%s, available: %s", set, online))
		}
	}
	return nil
}
