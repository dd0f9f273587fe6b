// Package idmap makes mounts whose files belong to another user than on the disk: idmapped mounts, mount_setattr(2), Linux 5.12.
//
// Who uses it: runtime/boot, for a container's binds, and the preflight of plans, which tries it. It changes nothing of the host.
package idmap

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Owner is who files belong to.
type Owner struct{ UID, GID int }

// Map has tree show what belongs to disk as seen's. What seen makes there is disk's. Nothing else is mapped: files of others are seen as nobody's, over whom root has no power there, and nobody else can
// make or be given any (EOVERFLOW). With recursive so does all that is mounted below.
//
// Preconditions: tree is a detached mount that was attached nowhere yet and is not idmapped. Errors: errors.ErrUnsupported, in a clause, where the kernel or the file system cannot; the tree is as it was then.
func Map(tree int, disk, seen Owner, recursive bool) error {
	users, err := namespace(disk, seen)
	if err != nil {
		return err
	}
	defer unix.Close(users)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(users)}
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	switch err := unix.MountSetattr(tree, "", flags, &attr); err {
	case nil:
		return nil
	case unix.ENOSYS:
		return unsupported("this kernel has no idmapped mounts, which takes Linux 5.12")
	case unix.EINVAL:
		return unsupported("its file system (" + filesystem(tree) + "), or one that is mounted below it, cannot show other owners than it has")
	case unix.EPERM:
		return unsupported("it, or what is mounted below it, shows other owners than its file system already, or belongs to another user namespace")
	default:
		return fmt.Errorf("mount_setattr: %w", err)
	}
}

// unsupported says why something cannot be done here.
type unsupported string

func (u unsupported) Error() string        { return string(u) }
func (u unsupported) Is(target error) bool { return target == errors.ErrUnsupported }

// Check tries whether what is at path can be mapped, with all that is mounted below if recursive. Errors are those of Map.
func Check(path string, recursive bool) error {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, path, flags)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	defer unix.Close(tree)
	return Map(tree, Owner{1, 1}, Owner{2, 2}, recursive)
}

// namespace is a user namespace in which the ids inside are the disk's and those outside are what the mount shows.
//
// There is none without a process that is in it. That is a program that does not begin: it is traced, so that it stops at its execve (ptrace(2), PTRACE_TRACEME), and is killed when the
// namespace is open.
func namespace(disk, seen Owner) (fd int, err error) {
	runtime.LockOSThread() // who traces is a thread
	defer runtime.UnlockOSThread()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"idmap"}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{
		Ptrace: true, Cloneflags: unix.CLONE_NEWUSER, Pdeathsig: syscall.SIGKILL,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: disk.UID, HostID: seen.UID, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: disk.GID, HostID: seen.GID, Size: 1}},
	}})
	if err != nil {
		return -1, unsupported("no user namespace can be made for it (user.max_user_namespaces is 0, or kernel.yama.ptrace_scope 3?): " + err.Error())
	}
	defer func() {
		_ = unix.Kill(pid, unix.SIGKILL)
		for {
			var status unix.WaitStatus
			if _, err := unix.Wait4(pid, &status, 0, nil); err == nil && (status.Exited() || status.Signaled()) || err != nil && err != unix.EINTR {
				return
			}
		}
	}()
	fd, err = unix.Open("/proc/"+strconv.Itoa(pid)+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("cannot open a user namespace: %w", err)
	}
	return fd, nil
}

// filesystems are the usual ones that cannot, or could not for long, statfs(2).
var filesystems = map[int64]string{
	unix.OVERLAYFS_SUPER_MAGIC: "overlay", unix.NFS_SUPER_MAGIC: "nfs", unix.FUSE_SUPER_MAGIC: "fuse", unix.V9FS_MAGIC: "9p", unix.SMB2_SUPER_MAGIC: "cifs", unix.CEPH_SUPER_MAGIC: "ceph",
	unix.TMPFS_MAGIC: "tmpfs", unix.PROC_SUPER_MAGIC: "proc", unix.SYSFS_MAGIC: "sysfs", unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "xfs", unix.BTRFS_SUPER_MAGIC: "btrfs",
	0x2fc12fc1: "zfs",
}

func filesystem(fd int) string {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return "unknown"
	}
	if name := filesystems[int64(st.Type)]; name != "" {
		return name
	}
	return fmt.Sprintf("of type %#x", st.Type)
}
