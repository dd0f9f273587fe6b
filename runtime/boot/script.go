package boot

import (
	"runtime"
	"syscall"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// script is the way of a process from all power to its own and to its program, as system calls that are ready to be made: boot makes them itself, the
// process of an exec is a clone of its monitor that can do nothing else (entrance.go).
type script struct {
	calls []call
	names []callName // of calls
	keep  []any      // what calls point to, which the collector of garbage does not see
	notes []string   // warnings that are known already
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

// pointer is p as an argument. It has escaped to the heap when it is in keep.
func (s *script) pointer(p unsafe.Pointer) uintptr {
	s.keep = append(s.keep, p)
	return uintptr(p)
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

// do makes the calls in this process, on this thread, and tells what could not be made as meant.
func (s *script) do() error {
	at, refused, errno := perform(s.calls)
	runtime.KeepAlive(s)
	for _, note := range append(s.notes, s.warnings(refused)...) {
		warn(note)
	}
	if errno != 0 {
		return s.fault(at, errno)
	}
	return nil
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
		want := &unix.Rlimit{Cur: l.Soft, Max: l.Hard}
		got := &unix.Rlimit{Cur: min(want.Cur, have.Max), Max: min(want.Max, have.Max)}
		name := callName{stage: "rlimit", call: "prlimit", path: l.Type}
		orElse := name
		name.refused = lessThanAsked(l.Type, want, got)
		s.add(name, unix.SYS_PRLIMIT64, 0, uintptr(n), s.pointer(unsafe.Pointer(want)))
		s.add(orElse, unix.SYS_PRLIMIT64, 0, uintptr(n), s.pointer(unsafe.Pointer(got)))
	}
	return nil
}

// privileges goes from root with everything to who, with sets. extra is what else is effective and permitted then.
func (s *script) privileges(who *identity, sets *capSets, noNewPrivileges bool, extra uint64) {
	of := func(what string) callName { return callName{stage: "capabilities", call: "prctl PR_" + what} }
	for i := range 64 {
		if sets.dropped&(1<<i) != 0 {
			name := of("CAPBSET_DROP")
			name.path = capName(i)
			s.add(name, unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(i))
		}
	}
	s.add(of("SET_KEEPCAPS"), unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
	// By raw calls, for this thread alone: it is the one that execve keeps.
	groups := who.rawGroups()
	user := func(call string) callName { return callName{stage: "user", call: call} }
	gid, uid := uintptr(who.gid), uintptr(who.uid)
	s.add(user("setgroups"), unix.SYS_SETGROUPS, uintptr(len(groups)), s.pointer(unsafe.Pointer(unsafe.SliceData(groups))))
	s.add(user("setresgid"), unix.SYS_SETRESGID, gid, gid, gid)
	s.add(user("setresuid"), unix.SYS_SETRESUID, uid, uid, uid)
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
	header, data := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, sets.data(extra)
	s.add(callName{stage: "capabilities", call: "capset"}, unix.SYS_CAPSET, s.pointer(unsafe.Pointer(header)), s.pointer(unsafe.Pointer(data)))
}

// defaultSignals lets the program start with every signal at its default, which execve does for those that are handled only. Until unblock none comes
// through.
func (s *script) defaultSignals() {
	action := s.pointer(unsafe.Pointer(new(sigaction)))
	for sig := unix.Signal(1); sig <= 64; sig++ {
		if sig != unix.SIGKILL && sig != unix.SIGSTOP {
			s.add(callName{stage: "exec", call: "rt_sigaction"}, unix.SYS_RT_SIGACTION, uintptr(sig), action, 0, 8)
		}
	}
}

func (s *script) unblockSignals() {
	none := s.pointer(unsafe.Pointer(new(uint64)))
	s.add(callName{stage: "exec", call: "rt_sigprocmask"}, unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, none, 0, 8)
}

type sigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// filter installs the filter of m, if it has one.
func (s *script) filter(m *image) {
	if m.filter != nil {
		s.add(callName{stage: "seccomp", call: "seccomp"}, unix.SYS_SECCOMP, setModeFilter, 0, s.pointer(unsafe.Pointer(m.filter)))
	}
}

const setModeFilter = 1 // SECCOMP_SET_MODE_FILTER

// execve is the last call.
func (s *script) execve(m *image) {
	s.keep = append(s.keep, m)
	name, argv, env := uintptr(unsafe.Pointer(m.name)), uintptr(unsafe.Pointer(&m.argv[0])), uintptr(unsafe.Pointer(&m.env[0]))
	what := callName{stage: "exec", call: "execve", path: m.path}
	if m.fd >= 0 {
		s.add(what, unix.SYS_EXECVEAT, uintptr(m.fd), name, argv, env, unix.AT_EMPTY_PATH)
		return
	}
	s.add(what, unix.SYS_EXECVE, name, argv, env)
}
