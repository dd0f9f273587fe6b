package boot

import (
	"errors"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/rawfd"
)

var namespaceFlags = map[specs.LinuxNamespaceType]int{
	specs.MountNamespace:   unix.CLONE_NEWNS,
	specs.NetworkNamespace: unix.CLONE_NEWNET,
	specs.IPCNamespace:     unix.CLONE_NEWIPC,
	specs.UTSNamespace:     unix.CLONE_NEWUTS,
	specs.PIDNamespace:     unix.CLONE_NEWPID,
	specs.CgroupNamespace:  unix.CLONE_NEWCGROUP,
}

// namespaces are those of a container.
type namespaces struct {
	clone uintptr // to be made, but for that of mounts. That of pids takes a clone, the others come before it
	join  []joined
	ahead []namespaceFile // to be joined too, made for this container; not ours to close
	pids  int             // of another, -1: it takes effect for children only (setns(2)), so it is entered before the clone
	// cgroup: only the init can make it, for its root is the cgroup that its maker is in. group is that of another, its fd -1: none.
	cgroup bool
	group  joined
}

type joined struct {
	fd, flag int
	path     string
}

// openNamespaces says which namespaces a container of s has, and opens those of others. ahead is for it, or nil.
func openNamespaces(s *specs.Spec, ahead *Ahead) (n namespaces, err error) {
	n = namespaces{pids: -1, group: joined{fd: -1}}
	made := 0
	if ahead != nil {
		n.ahead, made = ahead.spaces, ahead.kinds
	}
	for _, ns := range s.Linux.Namespaces {
		flag := namespaceFlags[ns.Type]
		switch {
		case ns.Type == specs.MountNamespace && ns.Path != "":
			return n, refuse("namespace", ns.Path, "joining a mount namespace is not supported")
		case ns.Type == specs.MountNamespace:
			// Every container has its own, see enterEmpty.
		case ns.Path == "" && ns.Type == specs.CgroupNamespace:
			n.cgroup = true
		case ns.Path == "":
			n.clone |= uintptr(flag &^ made)
		default:
			fd, err := unix.Open(ns.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return n, fault("namespace", "setns", ns.Path, err)
			}
			switch ns.Type {
			case specs.PIDNamespace:
				n.pids = fd
			case specs.CgroupNamespace:
				n.group = joined{fd, flag, ns.Path}
			default:
				n.join = append(n.join, joined{fd, flag, ns.Path})
			}
		}
	}
	return n, nil
}

func (n *namespaces) close() {
	for _, j := range n.join {
		unix.Close(j.fd)
	}
	for _, fd := range []int{n.pids, n.group.fd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// scoreForOOM gives the init its score, by the host's /proc, which nobody in a container can have changed.
func (c *container) scoreForOOM() error {
	adj := c.spec.Process.OOMScoreAdj
	if adj == nil {
		return nil
	}
	path := "/proc/" + strconv.Itoa(c.init.Pid) + "/oom_score_adj"
	fd, err := unix.Openat(int(c.self), "../.."+strings.TrimPrefix(path, "/proc"), unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		err = rawfd.WriteAll(fd, strconv.AppendInt(nil, int64(*adj), 10))
		unix.Close(fd)
	}
	if errors.Is(err, unix.EACCES) {
		// Less than what the daemon has takes CAP_SYS_RESOURCE (proc_pid_oom_score_adj(5)).
		c.init.note("oom_score_adj " + strconv.Itoa(*adj) + ": this machine does not let a container have so low a score")
		return nil
	}
	if err != nil {
		return fault("oom", "write", path, err)
	}
	return nil
}
