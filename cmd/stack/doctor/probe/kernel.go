package probe

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/cmd/stack/doctor"
)

const newerKernel = "boot a kernel of 5.12 or later"

func checkRoot() doctor.Check {
	if os.Geteuid() != 0 {
		return missing("root", "run stack with sudo, or let root run `stack daemon` and join the group of its socket", "this is uid %d", os.Geteuid())
	}
	// A container's root has the uid and not the capability.
	var header = unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err == nil && data[0].Effective&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return missing("root", "give this container CAP_SYS_ADMIN and CAP_NET_ADMIN, or run stack on the host", "uid 0 without CAP_SYS_ADMIN")
	}
	return ok("root", "uid 0 with CAP_SYS_ADMIN")
}

// checkKernel looks at the release only to tell it: what matters is tried below.
func checkKernel() doctor.Check {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return warning("kernel", "", "uname: %v", err)
	}
	return ok("kernel", "Linux %s %s", unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]))
}

func checkNamespaces() doctor.Check {
	var lacking []string
	for _, ns := range []string{"mnt", "pid", "net", "uts", "ipc", "cgroup"} {
		if _, err := os.Stat("/proc/self/ns/" + ns); err != nil {
			lacking = append(lacking, ns)
		}
	}
	if len(lacking) > 0 {
		return missing("namespaces", "boot a kernel with CONFIG_NAMESPACES and all kinds of them", "no %s", strings.Join(lacking, ", "))
	}
	return ok("namespaces", "mnt, pid, net, uts, ipc, cgroup")
}

// checkMountAPI asks for mount_setattr(2), the newest call of the new mount API that is used (kernel 5.12).
func checkMountAPI() doctor.Check {
	err := unix.MountSetattr(-1, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if errors.Is(err, unix.ENOSYS) {
		return missing("mount API", newerKernel, "no mount_setattr(2)")
	}
	return ok("mount API", "mount_setattr")
}

// checkOverlay opens a context of the filesystem and mounts nothing.
func checkOverlay() doctor.Check {
	fd, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	switch {
	case err == nil:
		unix.Close(fd)
		return ok("overlayfs", "")
	case errors.Is(err, unix.ENODEV):
		return missing("overlayfs", "run `modprobe overlay`, or boot a kernel with CONFIG_OVERLAY_FS", "the kernel does not know it")
	case errors.Is(err, unix.EPERM):
		return warning("overlayfs", "ask again as root", "only root can tell")
	}
	return warning("overlayfs", newerKernel, "fsopen: %v", err)
}

func checkOpenat2() doctor.Check {
	fd, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return missing("openat2", newerKernel, "openat2: %v", err)
	}
	unix.Close(fd)
	return ok("openat2", "")
}

func checkPidfd() doctor.Check {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return missing("pidfd", newerKernel, "pidfd_open: %v", err)
	}
	unix.Close(fd)
	return ok("pidfd", "")
}

// checkSeccomp: EFAULT means that filters are known (seccomp(2), SECCOMP_SET_MODE_FILTER of nothing).
func checkSeccomp() doctor.Check {
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, 0)
	if errno == unix.EFAULT {
		return ok("seccomp", "filters")
	}
	return warning("seccomp", "boot a kernel with CONFIG_SECCOMP_FILTER, or say security_opt: [seccomp:unconfined] in the file", "no filters: %v", errno)
}
