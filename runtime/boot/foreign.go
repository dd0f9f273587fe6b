package boot

import (
	"strings"

	"golang.org/x/sys/unix"
)

// foreign splits a source of the form /proc/<pid>/root/<path>, which names a file as another container sees it.
func foreign(source string) (namespace, path string, ok bool) {
	f := strings.SplitN(source, "/", 5) // "", proc, <pid>, root, <path>
	if len(f) < 5 || f[0] != "" || f[1] != "proc" || f[3] != "root" || strings.Trim(f[2], "0123456789") != "" {
		return "", "", false
	}
	return "/proc/" + f[2] + "/ns/mnt", "/" + f[4], true
}

// openForeign clones a mount of another container's. The kernel clones none out of a mount namespace that the caller is not in
// (EINVAL, open_tree(2)), so this thread goes there for a moment. What it brings back is detached and can be attached
// anywhere.
//
// Precondition: locked thread whose root is the root of its mount namespace.
func (s *source) openForeign(namespace, path string) error {
	home, err := unix.Open("/proc/thread-self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fault(s.stage, "open", "/proc/thread-self/ns/mnt", err)
	}
	defer unix.Close(home)
	there, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fault(s.stage, "open", namespace, err)
	}
	defer unix.Close(there)
	// Threads of Go share root and working directory, and one that does cannot change its mount namespace (setns(2)).
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fault(s.stage, "unshare", "", err)
	}
	if err := unix.Setns(there, unix.CLONE_NEWNS); err != nil {
		return fault(s.stage, "setns", namespace, err)
	}
	ferr := s.clone(path)
	if err := unix.Setns(home, unix.CLONE_NEWNS); err != nil {
		return fault(s.stage, "setns", "/proc/thread-self/ns/mnt", err)
	}
	return ferr
}

// clone takes the directory path of the current mount namespace, the names of which are the other container's to choose: no
// symbolic link is followed.
func (s *source) clone(path string) error {
	fd, err := openat2(unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return explain(fault(s.stage, "openat2", s.Source, err), "it is the source of the mount at "+s.Target)
	}
	defer unix.Close(fd)
	s.dir = true
	if s.tree, err = unix.OpenTree(fd, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH); err != nil {
		return fault(s.stage, "open_tree", s.Source, err)
	}
	return nil
}
