package boot

import (
	"encoding/binary"
	"strings"
	"syscall"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// script is the way of a process from all power to its own and to its program, as system calls that are ready to be made: the process is a clone of its
// monitor, which can do nothing else.
type script struct {
	calls []call
	names []callName // of calls

	keep  []any   // what calls point to, which the collector of garbage does not see
	arena *[]byte // what is left of memory for that; nil: the heap
	short bool    // there was not enough of it
}

// newScript has room for about as many calls as the init of a usual container makes before it has its root.
func newScript() *script {
	const usual = 128
	return &script{calls: make([]call, 0, usual), names: make([]callName, 0, usual)}
}

// call is one system call. What it points to is in memory that does not move.
type call struct {
	nr   uintptr
	args [6]uintptr
	// refusable: EPERM is no fault, but has the next call made in its place; otherwise that one is left out.
	refusable bool
}

type callName struct {
	stage, call, path string
	refused           string // the warning, of a refusable call
}

func (s *script) add(name callName, nr uintptr, args ...uintptr) {
	c := call{nr: nr, refusable: name.refused != ""}
	copy(c.args[:], args)
	s.calls, s.names = append(s.calls, c), append(s.names, name)
}

// memory is n bytes for calls to point to, zero, and where they are.
func (s *script) memory(n int) ([]byte, uintptr) {
	words := (n + 7) / 8
	if s.arena == nil || len(*s.arena) < 8*words {
		s.short = s.arena != nil
		heap := make([]uint64, words+1) // aligned
		s.keep = append(s.keep, heap)
		return unsafe.Slice((*byte)(unsafe.Pointer(&heap[0])), n), uintptr(unsafe.Pointer(&heap[0]))
	}
	b := (*s.arena)[:n:n]
	*s.arena = (*s.arena)[8*words:]
	return b, uintptr(unsafe.Pointer(unsafe.SliceData(b)))
}

// point puts v, which holds no pointers of Go's, where a call can point to it.
func point[T any](s *script, v T) uintptr {
	b, at := s.memory(int(unsafe.Sizeof(v)))
	copy(b, unsafe.Slice((*byte)(unsafe.Pointer(&v)), len(b)))
	return at
}

func (s *script) text(v string) uintptr {
	b, at := s.memory(len(v) + 1)
	copy(b, v)
	return at
}

// texts is an array of strings that ends with a null.
func (s *script) texts(list []string) (uintptr, error) {
	b, at := s.memory(8 * (len(list) + 1))
	for i, v := range list {
		if strings.IndexByte(v, 0) >= 0 {
			return 0, unix.EINVAL
		}
		binary.NativeEndian.PutUint64(b[8*i:], uint64(s.text(v)))
	}
	return at, nil
}

// perform makes calls up to the first that fails. refused has a bit for each of the first 64 that was not made as meant.
//
// In a clone of a Go program there is but one of its threads: raw system calls only, in a function that the compiler puts no stack check
// into.
//
//go:nosplit
//go:norace
func perform(calls []call) (at int, refused uint64, errno syscall.Errno) {
	for i := 0; i < len(calls); i++ {
		c := &calls[i]
		_, _, errno = syscall.RawSyscall6(c.nr, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
		switch {
		case errno == 0:
			if c.refusable {
				i++
			}
		case errno == unix.EPERM && c.refusable:
			refused |= 1 << (uint(i) & 63)
		default:
			return i, refused, errno
		}
	}
	return len(calls), refused, 0
}

func (s *script) warnings(refused uint64) (notes []string) {
	for i := range min(len(s.names), 64) {
		if refused&(1<<i) != 0 {
			notes = append(notes, s.names[i].refused)
		}
	}
	return notes
}

func (s *script) fault(at int, errno syscall.Errno) error {
	if at < 0 || at >= len(s.names) {
		return fault("exec", "", "", errno)
	}
	n := s.names[at]
	if n.call == "execve" {
		return proto.ExecFailure(n.path, errno)
	}
	return fault(n.stage, n.call, n.path, errno)
}

// limits comes first, while there is CAP_SYS_RESOURCE, which raising a hard limit takes.
func (s *script) limits(limits []specs.POSIXRlimit) error {
	for _, l := range limits {
		n, ok := rlimits[l.Type]
		if !ok {
			return refuse("rlimit", l.Type, "there is no such limit")
		}
		var have unix.Rlimit
		if err := unix.Prlimit(0, n, nil, &have); err != nil {
			return fault("rlimit", "prlimit", l.Type, err)
		}
		want := unix.Rlimit{Cur: l.Soft, Max: l.Hard}
		got := unix.Rlimit{Cur: min(want.Cur, have.Max), Max: min(want.Max, have.Max)}
		name := callName{stage: "rlimit", call: "prlimit", path: l.Type}
		orElse := name
		name.refused = lessThanAsked(l.Type, want, got)
		s.add(name, unix.SYS_PRLIMIT64, 0, uintptr(n), point(s, want))
		s.add(orElse, unix.SYS_PRLIMIT64, 0, uintptr(n), point(s, got))
	}
	return nil
}

// keyring gives the process a session keyring of its own: in the daemon's there may be keys of whoever started that (session-keyring(7)). Before the user
// is changed: an ordinary user's quota is some 200 keys. A kernel, or a filter around the daemon, that knows no keyrings lets nobody inside have any.
func (s *script) keyring() {
	if _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false); err == unix.ENOSYS || err == unix.EPERM {
		return
	}
	s.add(callName{stage: "keyring", call: "keyctl KEYCTL_JOIN_SESSION_KEYRING"}, unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0)
}

// bounds takes out of the bounding set what sets has not: what the process has it keeps until its execve.
func (s *script) bounds(sets *capSets) {
	for i := range 64 {
		if sets.dropped&(1<<i) != 0 {
			s.add(callName{stage: "capabilities", call: "prctl PR_CAPBSET_DROP", path: capName(i)}, unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(i))
		}
	}
}

// privileges goes from root with everything to who, with sets. extra is what else is effective and permitted then. bounds comes before it.
func (s *script) privileges(who *identity, sets *capSets, noNewPrivileges bool, extra uint64) {
	of := func(what string) callName { return callName{stage: "capabilities", call: "prctl PR_" + what} }
	s.add(of("SET_KEEPCAPS"), unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
	// By raw calls, for this thread alone: it is the one that execve keeps.
	groups, list := s.memory(4 * len(who.groups))
	for i, g := range who.groups {
		binary.NativeEndian.PutUint32(groups[4*i:], uint32(g))
	}
	user := func(call string) callName { return callName{stage: "user", call: call} }
	gid, uid := uintptr(who.gid), uintptr(who.uid)
	s.add(user("setgroups"), unix.SYS_SETGROUPS, uintptr(len(who.groups)), list)
	s.add(user("setresgid"), unix.SYS_SETRESGID, gid, gid, gid)
	s.add(user("setresuid"), unix.SYS_SETRESUID, uid, uid, uid)
	s.add(of("SET_DUMPABLE"), unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0) // the change of user has made it fs.suid_dumpable
	s.add(user("umask"), unix.SYS_UMASK, uintptr(who.umask))
	s.add(of("SET_KEEPCAPS"), unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 0)
	if noNewPrivileges {
		s.add(of("SET_NO_NEW_PRIVS"), unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	}
	s.capset(sets, extra)
	for i := range capNames {
		if sets.ambient&(1<<i) != 0 {
			name := of("CAP_AMBIENT_RAISE")
			name.path = capNames[i]
			s.add(name, unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(i))
		}
	}
}

// capset makes the thread's sets those of sets; extra is added to effective and permitted.
func (s *script) capset(sets *capSets, extra uint64) {
	header, data := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, sets.data(extra)
	s.add(callName{stage: "capabilities", call: "capset"}, unix.SYS_CAPSET, point(s, header), point(s, data))
}

// defaultSignals lets the program start with every signal at its default, which execve does for those that are handled only. Until unblock none comes
// through.
func (s *script) defaultSignals() {
	action := point(s, sigaction{})
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if sig != unix.SIGKILL && sig != unix.SIGSTOP {
			s.add(callName{stage: "exec", call: "rt_sigaction"}, unix.SYS_RT_SIGACTION, uintptr(sig), action, 0, 8)
		}
	}
}

func (s *script) unblockSignals() {
	none := point(s, uint64(0))
	s.add(callName{stage: "exec", call: "rt_sigprocmask"}, unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, none, 0, 8)
}

type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// filter installs program, if there is one.
func (s *script) filter(program []unix.SockFilter) {
	if len(program) == 0 {
		return
	}
	const size = int(unsafe.Sizeof(unix.SockFilter{}))
	b, at := s.memory(size * len(program))
	copy(b, unsafe.Slice((*byte)(unsafe.Pointer(&program[0])), len(b)))
	fprog := point(s, struct { // struct sock_fprog
		len    uint16
		filter uintptr
	}{uint16(len(program)), at})
	s.add(callName{stage: "seccomp", call: "seccomp"}, unix.SYS_SECCOMP, setModeFilter, 0, fprog)
}

const setModeFilter = 1 // SECCOMP_SET_MODE_FILTER

// execve is the last call: of path or, when fd is not negative, of that file, which then starts path.
func (s *script) execve(fd int, path string, args, env []string) error {
	what, name := callName{stage: "exec", call: "execve", path: path}, path
	if fd >= 0 {
		args, name = append([]string{"stack-init", path}, args...), ""
	}
	argv, err := s.texts(args)
	if err != nil {
		return refuse("exec", path, "an argument holds a zero byte")
	}
	envp, err := s.texts(env)
	if err != nil {
		return refuse("exec", path, "an environment variable holds a zero byte")
	}
	if strings.IndexByte(path, 0) >= 0 {
		return fault("exec", "", path, unix.EINVAL)
	}
	if fd >= 0 {
		s.add(what, unix.SYS_EXECVEAT, uintptr(fd), s.text(name), argv, envp, unix.AT_EMPTY_PATH)
	} else {
		s.add(what, unix.SYS_EXECVE, s.text(name), argv, envp)
	}
	return nil
}
