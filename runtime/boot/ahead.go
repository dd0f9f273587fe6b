package boot

import (
	"reflect"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/mount"
)

// Shape is what of a container the next one is likely to have too: who starts one after the other starts them alike.
type Shape struct {
	spaces int // CLONE_NEW* that are made with it, of those that can be made before its cgroups
	mounts []mount.Mount
}

// spacesAhead are the namespaces that need nothing of the container.
const spacesAhead = unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS

// ShapeOf is the Shape of a container of s.
func ShapeOf(s *specs.Spec) *Shape {
	sh := new(Shape)
	for _, ns := range s.Linux.Namespaces {
		if ns.Path == "" {
			sh.spaces |= namespaceFlags[ns.Type] & spacesAhead
		}
	}
	for _, m := range systemMounts(s) {
		switch {
		case m.Type == "tmpfs" || m.Type == "devpts",
			m.Type == "sysfs" && sh.spaces&unix.CLONE_NEWNET != 0,  // it shows the network namespace of who mounts it,
			m.Type == "mqueue" && sh.spaces&unix.CLONE_NEWIPC != 0: // and this the messages of his IPC namespace
			sh.mounts = append(sh.mounts, m)
		}
	}
	return sh
}

// Ahead is made before anybody asks for it: the namespaces of a container of some Shape, and the file systems of the platform that take nothing of the container's own, detached.
type Ahead struct {
	shape  *Shape
	spaces []namespaceFile
	trees  []int // of shape.mounts, -1: it is used
}

// Prepare makes ahead what a container of sh needs. It takes a tenth of such a container's life, and more where other network namespaces are being taken down meanwhile, for
// which a new one waits (rtnl_lock in register_netdev and in default_device_exit_batch, net/core/dev.c). Where something cannot be made there is nothing of it: who makes the container tries
// again, and tells why. Where lost is not nil this thread could not come back, and nothing else may run on it.
//
// Precondition: a thread that is locked by runtime.LockOSThread.
func (h *Home) Prepare(sh *Shape) (a *Ahead, lost error) {
	if unix.Unshare(unix.CLONE_FS|sh.spaces) != nil {
		return nil, nil
	}
	umask := unix.Umask(0) // modes are meant exactly
	a = &Ahead{shape: sh}
	if a.fill() != nil {
		a.Close()
		a = nil
	}
	unix.Umask(umask)
	for _, ns := range h.names {
		if sh.spaces&ns.flag == 0 {
			continue
		}
		if err := unix.Setns(ns.fd, ns.flag); err != nil {
			lost = fault("namespace", "setns", "", err)
		}
	}
	return a, lost
}

func (a *Ahead) fill() error {
	for _, ns := range []struct {
		name string
		flag int
	}{{"net", unix.CLONE_NEWNET}, {"ipc", unix.CLONE_NEWIPC}, {"uts", unix.CLONE_NEWUTS}} {
		if a.shape.spaces&ns.flag == 0 {
			continue
		}
		fd, err := unix.Open("/proc/thread-self/ns/"+ns.name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		a.spaces = append(a.spaces, namespaceFile{fd, ns.flag})
	}
	sources, err := newSources("mount", a.shape.mounts)
	if err != nil {
		return err
	}
	for i := range sources {
		tree, err := sources[i].mountNew(openFilesystem)
		if err != nil {
			return err
		}
		a.trees = append(a.trees, tree)
		if s := &sources[i]; s.Target == "/dev" && s.Type == "tmpfs" {
			if err := a.fillDev(tree); err != nil {
				return err
			}
		}
	}
	return nil
}

// fillDev puts into dev what every container has there, and the directories that others are mounted on.
func (a *Ahead) fillDev(dev int) error {
	if err := fillDev(dev); err != nil {
		return err
	}
	for _, m := range a.shape.mounts {
		if name, below := strings.CutPrefix(m.Target, "/dev/"); below && !strings.Contains(name, "/") {
			if err := unix.Mkdirat(dev, name, 0o755); err != nil {
				return err
			}
		}
	}
	return nil
}

// fits says whether a is for a container of shape sh.
func (a *Ahead) fits(sh *Shape) bool { return a != nil && reflect.DeepEqual(a.shape, sh) }

// take is the file system of s, the caller's from then on; -1 when it is not among them.
func (a *Ahead) take(s *source) int {
	if a == nil {
		return -1
	}
	i := slices.IndexFunc(a.shape.mounts, func(m mount.Mount) bool { return m.Target == s.Target && m.Type == s.Type })
	if i < 0 {
		return -1
	}
	tree := a.trees[i]
	a.trees[i] = -1
	return tree
}

// Close lets go of what nobody has used. A nil Ahead has nothing.
func (a *Ahead) Close() {
	if a == nil {
		return
	}
	for _, ns := range a.spaces {
		unix.Close(ns.fd)
	}
	for _, tree := range a.trees {
		if tree >= 0 {
			unix.Close(tree)
		}
	}
	a.spaces, a.trees = nil, nil
}
