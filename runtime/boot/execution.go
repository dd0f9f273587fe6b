package boot

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// giveStreams lets the user who open /dev/stdout, and takes the host's null device from its streams.
func giveStreams(self descriptors, streams [3]int, who identity) error {
	for n, fd := range streams {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return fault("stdio", "fstat", "", err)
		}
		if isNull(&st) {
			if err := replaceNull(self, fd, n); err != nil {
				return err
			}
			continue
		}
		// Pipes are ours to give away; anything else, such as a caller's terminal, is not.
		if st.Mode&unix.S_IFMT == unix.S_IFIFO && int(st.Uid) != who.uid {
			_ = unix.Fchown(fd, who.uid, who.gid)
		}
	}
	return nil
}

func (who *identity) rawGroups() []uint32 {
	groups := make([]uint32, len(who.groups))
	for i, g := range who.groups {
		groups[i] = uint32(g)
	}
	return groups
}

// filterProgram is b in memory that is aligned for it.
func filterProgram(b []byte) ([]unix.SockFilter, error) {
	const size = int(unsafe.Sizeof(unix.SockFilter{}))
	if len(b) == 0 {
		return nil, nil
	}
	if len(b)%size != 0 || len(b)/size > unix.BPF_MAXINSNS {
		return nil, refuse("seccomp", "", "the filter is not a whole number of instructions, or has more than 4096")
	}
	program := make([]unix.SockFilter, len(b)/size)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&program[0])), len(b)), b)
	return program, nil
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is the spec's, with HOME and, for a terminal, TERM where it has none.
func environment(p *specs.Process, who identity, tty bool) []string {
	env := p.Env
	if _, ok := lookEnv(env, "HOME"); !ok {
		env = append(env, "HOME="+who.home)
	}
	if _, ok := lookEnv(env, "TERM"); !ok && tty {
		env = append(env, "TERM=xterm")
	}
	return env
}

func lookEnv(env []string, key string) (string, bool) {
	for i := len(env) - 1; i >= 0; i-- { // later wins
		if value, ok := strings.CutPrefix(env[i], key+"="); ok {
			return value, true
		}
	}
	return "", false
}

// lookPath finds a program as the user, in the environment and the working directory that it will have.
func lookPath(name string, env []string) (string, error) {
	if name == "" {
		return "", notFound(name, "the command is empty", proto.ExitNotFound)
	}
	if strings.Contains(name, "/") {
		return name, executable(name)
	}
	path, ok := lookEnv(env, "PATH")
	if !ok {
		path = defaultPath
	}
	var first error
	for _, dir := range strings.Split(path, ":") {
		if dir == "" {
			dir = "."
		}
		candidate := dir + "/" + name
		err := executable(candidate)
		if err == nil {
			return candidate, nil
		}
		// A file that is there and cannot be executed is better told than "not found".
		if AsFailure(err).ExitCode == proto.ExitNotExecutable && first == nil {
			first = err
		}
	}
	if first != nil {
		return "", first
	}
	return "", notFound(name, "executable file not found in $PATH ("+path+")", proto.ExitNotFound)
}

func executable(path string) error {
	var st unix.Stat_t
	err := unix.Stat(path, &st)
	if err == nil {
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			return notFound(path, "is a directory", proto.ExitNotExecutable)
		}
		err = unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist), err == unix.ENOTDIR:
		return notFound(path, "no such file or directory", proto.ExitNotFound)
	default:
		var errno syscall.Errno
		errors.As(err, &errno)
		return &proto.Failure{Stage: "exec", Path: path, Errno: errno, ExitCode: proto.ExitNotExecutable}
	}
}

func notFound(path, detail string, code int) error {
	return &proto.Failure{Stage: "exec", Path: path, Detail: detail, ExitCode: code}
}
