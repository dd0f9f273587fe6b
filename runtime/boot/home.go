package boot

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Home is where a thread of this process comes back to from a container: the namespaces, root and umask that it had.
type Home struct {
	root  int
	self  descriptors // for what is looked at in the container
	names []namespaceFile
	umask int
}

type namespaceFile struct {
	name     string // in /proc/pid/ns
	fd, flag int
}

// OpenHome opens what enter needs. It is for all threads, until it is closed.
//
// Precondition: all threads are there: /proc/self is the main one.
func OpenHome() (*Home, error) {
	h := &Home{root: -1, self: -1}
	var err error
	if h.self, err = openDescriptors(); err != nil {
		return h, err
	}
	if h.root, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return h, fault("namespace", "open", "/", err)
	}
	for _, ns := range []struct {
		name string
		flag int
	}{{"mnt", unix.CLONE_NEWNS}, {"net", unix.CLONE_NEWNET}, {"ipc", unix.CLONE_NEWIPC}, {"uts", unix.CLONE_NEWUTS}, {"cgroup", unix.CLONE_NEWCGROUP}} {
		path := "/proc/self/ns/" + ns.name
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return h, fault("namespace", "open", path, err)
		}
		h.names = append(h.names, namespaceFile{ns.name, fd, ns.flag})
	}
	return h, nil
}

// Has says whether fd is one of h's.
func (h *Home) Has(fd int) bool {
	return h != nil && (fd == h.root || fd == int(h.self) || slices.ContainsFunc(h.names, func(n namespaceFile) bool { return n.fd == fd }))
}

// leave takes this thread's root and working directory from the others, makes namespaces and joins others, but for those of mounts, of pids and of cgroups.
func (h *Home) leave(spaces *namespaces) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fault("namespace", "unshare", "", err)
	}
	h.umask = unix.Umask(0) // modes are meant exactly
	if err := unix.Unshare(int(spaces.clone &^ unix.CLONE_NEWPID)); err != nil {
		return fault("namespace", "unshare", "", err)
	}
	for _, ns := range spaces.ahead {
		if err := unix.Setns(ns.fd, ns.flag); err != nil {
			return fault("namespace", "setns", "", err)
		}
	}
	for _, j := range spaces.join {
		if err := unix.Setns(j.fd, j.flag); err != nil {
			return fault("namespace", "setns", j.path, err)
		}
	}
	return nil
}

// enter comes back.
func (h *Home) enter() error {
	unix.Umask(h.umask)
	for _, ns := range h.names {
		if err := unix.Setns(ns.fd, ns.flag); err != nil {
			return fault("namespace", "setns", "", err)
		}
	}
	// The mount namespace has brought its own root.
	if err := unix.Fchdir(h.root); err != nil {
		return fault("namespace", "fchdir", "/", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fault("namespace", "chroot", "/", err)
	}
	return nil
}

// pids has children come into this process's pid namespace again.
func (h *Home) pids() error {
	const path = "../ns/pid" // of the host's /proc/self/fd: where this thread is now there may be no /proc
	fd, err := unix.Openat(int(h.self), path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fault("namespace", "open", "/proc/self/ns/pid", err)
	}
	defer unix.Close(fd)
	if err := unix.Setns(fd, unix.CLONE_NEWPID); err != nil {
		return fault("namespace", "setns", "", err)
	}
	return nil
}

// Close closes it; nil has nothing.
func (h *Home) Close() {
	if h == nil {
		return
	}
	h.self.close()
	if h.root >= 0 {
		unix.Close(h.root)
	}
	for _, ns := range h.names {
		unix.Close(ns.fd)
	}
}
