package boot

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Ahead are namespaces that are made before anybody asks for them.
type Ahead struct {
	kinds  int // CLONE_NEW*
	spaces []namespaceFile
}

// KindsAhead are the namespaces, as CLONE_NEW*, that a container of s has made with it and that need nothing of it.
func KindsAhead(s *specs.Spec) (kinds int) {
	for _, ns := range s.Linux.Namespaces {
		if ns.Path == "" {
			kinds |= namespaceFlags[ns.Type] & (unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS)
		}
	}
	return kinds
}

// Prepare makes namespaces of kinds, which is of KindsAhead. That of the network is a tenth of a container's life, and more where others are being taken down meanwhile, for
// which a new one waits (rtnl_lock in register_netdev and in default_device_exit_batch, net/core/dev.c). nil = they cannot be made: who makes the container tries again, and tells why.
// Where lost is not nil this thread could not come back, and nothing else may run on it.
//
// Precondition: a thread that is locked by runtime.LockOSThread.
func (h *Home) Prepare(kinds int) (a *Ahead, lost error) {
	if unix.Unshare(kinds) != nil {
		return nil, nil
	}
	a = &Ahead{kinds: kinds}
	for _, ns := range h.names {
		if kinds&ns.flag == 0 {
			continue
		}
		fd, err := unix.Open("/proc/thread-self/ns/"+ns.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			a.Close()
			a = nil
			break
		}
		a.spaces = append(a.spaces, namespaceFile{ns.name, fd, ns.flag})
	}
	for _, ns := range h.names {
		if kinds&ns.flag == 0 {
			continue
		}
		if err := unix.Setns(ns.fd, ns.flag); err != nil {
			lost = fault("namespace", "setns", ns.name, err)
		}
	}
	return a, lost
}

// Close lets go of them: they stay with who is in them. A nil Ahead has none.
func (a *Ahead) Close() {
	if a == nil {
		return
	}
	for _, ns := range a.spaces {
		unix.Close(ns.fd)
	}
	a.spaces = nil
}
