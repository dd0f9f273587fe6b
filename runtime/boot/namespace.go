package boot

import (
	"errors"
	"os"
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// joinable are the namespaces that boot itself enters by path. A pid namespace takes effect for children
// only (setns(2)), so the monitor enters that one before it clones boot.
var joinable = map[specs.LinuxNamespaceType]int{
	specs.NetworkNamespace: unix.CLONE_NEWNET,
	specs.IPCNamespace:     unix.CLONE_NEWIPC,
	specs.UTSNamespace:     unix.CLONE_NEWUTS,
	specs.CgroupNamespace:  unix.CLONE_NEWCGROUP,
}

// namespaces joins those that have a path and makes the cgroup namespace, which clone cannot: its root is the
// cgroup that its maker is in, and the monitor puts boot there after the clone.
func (c *container) namespaces() error {
	if c.spec.Linux == nil {
		return nil
	}
	for _, ns := range c.spec.Linux.Namespaces {
		flag, ok := joinable[ns.Type]
		switch {
		case ns.Path != "" && ok:
			if err := join(ns.Path, flag); err != nil {
				return fault("namespace", "setns", ns.Path, err)
			}
		case ns.Path != "" && ns.Type == specs.MountNamespace:
			return refuse("namespace", ns.Path, "joining a mount namespace is not supported")
		case ns.Path == "" && ns.Type == specs.CgroupNamespace:
			if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
				return fault("namespace", "unshare", "cgroup", err)
			}
		}
	}
	return nil
}

func join(path string, flag int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, flag)
}

// scoreForOOM runs while /proc is the host's, which nobody in a container can have changed.
func (c *container) scoreForOOM() error {
	adj := c.spec.Process.OOMScoreAdj
	if adj == nil {
		return nil
	}
	const path = "/proc/self/oom_score_adj"
	err := os.WriteFile(path, strconv.AppendInt(nil, int64(*adj), 10), 0)
	if errors.Is(err, unix.EACCES) {
		// Less than what the daemon has takes CAP_SYS_RESOURCE (proc_pid_oom_score_adj(5)).
		warn("oom_score_adj " + strconv.Itoa(*adj) + ": this machine does not let a container have so low a score")
		return nil
	}
	if err != nil {
		return fault("oom", "write", path, err)
	}
	return nil
}
