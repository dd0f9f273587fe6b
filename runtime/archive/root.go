package archive

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// Root opens a directory as the root of a tree.
func Root(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return os.NewFile(uintptr(fd), dir), nil
}

// inRoot is how a name is walked in a tree: absolute links and ".." stay below its root, also while somebody exchanges what is on the way, and a
// magic link of procfs, which is no path, ends the walk.
const inRoot = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS

// beneath is how a name is walked below the destination of a copy. The links that it may meet are those that lead nowhere else.
const beneath = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS

// openat2 tries again on EAGAIN, which is the kernel's answer when a rename elsewhere made it unsure that the walk stayed inside (openat2(2)).
func openat2(dir int, name string, flags int, resolve uint64) (int, error) {
	if name == "" {
		name = "."
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolve}
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(dir, name, &how)
		if err == unix.EINTR || err == unix.EAGAIN && tries < 128 {
			continue
		}
		return fd, err
	}
}

// reopen opens the regular file that fd, which has been looked at, is open for the path of.
func reopen(fd, flags int) (int, error) {
	for {
		n, err := unix.Open(procPath(fd), flags|unix.O_CLOEXEC|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// procPath names an open file for system calls that take a path only.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

// openDir opens the directory of a descriptor for its path again, to read it.
func openDir(fd int) (int, error) {
	return unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
}

// kernelTypes are file systems whose files are doors to the kernel. What a container may do there its own processes may do; this one may do more.
var kernelTypes = map[int64]string{
	unix.PROC_SUPER_MAGIC: "proc", unix.SYSFS_MAGIC: "sysfs", unix.CGROUP_SUPER_MAGIC: "cgroup", unix.CGROUP2_SUPER_MAGIC: "cgroup2",
	unix.DEBUGFS_MAGIC: "debugfs", unix.TRACEFS_MAGIC: "tracefs", unix.SECURITYFS_MAGIC: "securityfs", unix.BPF_FS_MAGIC: "bpf",
	unix.DEVPTS_SUPER_MAGIC: "devpts", unix.NSFS_MAGIC: "nsfs", unix.SELINUX_MAGIC: "selinuxfs", unix.EFIVARFS_MAGIC: "efivarfs",
	unix.PSTOREFS_MAGIC: "pstore", unix.BINFMTFS_MAGIC: "binfmt_misc", unix.AUTOFS_SUPER_MAGIC: "autofs", 0x62656570: "configfs", 0x65735543: "fusectl",
	0x19800202: "mqueue",
}

// kernelType is the name of the file system that fd is of if its files are the kernel's, else "".
func kernelType(fd int) (string, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return "", err
	}
	return kernelTypes[int64(fs.Type)], nil
}

// refuseKernel is an error when fd is of such a file system.
func refuseKernel(fd int, name string) error {
	kind, err := kernelType(fd)
	if err != nil {
		return &os.PathError{Op: "statfs", Path: name, Err: err}
	}
	if kind != "" {
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("%s is on a file system of type %s, whose files are the kernel's: they are not copied", quote(name), kind))
	}
	return nil
}

// clean is a path from the root without "." and "..", as it is written and not as links would have it; dir says that only a directory can be meant, and
// contents that what is in it is.
func clean(p string) (cleaned string, dir, contents bool) {
	cleaned = path.Clean("/" + p)
	contents = cleaned == "/" || p == "." || strings.HasSuffix(p, "/.")
	return cleaned, contents || strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.."), contents
}

// quote shows names that could be taken for something else on a terminal or in a line of a log.
func quote(name string) string {
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == '\uFFFD' || r >= 0x80 && !strconv.IsPrint(r) {
			return strconv.Quote(name)
		}
	}
	return name
}

func isKind(st *unix.Stat_t, kind uint32) bool { return st.Mode&unix.S_IFMT == kind }

// invalid is for streams that are not what they should be.
func invalid(format string, args ...any) error {
	return errdefs.With(errdefs.ErrInvalidArgument, fmt.Errorf(format, args...))
}

// because is err with a word on what to do, and pathError an error with the name as it may be shown.
func pathError(op, name string, err error) error {
	if err == nil {
		return nil
	}
	var known *os.PathError
	if errors.As(err, &known) {
		return err
	}
	return &os.PathError{Op: op, Path: quote(name), Err: err}
}
