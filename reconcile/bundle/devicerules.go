package bundle

import (
	"fmt"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/internal/errdefs"
)

// setDeviceRules adds device_cgroup_rules: devices that the container may use when it makes, or finds, their nodes.
func setDeviceRules(out *specs.Spec, rules []string) error {
	for _, text := range rules {
		rule, ok := deviceRule(text)
		if !ok {
			return fmt.Errorf("cannot use device_cgroup_rules %q: expected a type (a, b or c), MAJOR:MINOR with * for any, and letters of rwm, such as \"c 188:* rmw\": %w", text, errdefs.ErrInvalidArgument)
		}
		out.Linux.Resources.Devices = append(out.Linux.Resources.Devices, rule)
	}
	return nil
}

// deviceRule reads a rule as cgroup v1 has it in devices.allow.
// https://docs.kernel.org/admin-guide/cgroup-v1/devices.html
func deviceRule(text string) (rule specs.LinuxDeviceCgroup, ok bool) {
	f := strings.Split(text, " ")
	if len(f) != 3 || f[0] != "a" && f[0] != "b" && f[0] != "c" || len(f[2]) < 1 || len(f[2]) > 3 || strings.Trim(f[2], "rwm") != "" {
		return rule, false
	}
	major, minor, both := strings.Cut(f[1], ":")
	rule = specs.LinuxDeviceCgroup{Allow: true, Type: f[0], Access: f[2]}
	return rule, both && deviceNumber(major, &rule.Major) && deviceNumber(minor, &rule.Minor)
}

// deviceNumber reads a number; * leaves it nil, any.
func deviceNumber(text string, into **int64) bool {
	if text == "*" {
		return true
	}
	// dev_t has 12 and 20 bits for them, makedev(3).
	n, err := strconv.ParseUint(text, 10, 20)
	*into = new(int64(n))
	return err == nil
}
