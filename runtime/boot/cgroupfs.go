package boot

import (
	"bytes"
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// hierarchy is a line of /proc/self/cgroup (cgroups(7)): "4:cpu,cpuacct:/path", "1:name=systemd:/", "0::/".
type hierarchy struct {
	controllers string // "" for the unified one
	path        string
}

// openTasks opens what joinCgroups writes to.
func openTasks(dirs []string) (tasks []int, err error) {
	for _, dir := range dirs {
		path := dir + "/tasks"
		fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return tasks, fault("cgroup", "open", path, err)
		}
		tasks = append(tasks, fd)
	}
	return tasks, nil
}

// joinCgroups moves the process, which has one thread, into v1 cgroups.
//
// Moving a process, by its pid into cgroup.procs, waits for an RCU grace period: 5 to 20 ms of a start. A thread
// that moves itself takes no lock that others read (kernel/cgroup/cgroup.c, cgroup_procs_write_start): 0.1 ms.
func (s *script) joinCgroups(tasks []int) {
	for _, fd := range tasks {
		s.add(callName{stage: "cgroup", call: "write", path: "tasks"}, unix.SYS_WRITE, uintptr(fd), point(s, byte('0')), 1)
	}
}

// ownCgroups says whether the container has a cgroup namespace of its own.
func (c *container) ownCgroups() bool {
	for _, ns := range c.spec.Linux.Namespaces {
		if ns.Type == specs.CgroupNamespace {
			return true
		}
	}
	return false
}

// readHierarchies runs while /proc is the host's, when the container is to see cgroups.
func (c *container) readHierarchies() error {
	for _, m := range c.spec.Mounts {
		if m.Type == "cgroup" || m.Type == "cgroup2" {
			b, err := readKernelFile("/proc/self/cgroup")
			if err != nil {
				return fault("cgroup", "read", "/proc/self/cgroup", err)
			}
			c.groups = parseHierarchies(b)
			return nil
		}
	}
	return nil
}

// readKernelFile reads a file of procfs. Of os.ReadFile's ten system calls six are to find out that nothing can be waited for in it.
func readKernelFile(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	b := make([]byte, 0, 4<<10)
	for {
		n, err := unix.Read(fd, b[len(b):cap(b)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case n == 0:
			return b, nil
		default:
			b = slices.Grow(b[:len(b)+n], 1)
		}
	}
}

func parseHierarchies(b []byte) []hierarchy {
	var hs []hierarchy
	for line := range bytes.Lines(b) {
		f := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(f) == 3 {
			hs = append(hs, hierarchy{f[1], f[2]})
		}
	}
	return hs
}

// attachCgroup shows the container its cgroups: one cgroup2 where that is all there is, else a
// tmpfs with a directory per v1 hierarchy, and "unified" on hybrid hosts, as systemd lays it out.
func (c *container) attachCgroup(s *source) error {
	target, err := c.fixedTarget(s)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	if s.tree >= 0 {
		return s.attachHostCgroups(target)
	}
	if len(c.groups) == 1 && c.groups[0].controllers == "" {
		fs, err := openFilesystem(s.stage, "cgroup2")
		if err != nil {
			return err
		}
		defer fs.close()
		tree, err := fs.mount("cgroup", s.set)
		if err != nil {
			return err
		}
		defer unix.Close(tree)
		return put(s.stage, tree, target, s.Target)
	}
	return c.attachLegacyCgroups(s, target)
}

// openHostCgroups takes the host's own tree for a container in the host's cgroup namespace. A fresh mount would show the
// same, but of v1 each hierarchy would have to be found and made again.
func (s *source) openHostCgroups() error {
	s.Source, s.recursive = "/sys/fs/cgroup", true
	s.data = nil
	return s.open()
}

func (s *source) attachHostCgroups(target int) error {
	defer func() {
		unix.Close(s.tree)
		s.tree = -1
	}()
	// Of every hierarchy below too: read-only is what keeps the container from the host's limits.
	attr := unix.MountAttr{Attr_set: s.set, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(s.tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return fault(s.stage, "mount_setattr", s.Target, err)
	}
	return put(s.stage, s.tree, target, s.Target)
}

func (c *container) attachLegacyCgroups(s *source, target int) error {
	fs, err := openFilesystem(s.stage, "tmpfs")
	if err != nil {
		return err
	}
	defer fs.close()
	if err := fs.setAll([]string{"mode=0755", "size=64k"}); err != nil {
		return err
	}
	base, err := fs.mount("tmpfs", s.set&^unix.MOUNT_ATTR_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(base)
	if err := put(s.stage, base, target, s.Target); err != nil {
		return err
	}
	// By mount(2) and a name in the working directory: of ten hierarchies or so, each by a context of its own would be a hundred system calls more. The directory is new, and
	// ours alone.
	if err := unix.Fchdir(base); err != nil {
		return fault(s.stage, "fchdir", s.Target, err)
	}
	for _, h := range c.groups {
		if err := attachHierarchy(s, base, h); err != nil {
			return err
		}
	}
	if err := unix.Fchdir(c.root); err != nil {
		return fault(s.stage, "fchdir", "/", err)
	}
	attr := unix.MountAttr{Attr_set: s.set, Attr_clr: s.clr}
	if err := unix.MountSetattr(base, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &attr); err != nil {
		return fault(s.stage, "mount_setattr", s.Target, err)
	}
	return nil
}

// attachHierarchy mounts h in the directory base, which is the working directory too.
func attachHierarchy(s *source, base int, h hierarchy) error {
	name, kind, data := strings.TrimPrefix(h.controllers, "name="), "cgroup", h.controllers
	switch {
	case h.controllers == "":
		name, kind = "unified", "cgroup2"
	case strings.HasPrefix(h.controllers, "name="):
		data = "none," + h.controllers // a hierarchy without controllers
	}
	if err := unix.Mkdirat(base, name, 0o755); err != nil {
		return fault(s.stage, "mkdirat", name, err)
	}
	// Without the flags, which come for all at once: mount(2) makes of MS_RDONLY one of the file system too, if nobody has it mounted yet, and that is the
	// host's own (fs/namespace.c, path_mount).
	if err := unix.Mount("cgroup", name, kind, 0, data); err != nil {
		return fault(s.stage, "mount", s.Target+"/"+name, err)
	}
	if !strings.Contains(name, ",") {
		return nil
	}
	for _, one := range strings.Split(name, ",") { // cpu -> cpu,cpuacct
		if err := unix.Symlinkat(name, base, one); err != nil {
			return fault(s.stage, "symlinkat", one, err)
		}
	}
	return nil
}
