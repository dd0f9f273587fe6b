package boot

import (
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// The process of an exec comes into a pid namespace in which others run already. Those with CAP_SYS_PTRACE look into and change
// any process that they see, whatever it has set against it. So what prepares it, with the power of the host's root,
// stays outside; it has lost all of that and has the container's filter when it clones itself into the namespace, and
// the clone only makes its session and executes.

// late is what the clone needs, all of it in memory: after the filter there are none but the calls in fork.
type late struct {
	pids    int  // the pid namespace, of nsfs
	session bool // make fd 0 the terminal of the session
	before  bool // install the filter before the clone, which inherits it
	errors  int  // pipe to the parent: an errno, when execve fails

	header unix.CapUserHeader
	caps   [2]unix.CapUserData
}

// run returns an error, or nil when the clone executes the program.
//
// Precondition: privileges, with CAP_SYS_ADMIN left.
func (x *execution) runLate(m *image) error {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return fault("exec", "pipe2", "", err)
	}
	l := &late{
		pids: x.pids, session: x.tty >= 0, errors: p[1],
		header: unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3},
	}
	// With no_new_privs a filter takes no capability (seccomp(2)). Without, CAP_SYS_ADMIN should not be there to be taken,
	// so the filter comes first, if it lets through what comes after.
	l.before = m.filter != nil && !x.process.NoNewPrivileges && l.passes(m.filter, m.fd >= 0)
	var extra uint64
	if m.filter != nil && !x.process.NoNewPrivileges && !l.before {
		extra = 1 << unix.CAP_SYS_ADMIN
	}
	l.caps = x.sets.data(extra)
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fault("exec", "prctl PR_SET_DUMPABLE", "", err)
	}
	defaultSignals()
	pid, at, errno := l.fork(m)
	runtime.KeepAlive(m)
	if errno != 0 {
		return fault("exec", lateCalls[at], "", errno)
	}
	// The pid comes first: from now on there is a process to be killed.
	if err := proto.Send(proto.FDReport, &proto.Step{Type: proto.StepForked, Note: strconv.Itoa(int(pid))}); err != nil {
		_ = unix.Kill(int(pid), unix.SIGKILL) // nobody would know of it
		return fault("exec", "sendmsg", "", err)
	}
	unix.Close(p[1])
	var failed uint32
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(p[0]), uintptr(unsafe.Pointer(&failed)), unsafe.Sizeof(failed))
		switch {
		case errno == unix.EINTR:
			continue
		case errno == 0 && n == unsafe.Sizeof(failed):
			return proto.ExecFailure(m.path, syscall.Errno(failed))
		}
		return nil // closed by execve
	}
}

// Of late.fork, for messages.
const (
	atSetns = iota
	atSeccomp
	atCapset
	atClone
)

var lateCalls = [...]string{atSetns: "setns", atSeccomp: "seccomp", atCapset: "capset", atClone: "clone"}

const setModeFilter = 1 // SECCOMP_SET_MODE_FILTER

// fork drops what is left, and clones. The clone does not return.
//
// From setns on this thread cannot make others (clone(2), EINVAL), so Go must not run in between; in the clone there is but one
// thread of a Go program. Raw system calls only, in a function that the compiler puts no stack check into. CLONE_PARENT makes
// the clone a child of who waits for it.
//
//go:nosplit
//go:norace
func (l *late) fork(m *image) (pid uintptr, at int, errno syscall.Errno) {
	if _, _, errno = syscall.RawSyscall(unix.SYS_SETNS, uintptr(l.pids), unix.CLONE_NEWPID, 0); errno != 0 {
		return 0, atSetns, errno
	}
	if l.before {
		if _, _, errno = syscall.RawSyscall(unix.SYS_SECCOMP, setModeFilter, 0, uintptr(unsafe.Pointer(m.filter))); errno != 0 {
			return 0, atSeccomp, errno
		}
	}
	if _, _, errno = syscall.RawSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&l.header)), uintptr(unsafe.Pointer(&l.caps[0])), 0); errno != 0 {
		return 0, atCapset, errno
	}
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, cloneFlags, 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, atClone, errno
	}
	syscall.RawSyscall(unix.SYS_SETSID, 0, 0, 0)
	if l.session {
		_, _, errno = syscall.RawSyscall(unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	}
	if errno == 0 && m.filter != nil && !l.before {
		_, _, errno = syscall.RawSyscall(unix.SYS_SECCOMP, setModeFilter, 0, uintptr(unsafe.Pointer(m.filter)))
	}
	if errno == 0 {
		_, _, errno = syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(m.name)),
			uintptr(unsafe.Pointer(&m.argv[0])), uintptr(unsafe.Pointer(&m.env[0])))
	}
	failed := uint32(errno)
	syscall.RawSyscall(unix.SYS_WRITE, uintptr(l.errors), uintptr(unsafe.Pointer(&failed)), unsafe.Sizeof(failed))
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 125, 0, 0)
	}
}

const cloneFlags = unix.CLONE_PARENT | uintptr(unix.SIGCHLD)

// passes says whether the filter allows all calls after it: those of fork, and what the parent needs to report.
func (l *late) passes(filter *unix.SockFprog, initFirst bool) bool {
	if initFirst {
		return false // an exec has none
	}
	program := unsafe.Slice(filter.Filter, filter.Len)
	for _, call := range [][4]uint64{
		{unix.SYS_CAPSET}, {unix.SYS_CLONE, uint64(cloneFlags)}, {unix.SYS_SETSID}, {unix.SYS_IOCTL, 0, unix.TIOCSCTTY},
		{unix.SYS_EXECVE}, {unix.SYS_WRITE, uint64(l.errors)}, {unix.SYS_EXIT_GROUP, 125},
		{unix.SYS_SENDMSG, proto.FDReport}, {unix.SYS_CLOSE}, {unix.SYS_READ}, {unix.SYS_EXIT_GROUP, 0},
		{unix.SYS_FUTEX}, {unix.SYS_MMAP}, {unix.SYS_MADVISE}, {unix.SYS_RT_SIGPROCMASK}, {unix.SYS_RT_SIGRETURN}, // Go's own
	} {
		if !allows(program, call[0], call[1], call[2], call[3]) {
			return false
		}
	}
	return true
}
