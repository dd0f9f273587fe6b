package boot

import "golang.org/x/sys/unix"

// OpenEmpty makes a mount namespace with an empty root, which nobody can write to, and nothing else, and returns a descriptor of it, which keeps it. That of a
// container is a copy of it: one of the host's mounts would have to be made, only to be taken down again at once, and that makes the start wait for all
// processors of the machine (synchronize_rcu_expedited in namespace_unlock, fs/namespace.c), and longer the more mounts the host has.
//
// Precondition: a locked thread that is thrown away afterwards, and not the process's first.
func OpenEmpty() (int, error) {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return -1, fault("namespace", "unshare", "", err)
	}
	const path = "/proc/thread-self/ns/mnt"
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fault("namespace", "open", path, err)
	}
	if err := empty(); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// empty takes everything out of this thread's mount namespace.
func empty() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fault("root", "mount", "/", err)
	}
	tree, err := blankFilesystem("root")
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	// pivot_root(2) wants a mount point; any directory will do.
	const dir = "/proc"
	if err := unix.MoveMount(tree, "", unix.AT_FDCWD, dir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
		return fault("root", "move_mount", dir, err)
	}
	return pivot(tree)
}

// enterEmpty gives this thread a mount namespace of its own, a copy of namespace, which is empty. What was opened of the host before can be attached in it.
func enterEmpty(namespace int) error {
	if err := unix.Setns(namespace, unix.CLONE_NEWNS); err != nil {
		return fault("namespace", "setns", "", err)
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fault("namespace", "unshare", "", err)
	}
	return nil
}

// blankFilesystem is a detached mount of an empty, read-only directory.
func blankFilesystem(stage string) (int, error) {
	fs, err := openFilesystem(stage, "tmpfs")
	if err != nil {
		return -1, err
	}
	defer fs.close()
	if err := fs.setAll([]string{"mode=0755", "nr_inodes=1", "size=4k"}); err != nil {
		return -1, err
	}
	return fs.mount("tmpfs", unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
}

// pivot makes the mounted tree the root and drops the old one.
func pivot(tree int) error {
	err := pivotOnto(tree)
	if err == unix.EINVAL {
		// The root is the kernel's first one, the initramfs, which cannot be pivoted away. A mount
		// of itself on top of itself can.
		if err := coverRoot(); err != nil {
			return err
		}
		err = pivotOnto(tree)
	}
	if err != nil {
		return fault("root", "pivot_root", "", err)
	}
	return nil
}

func pivotOnto(tree int) error {
	old, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(old)
	if err := unix.Fchdir(tree); err != nil {
		return err
	}
	// The same directory twice: the old root lands on top of the new one (pivot_root(2), NOTES), so that
	// no directory in the image has to serve.
	if err := unix.PivotRoot(".", "."); err != nil {
		return err
	}
	if err := unix.Fchdir(old); err != nil {
		return err
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	return unix.Chdir("/")
}

func coverRoot() error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return fault("root", "open_tree", "/", err)
	}
	defer unix.Close(tree)
	return coverWith(tree)
}
