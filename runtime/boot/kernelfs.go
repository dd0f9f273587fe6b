package boot

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// lxcfsFiles are what lxcfs (https://linuxcontainers.org/lxcfs/) shows in place of the kernel's own. They, and nothing else of
// /proc, can be covered by a bind mount; runc has the same list (libcontainer, checkProcMount).
var lxcfsFiles = map[string]bool{
	"/proc/cpuinfo": true, "/proc/diskstats": true, "/proc/meminfo": true, "/proc/stat": true, "/proc/swaps": true,
	"/proc/uptime": true, "/proc/loadavg": true, "/proc/slabinfo": true, "/proc/net/dev": true,
}

// allowedOn refuses the user's and the image's mounts in places of the container that the platform relies on. It asks
// what file system the open target is on, and not its name, which a symlink in the image may have changed.
//
// What covers a part of /proc decides what is masked, read-only and written there (CVE-2019-16884). Another proc file system, which the user has
// mounted elsewhere, is nothing that anybody relies on: with all of the host at /host its processes are mounted at /host/proc once more. In /sys a
// mount may be, but for one that is filled with what it covers: the kernel's files say something of the machine, not of the image.
func (c *container) allowedOn(target int, s *source) error {
	on, err := fileSystem(target)
	if err != nil {
		return fault(s.stage, "fstatfs", s.Target, err)
	}
	switch {
	case on == unix.PROC_SUPER_MAGIC:
		at := path.Clean(s.Target)
		if s.bind && !s.CopyUp && (lxcfsFiles[at] || at == "/proc" && s.shows(unix.PROC_SUPER_MAGIC)) {
			return nil
		}
		ours, err := c.inProc(target)
		if err != nil {
			return fault(s.stage, "fstat", s.Target, err)
		}
		if ours {
			return refuse(s.stage, s.Target, "nothing can be mounted in /proc, which is the kernel's")
		}
	case s.CopyUp && (kernelFileSystem(on) || strings.HasPrefix(path.Clean(s.Target)+"/", "/sys/")): // cgroups lie in a tmpfs
		return refuse(s.stage, s.Target, "no volume that is filled from the image can be mounted in /sys, which is the kernel's")
	}
	return nil
}

// inProc says whether the open target is on the file system that is at /proc now. Since Linux 5.8 each mount of proc is a file system of its own; before,
// that of the host's processes is one, and a container that has it at /proc can have nothing on it elsewhere either.
func (c *container) inProc(target int) (bool, error) {
	proc, err := resolve(c.root, "/proc", anything)
	if err == unix.ENOENT {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(proc)
	var at, on unix.Stat_t
	if err := unix.Fstat(proc, &at); err != nil {
		return false, err
	}
	if err := unix.Fstat(target, &on); err != nil {
		return false, err
	}
	return at.Dev == on.Dev, nil
}

// shows says whether the source of a bind mount is a file system of this kind.
func (s *source) shows(kind int64) bool {
	if s.tree < 0 {
		return false
	}
	is, err := fileSystem(s.tree)
	return err == nil && is == kind
}

func fileSystem(fd int) (int64, error) {
	var fs unix.Statfs_t
	for {
		if err := unix.Fstatfs(fd, &fs); err != unix.EINTR {
			return int64(fs.Type), err
		}
	}
}

func kernelFileSystem(kind int64) bool {
	switch kind {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC:
		return true
	}
	return false
}
