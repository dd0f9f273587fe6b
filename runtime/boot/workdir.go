package boot

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// makeWorkingDir opens the working directory, made 0755 if it is missing, as docker does. A path that goes through a
// link of /proc, such as /proc/self/fd/7, is refused: it could be a directory of the host that somebody
// left open (CVE-2024-21626).
func makeWorkingDir(root int, path string) (int, error) {
	return workingDir(root, path, directory)
}

// openWorkingDir is makeWorkingDir for an exec, whose directory has to be there: a mistyped one must not be left behind.
func openWorkingDir(root int, path string) (int, error) {
	fd, err := workingDir(root, path, anything)
	if err != nil {
		f := AsFailure(err)
		if f.Errno == unix.ENOENT {
			f.Syscall = "chdir" // openat2 is only how we do it
		}
		f.ExitCode = proto.ExitNotExecutable // it is what the user asked for that cannot be, as with docker exec
		err = f
	}
	return fd, err
}

func workingDir(root int, path string, want kind) (int, error) {
	if path == "" {
		path = "/"
	}
	if !strings.HasPrefix(path, "/") {
		return -1, refuse("working directory", path, "it must be an absolute path")
	}
	fd, err := resolve(root, path, want)
	if errors.Is(err, errMagic) || err == unix.ELOOP {
		return -1, explain(fault("working directory", "openat2", path, unix.ELOOP), "it goes through a link of /proc or too many links")
	}
	if err != nil {
		return -1, fault("working directory", "openat2", path, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return -1, fault("working directory", "fstat", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return -1, fault("working directory", "chdir", path, unix.ENOTDIR)
	}
	return fd, nil
}

// enterWorkingDir goes there and asks the kernel where it is: a directory outside the root has
// no path inside, and getcwd(2) says so by "(unreachable)".
func enterWorkingDir(fd int, path string) error {
	if err := unix.Fchdir(fd); err != nil {
		return fault("working directory", "fchdir", path, err)
	}
	b := make([]byte, unix.PathMax)
	n, err := unix.Getcwd(b)
	if err != nil {
		return fault("working directory", "getcwd", path, err)
	}
	if n == 0 || b[0] != '/' {
		return refuse("working directory", path, "it is outside the container's root")
	}
	return nil
}
