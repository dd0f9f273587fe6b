package bundle

import (
	"fmt"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/reconcile/plan"
	"github.com/stackrun/stack/runtime/caps"
	"github.com/stackrun/stack/runtime/seccomp"
)

// setIsolation chooses the namespaces that a file can choose. Those of another service are joined by Connect.
func setIsolation(out *specs.Spec, s *plan.Spec) error {
	for _, c := range []struct {
		key, value string
		kind       specs.LinuxNamespaceType
	}{
		{"pid", s.PID, specs.PIDNamespace}, {"ipc", s.IPC, specs.IPCNamespace}, {"uts", s.UTS, specs.UTSNamespace}, {"cgroup", s.Cgroup, specs.CgroupNamespace},
	} {
		switch {
		case c.value == "" || c.value == "private":
		case (c.value == "shareable" || c.value == "none") && c.key == "ipc":
		case c.value == "host":
			join(out, c.kind, "", true)
		case (strings.HasPrefix(c.value, "service:") || strings.HasPrefix(c.value, "container:")) && (c.key == "pid" || c.key == "ipc"):
		default:
			return fmt.Errorf("cannot use %s: %q: expected private, host%s: %w", c.key, c.value, map[string]string{"pid": " or service:<name>", "ipc": ", none, shareable or service:<name>"}[c.key], errdefs.ErrNotSupported)
		}
	}
	if s.UTS == "host" {
		out.Hostname, out.Domainname = "", ""
	}
	switch {
	case s.NetworkMode == "host":
		join(out, specs.NetworkNamespace, "", true)
	}
	switch s.IPC {
	case "host":
		// With the host's IPC comes the host's shared memory, which programs name by paths below /dev/shm.
		out.Mounts = bindOver(out.Mounts, shmDir, shmDir)
	case "none":
		out.Mounts = slices.DeleteFunc(out.Mounts, func(m specs.Mount) bool { return m.Destination == shmDir })
	}
	return nil
}

// shmDir is where POSIX shared memory lives, shm_overview(7).
const shmDir = "/dev/shm"

// bindOver puts a bind of source in the place of what mounts have at target, and leaves mounts itself as it is.
func bindOver(mounts []specs.Mount, target, source string) []specs.Mount {
	mounts = slices.DeleteFunc(slices.Clone(mounts), func(m specs.Mount) bool { return m.Destination == target })
	return append(mounts, specs.Mount{Destination: target, Type: "bind", Source: source, Options: []string{"rbind", "nosuid", "noexec", "nodev"}})
}

// setSecurity applies privileged, cap_add, cap_drop and security_opt.
func setSecurity(out *specs.Spec, s *plan.Spec, in Input) (warnings []string, _ error) {
	set, warnings, err := caps.Resolve(s.CapAdd, s.CapDrop, s.Privileged, in.Available)
	if err != nil {
		return nil, err
	}
	out.Process.Capabilities = set
	confined := !s.Privileged
	if s.Privileged {
		unlock(out)
		out.Process.ApparmorProfile = ""
		out.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
		for i := range out.Mounts {
			if m := &out.Mounts[i]; m.Type == "sysfs" || m.Type == "cgroup" {
				m.Options = slices.DeleteFunc(m.Options, func(o string) bool { return o == "ro" })
			}
		}
	}
	for _, opt := range s.SecurityOpt {
		switch name, value := SecurityOpt(opt); name {
		case "no-new-privileges":
			out.Process.NoNewPrivileges = value == "" || value == "true"
		case "seccomp":
			switch value {
			case "unconfined":
				confined = false
			case "builtin":
				if out.Linux.Seccomp, err = seccomp.Builtin(set.Bounding); err != nil {
					return nil, err
				}
			default:
				if out.Linux.Seccomp, err = seccomp.Load(in.Seccomp, set.Bounding); err != nil {
					if Inline(value) {
						value = "the seccomp profile"
					}
					return nil, fmt.Errorf("%s: %w", value, err)
				}
			}
		case "systempaths":
			if value != "unconfined" {
				return nil, fmt.Errorf("cannot use security_opt %q: expected systempaths=unconfined: %w", opt, errdefs.ErrInvalidArgument)
			}
			unlock(out)
		case "apparmor":
			if out.Process.ApparmorProfile = value; value == "unconfined" {
				out.Process.ApparmorProfile = ""
			}
		case "label":
			if value != "disable" {
				return nil, fmt.Errorf("cannot use security_opt %q: SELinux labels other than label=disable are not supported: %w", opt, errdefs.ErrNotSupported)
			}
		default:
			return nil, fmt.Errorf("cannot use security_opt %q: expected no-new-privileges, seccomp=, apparmor=, label=disable or systempaths=unconfined: %w", opt, errdefs.ErrNotSupported)
		}
	}
	if confined && out.Linux.Seccomp == nil {
		if out.Linux.Seccomp, err = seccomp.Default(set.Bounding); err != nil {
			return nil, err
		}
	}
	if !confined {
		out.Linux.Seccomp = nil
	}
	return warnings, nil
}

// Inline says whether the value of security_opt seccomp is a profile itself, as clients of the Docker Engine API give it, and not the file that has one.
func Inline(profile string) bool { return strings.HasPrefix(strings.TrimSpace(profile), "{") }

// SecurityOpt splits an entry of security_opt. docker takes both name=value and the older name:value.
func SecurityOpt(opt string) (name, value string) {
	at := strings.IndexAny(opt, "=:") // the first: the value may be JSON
	if at < 0 {
		return opt, ""
	}
	return opt[:at], opt[at+1:]
}

func unlock(out *specs.Spec) { out.Linux.MaskedPaths, out.Linux.ReadonlyPaths = nil, nil }

// setShm sets the size of /dev/shm.
func setShm(out *specs.Spec, size int64) {
	if size <= 0 {
		return
	}
	for i := range out.Mounts {
		m := &out.Mounts[i]
		if m.Destination == shmDir && m.Type == "tmpfs" {
			m.Options = slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool { return strings.HasPrefix(o, "size=") })
			m.Options = append(m.Options, fmt.Sprintf("size=%d", size))
		}
	}
}

// setDevices adds device nodes and the cgroup rules that let them be used.
func setDevices(out *specs.Spec, devices []Device, privileged bool) {
	for _, d := range devices {
		out.Linux.Devices = append(out.Linux.Devices, d.Node)
		if privileged {
			continue // one rule allows all
		}
		out.Linux.Resources.Devices = append(out.Linux.Resources.Devices, specs.LinuxDeviceCgroup{
			Allow: true, Type: d.Node.Type, Major: &d.Node.Major, Minor: &d.Node.Minor, Access: firstOf(d.Access, "rwm"),
		})
	}
}

// Device is a node of the host as it is to be in the container. Access is of r, w, m; "" = all.
type Device struct {
	Node   specs.LinuxDevice
	Access string
}
