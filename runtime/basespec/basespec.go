// Package basespec has what a container is when nothing is said about it, and what a privileged one is. It reads what this host has: capabilities, devices,
// and the bound of open files.
package basespec

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/runtime/caps"
	"github.com/stackrun/stack/runtime/cgroup"
)

// New is what a container has before anything is said about it, as Docker 29 gives it: every namespace
// of its own, the usual mounts, masked and read-only paths, the default capabilities and device rules, and
// PATH. It has no seccomp profile: that depends on the capabilities at the end, see package seccomp. The caller owns
// the result.
func New() *specs.Spec {
	c := caps.Default()
	return &specs.Spec{
		Version: specs.Version,
		Process: &specs.Process{
			Cwd: "/",
			Env: []string{"PATH=" + Path},

			Rlimits: defaultRlimits(),
			Capabilities: &specs.LinuxCapabilities{
				Bounding: c, Effective: append([]string{}, c...), Permitted: append([]string{}, c...),
			},
		},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=67108864"}},
		},
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace},
				{Type: specs.MountNamespace},
				{Type: specs.UTSNamespace},
				{Type: specs.IPCNamespace},
				{Type: specs.NetworkNamespace},
				{Type: specs.CgroupNamespace},
			},
			Resources:     &specs.LinuxResources{Devices: cgroup.DefaultDevices()},
			MaskedPaths:   maskedPaths(),
			ReadonlyPaths: readonlyPaths(),
		},
	}
}

// Path is PATH where the image does not set it.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// maskedPaths tell about the host or change it; Docker's list.
func maskedPaths() []string {
	return []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
	}
}

func readonlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// Privileged turns spec into that of a privileged container: every capability that this process can
// give, every device, nothing masked, /sys and cgroups writable, no seccomp profile. The warnings name capabilities that
// this host lacks.
func Privileged(spec *specs.Spec) ([]string, error) {
	have, err := caps.Available()
	if err != nil {
		return nil, err
	}
	c, warnings, err := caps.Resolve(nil, nil, true, have)
	if err != nil {
		return nil, err
	}
	spec.Process.Capabilities = c
	spec.Process.ApparmorProfile = ""
	if spec.Linux.Resources == nil {
		spec.Linux.Resources = &specs.LinuxResources{}
	}
	spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	spec.Linux.Seccomp = nil
	spec.Linux.MaskedPaths, spec.Linux.ReadonlyPaths = nil, nil
	for i, m := range spec.Mounts {
		if m.Type != "sysfs" && m.Type != "cgroup" {
			continue
		}
		var opts []string
		for _, o := range m.Options {
			if o != "ro" {
				opts = append(opts, o)
			}
		}
		spec.Mounts[i].Options = append(opts, "rw")
	}
	devices, err := hostDevices("/dev")
	if err != nil {
		return nil, err
	}
	spec.Linux.Devices = append(spec.Linux.Devices, devices...)
	return warnings, nil
}
