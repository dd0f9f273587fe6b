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

// execution is the last stretch of a container's init: from all power to the process's own, and execve.
type execution struct {
	process *specs.Process
	who     identity
	tty     int    // slave of the terminal, or -1
	cwd     int    // the open working directory
	pid1    int    // package pid1's program, to be PID 1 before the process; or -1
	seccomp []byte // struct sock_filter[]
	await   bool   // wait for Go before execve
}

// run returns only with an error.
//
// Preconditions: the root is the container's; locked main thread.
func (x *execution) run() error {
	if err := enterWorkingDir(x.cwd, x.process.Cwd); err != nil {
		return err
	}
	if err := x.session(); err != nil {
		return err
	}
	if x.tty < 0 {
		if err := giveStreams(x.who); err != nil {
			return err
		}
	}
	if err := x.privileges(); err != nil {
		return err
	}
	env := environment(x.process, x.who, x.tty >= 0)
	path, err := lookPath(x.process.Args[0], env)
	if err != nil {
		return err
	}
	image, err := x.image(path, env)
	if err != nil {
		return err
	}
	last := new(script)
	last.defaultSignals()
	last.unblockSignals()
	last.filter(image) // with no other system call after it: a filter need not allow more than what the program itself does
	last.execve(image)
	if x.await {
		if err := awaitGo(); err != nil {
			return err
		}
	}
	if err := proto.Send(proto.FDReport, &proto.Step{Type: proto.StepExec, Note: path}); err != nil {
		return fault("exec", "sendmsg", "", err)
	}
	return last.do()
}

// giveStreams lets the user who open /dev/stdout, and takes the host's null device from its streams.
func giveStreams(who identity) error {
	for fd := range 3 {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return fault("stdio", "fstat", "", err)
		}
		if isNull(&st) {
			if err := replaceNull(fd); err != nil {
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

// session makes one of the process's own, with its terminal if it has one.
func (x *execution) session() error {
	if _, err := unix.Setsid(); err != nil && err != unix.EPERM { // EPERM: it leads one already
		return fault("terminal", "setsid", "", err)
	}
	if x.tty >= 0 {
		if err := unix.IoctlSetInt(x.tty, unix.TIOCSCTTY, 0); err != nil {
			return fault("terminal", "ioctl TIOCSCTTY", "", err)
		}
		for fd := range 3 {
			if err := unix.Dup3(x.tty, fd, 0); err != nil {
				return fault("terminal", "dup3", "", err)
			}
		}
	}
	return nil
}

// privileges goes from root with everything to what the spec gives.
func (x *execution) privileges() error {
	sets, err := parseCaps(x.process.Capabilities)
	if err != nil {
		return err
	}
	s := &script{notes: sets.limit()}
	if err := s.limits(x.process.Rlimits); err != nil {
		return err
	}
	// Without no_new_privs a filter takes CAP_SYS_ADMIN (seccomp(2)), and it comes after everything else. What
	// is extra here ends at execve, which computes the sets anew from the bounding, inheritable and ambient
	// ones (capabilities(7), "Transformation of capabilities during execve"); nothing runs in between.
	var extra uint64
	if len(x.seccomp) > 0 && !x.process.NoNewPrivileges {
		extra = 1 << unix.CAP_SYS_ADMIN
	}
	s.privileges(&x.who, &sets, x.process.NoNewPrivileges, extra)
	return s.do()
}

func (who *identity) rawGroups() []uint32 {
	groups := make([]uint32, len(who.groups))
	for i, g := range who.groups {
		groups[i] = uint32(g)
	}
	return groups
}

// awaitGo says that everything is ready and waits for the monitor.
func awaitGo() error {
	if err := proto.Send(proto.FDReport, &proto.Step{Type: proto.StepReady}); err != nil {
		return fault("attach", "sendmsg", "", err)
	}
	b := make([]byte, len(proto.Go))
	for {
		n, err := unix.Read(proto.FDReport, b)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fault("attach", "read", "", err)
		case string(b[:n]) != proto.Go:
			return refuse("attach", "", "expected \""+proto.Go+"\" from the monitor but got \""+string(b[:n])+"\"")
		}
		return nil
	}
}

// image is an execve whose arguments are in memory already.
type image struct {
	path      string
	name      *byte
	fd        int // ≥ 0: execute this file and not name
	argv, env []*byte
	filter    *unix.SockFprog
}

func (x *execution) image(path string, env []string) (*image, error) {
	args := x.process.Args
	m := &image{path: path, fd: -1}
	if x.pid1 >= 0 {
		// What runs is PID 1, which runs path. It needs the socket to tell that it cannot.
		m.fd = x.pid1
		args = append([]string{"stack-init", path}, args...)
		path = ""
		if _, err := unix.FcntlInt(proto.FDReport, unix.F_SETFD, 0); err != nil {
			return nil, fault("init", "fcntl", "", err)
		}
	}
	var err error
	if m.name, err = unix.BytePtrFromString(path); err != nil {
		return nil, fault("exec", "", path, err)
	}
	if m.argv, err = syscall.SlicePtrFromStrings(args); err != nil {
		return nil, refuse("exec", path, "an argument holds a zero byte")
	}
	if m.env, err = syscall.SlicePtrFromStrings(env); err != nil {
		return nil, refuse("exec", path, "an environment variable holds a zero byte")
	}
	m.filter, err = filterProgram(x.seccomp)
	return m, err
}

func filterProgram(b []byte) (*unix.SockFprog, error) {
	const size = int(unsafe.Sizeof(unix.SockFilter{}))
	if len(b) == 0 {
		return nil, nil
	}
	if len(b)%size != 0 || len(b)/size > unix.BPF_MAXINSNS {
		return nil, refuse("seccomp", "", "the filter is not a whole number of instructions, or has more than 4096")
	}
	// Into memory that is aligned for it.
	program := make([]unix.SockFilter, len(b)/size)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&program[0])), len(b)), b)
	return &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}, nil
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
