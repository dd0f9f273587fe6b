package boot

import (
	"encoding/binary"
	"runtime"
	"syscall"
	"unsafe"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// The process of an exec comes into a pid namespace in which others run already. Those with CAP_SYS_PTRACE look into and change
// any process that they see, whatever it has set against it. So what prepares it, with the power of the host's root,
// stays outside: its monitor, which goes into the container's file system, and into its other namespaces, for that; then a clone of that, in the container's
// cgroups, which drops everything that the container has not, takes the container's filter, and clones itself into the pid namespace; and this second clone only makes its
// session and executes.
//
// Neither clone is a Go program of its own: they make the calls of a script. To start one took longer than all that it did.

// Entrance is the way of one process into a container.
type Entrance struct {
	// Master is of its terminal, -1 without one. It is the caller's to close.
	Master int

	words  int // where the clones tell how they fare
	theirs int // the other end
	tty    int // the terminal's slave, or -1
	path   string

	outer, inner *script
	how          cloneArgs
}

// Place is what the kernel knows a container by. All are files of the host's, which Prepare leaves open.
type Place struct {
	Init  int   // pidfd
	Pids  int   // pid namespace
	Group int   // directory in cgroup v2, or -1
	Tasks []int // the file tasks in each hierarchy of cgroup v1, for writing
}

// cloneArgs is struct clone_args, clone(2), up to the field that CLONE_INTO_CGROUP (Linux 5.7) needs.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

// laterNamespace is joined by the first clone: where cgroup2 is mounted with nsdelegate, as systemd does, a thread inside of a cgroup
// namespace may put nobody from outside of it into a cgroup (cgroup_namespaces(7); clone3 says ENOENT).
const laterNamespace = unix.CLONE_NEWCGROUP

// PrepareExec goes into the container, but for its pid namespace and cgroups, and makes everything ready for Start. The streams of the process are
// descriptors 0, 1 and 2 of this one.
//
// Preconditions: a locked thread that is not to be used for anything of the host's any more, of a process that
// has an exec and nothing else in its memory, and in which no other thread makes files that are not close-on-exec.
func PrepareExec(b *proto.ExecBootstrap, at Place) (e *Entrance, notes []string, err error) {
	p := &b.Process
	if len(p.Args) == 0 {
		return nil, nil, refuse("spec", "process.args", "there is no program to run")
	}
	// Not for processes of any container to look into (CVE-2016-9962). It keeps out all but CAP_SYS_PTRACE.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	_ = restoreNoFile()
	self, err := openDescriptors()
	if err != nil {
		return nil, nil, err
	}
	defer self.close()
	if err := goInto(at.Init); err != nil {
		return nil, nil, err
	}
	root, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fault("root", "open", "/", err)
	}
	defer unix.Close(root)
	who, err := resolveUser(self, root, p.User, b.Groups)
	if err != nil {
		return nil, nil, err
	}
	e = &Entrance{Master: -1, words: -1, theirs: -1, tty: -1}
	defer func() {
		if err != nil {
			e.Close()
			e = nil
		}
	}()
	if p.Terminal {
		if e.Master, e.tty, err = openTerminal(self, root, who, p.ConsoleSize); err != nil {
			return e, nil, err
		}
	} else if err = giveStreams(self, [3]int{0, 1, 2}, who); err != nil {
		return e, nil, err
	}
	cwd, err := openWorkingDir(root, p.Cwd)
	if err == nil {
		err = enterWorkingDir(cwd, p.Cwd)
		unix.Close(cwd)
	}
	if err != nil {
		return e, nil, err
	}
	sets, err := parseCaps(p.Capabilities)
	if err != nil {
		return e, nil, err
	}
	notes = sets.limit()
	env := environment(p, who, p.Terminal)
	err = asUser(&who, &sets, func() (err error) {
		e.path, err = lookPath(p.Args[0], env)
		return err
	})
	if err != nil {
		return e, notes, err
	}
	filter, err := filterProgram(b.Seccomp)
	if err != nil {
		return e, notes, err
	}
	if err = e.write(p, &who, &sets, filter, at); err == nil {
		err = e.inner.execve(-1, e.path, p.Args, env)
	}
	return e, notes, err
}

// goInto joins what can be joined before the cgroup is. The mount namespace needs a thread whose root is not shared with others (setns(2)).
func goInto(init int) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fault("exec", "unshare", "", err)
	}
	const all = unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNS
	if err := unix.Setns(init, all); err != nil { // all or none; by pidfd since Linux 5.8
		return fault("exec", "setns", "", err)
	}
	return nil
}

// asUser calls f with the rights that who and sets have to files, on this thread.
func asUser(who *identity, sets *capSets, f func() error) error {
	groups, err := unix.Getgroups()
	if err != nil {
		return fault("user", "getgroups", "", err)
	}
	self := identity{uid: unix.Geteuid(), gid: unix.Getegid(), groups: groups}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var all [2]unix.CapUserData
	if err := unix.Capget(&header, &all[0]); err != nil {
		return fault("capabilities", "capget", "", err)
	}
	own := all
	for i := range own {
		own[i].Effective &= uint32(sets.effective >> (32 * i))
	}
	become := func(who *identity, caps *[2]unix.CapUserData) error {
		groups := who.rawGroups()
		if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(unsafe.SliceData(groups))), 0); errno != 0 {
			return fault("user", "setgroups", "", errno)
		}
		// They return what was before, and tell of no error (setfsuid(2)). The effective set follows: it is set after them.
		unix.RawSyscall(unix.SYS_SETFSGID, uintptr(who.gid), 0, 0)
		unix.RawSyscall(unix.SYS_SETFSUID, uintptr(who.uid), 0, 0)
		if now, _, _ := unix.RawSyscall(unix.SYS_SETFSUID, ^uintptr(0), 0, 0); int(now) != who.uid {
			return fault("user", "setfsuid", "", unix.EPERM)
		}
		if err := unix.Capset(&header, &caps[0]); err != nil {
			return fault("capabilities", "capset", "", err)
		}
		return nil
	}
	err = become(who, &own)
	if err == nil {
		err = f()
	}
	if berr := unix.Capset(&header, &all[0]); berr != nil {
		return fault("capabilities", "capset", "", berr)
	}
	if berr := become(&self, &all); berr != nil {
		return berr
	}
	return err
}

// write makes the scripts.
func (e *Entrance) write(p *specs.Process, who *identity, sets *capSets, filter []unix.SockFilter, at Place) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return fault("exec", "pipe2", "", err)
	}
	e.words, e.theirs = pipe[0], pipe[1]
	if at.Group >= 0 {
		e.how.flags, e.how.cgroup = unix.CLONE_INTO_CGROUP, uint64(at.Group)
	}
	e.how.exitSignal = uint64(unix.SIGCHLD)
	e.inner = new(script)
	e.inner.add(callName{stage: "exec", call: "setsid"}, unix.SYS_SETSID)
	if e.tty >= 0 {
		e.inner.add(callName{stage: "terminal", call: "ioctl TIOCSCTTY"}, unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	}
	s := new(script)
	e.outer = s
	if err := s.limits(p.Rlimits); err != nil {
		return err
	}
	s.joinCgroups(at.Tasks)
	s.add(callName{stage: "exec", call: "setns"}, unix.SYS_SETNS, uintptr(at.Init), laterNamespace)
	if e.tty >= 0 {
		for fd := range uintptr(3) {
			s.add(callName{stage: "terminal", call: "dup3"}, unix.SYS_DUP3, uintptr(e.tty), fd, 0)
		}
	}
	s.defaultSignals()
	s.keyring()
	nnp := p.NoNewPrivileges
	s.bounds(sets)
	s.privileges(who, sets, nnp, 1<<unix.CAP_SYS_ADMIN) // for setns, and maybe for the filter
	// Nobody would know of a clone whose monitor is killed. After the change of user, which clears it.
	s.add(callName{stage: "exec", call: "prctl PR_SET_PDEATHSIG"}, unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL))
	s.add(callName{stage: "exec", call: "setns"}, unix.SYS_SETNS, uintptr(at.Pids), unix.CLONE_NEWPID)
	// Of what we hold the clone in the pid namespace has the streams, and its word on a failure until execve (CVE-2024-21626).
	s.add(callName{stage: "exec", call: "close_range"}, unix.SYS_CLOSE_RANGE, 3, uintptr(e.theirs-1), 0)
	s.add(callName{stage: "exec", call: "close_range"}, unix.SYS_CLOSE_RANGE, uintptr(e.theirs+1), uintptr(^uint32(0)), 0)
	// With no_new_privs a filter takes no capability (seccomp(2)). Without, CAP_SYS_ADMIN should not be there to be taken,
	// so the filter comes first, if it lets through what comes after.
	first := len(filter) > 0 && !nnp && e.passes(filter)
	var extra uint64
	if first {
		s.filter(filter)
	} else if len(filter) > 0 && !nnp {
		extra = 1 << unix.CAP_SYS_ADMIN
	}
	s.capset(sets, extra)
	e.inner.unblockSignals()
	if !first {
		e.inner.filter(filter)
	}
	return nil
}

// Close lets go of everything but Master.
func (e *Entrance) Close() {
	e.closeTheirs()
	if e.words >= 0 {
		unix.Close(e.words)
		e.words = -1
	}
}

func (e *Entrance) closeTheirs() {
	for _, fd := range []*int{&e.theirs, &e.tty} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

// Words is a descriptor that is ready when Next has something to say.
func (e *Entrance) Words() int { return e.words }

// Start makes the first clone, a child of this process, and lets the scripts run.
func (e *Entrance) Start() (pid int, err error) {
	var n uintptr
	var errno syscall.Errno
	err = unhandled(func() { n, errno = e.fork(e.outer.calls, e.inner.calls, uintptr(e.theirs)) })
	runtime.KeepAlive(e)
	e.closeTheirs()
	if err == nil && errno != 0 {
		err = fault("exec", "clone3", "", errno)
	}
	return int(n), err
}

// Of the first number of a word. Each is three numbers of eight bytes.
const (
	wordForked      = iota // the pid of the second clone, limits that were refused
	wordOuterFailed        // the call's index, errno
	wordInnerFailed        // the same
	wordWaits              // an init
	wordExecutes           // an init; limits that were refused
)

const wordSize = 3 * 8

func parseWord(b []byte) (kind, first, second uint64) {
	n := binary.NativeEndian
	return n.Uint64(b), n.Uint64(b[8:]), n.Uint64(b[16:])
}

// fork clones, and the clone clones itself. Neither clone returns. CLONE_PARENT makes the second a child of ours.
//
//go:nosplit
//go:norace
func (e *Entrance) fork(outer, inner []call, words uintptr) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(&e.how)), unsafe.Sizeof(e.how), 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	var word [3]uint64
	at, refused, errno := perform(outer)
	if errno == 0 {
		pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, cloneFlags, 0, 0, 0, 0, 0)
		switch {
		case errno == 0 && pid == 0:
			at, _, errno = perform(inner)
			word = [3]uint64{wordInnerFailed, uint64(at), uint64(errno)}
		case errno == 0:
			word = [3]uint64{wordForked, uint64(pid), refused}
		default:
			at = len(outer)
		}
	}
	if errno != 0 && word[0] == wordForked {
		word = [3]uint64{wordOuterFailed, uint64(at), uint64(errno)}
	}
	_, _, errno = syscall.RawSyscall(unix.SYS_WRITE, words, uintptr(unsafe.Pointer(&word)), wordSize)
	if errno != 0 && word[0] == wordForked { // nobody would know of it
		syscall.RawSyscall(unix.SYS_KILL, uintptr(word[1]), uintptr(unix.SIGKILL), 0)
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 125, 0, 0)
	}
}

const cloneFlags = unix.CLONE_PARENT | uintptr(unix.SIGCHLD)

// Word is what Next has heard.
type Word struct {
	Forked   int  // of an Entrance: the pid of the process that executes the program
	Executes bool // of an Init: it executes the program
	Notes    []string
	Failed   error
	Over     bool // nothing comes any more; after Forked or Executes without Failed the program runs
}

// Next waits for a word of the clones. Processes of the container can have had a hand in what the second says.
func (e *Entrance) Next() Word {
	var b [wordSize]byte
	for {
		n, err := unix.Read(e.words, b[:])
		if err == unix.EINTR {
			continue
		}
		if n != wordSize {
			return Word{Over: true}
		}
		break
	}
	kind, first, second := parseWord(b[:])
	switch kind {
	case wordForked:
		return Word{Forked: int(first), Notes: e.outer.warnings(second)}
	case wordOuterFailed:
		if int(first) == len(e.outer.calls) {
			return Word{Failed: fault("exec", "clone", "", syscall.Errno(second))}
		}
		return Word{Failed: e.outer.fault(int(first), syscall.Errno(second))}
	}
	return Word{Failed: e.inner.fault(int(first), syscall.Errno(second))}
}

// passes says whether the filter allows all calls after it.
func (e *Entrance) passes(program []unix.SockFilter) bool {
	for _, call := range [][4]uint64{
		{unix.SYS_CAPSET}, {unix.SYS_CLONE, uint64(cloneFlags)}, {unix.SYS_SETSID}, {unix.SYS_IOCTL, 0, unix.TIOCSCTTY},
		{unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK}, {unix.SYS_EXECVE}, {unix.SYS_WRITE, uint64(e.theirs)}, {unix.SYS_EXIT_GROUP, 125},
	} {
		if !allows(program, call[0], call[1], call[2], call[3]) {
			return false
		}
	}
	return true
}
