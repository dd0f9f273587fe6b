package boot

import (
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/rawfd"
	"github.com/stackrun/stack/runtime/proto"
)

// The init of a container is a clone of its monitor too. The monitor makes the namespaces, but for those of pids and of cgroups, and mounts the root, while the daemon
// makes the cgroups. Then it goes to the container's mount namespace, and clones the init, for three things that only a process inside can do: it is the first of the pid namespace, it opens procfs, which shows the pid
// namespace of who opens it, and it is in the cgroups. The init waits, while its monitor makes everything else, and leaves the namespaces again. At last the monitor writes a
// script into memory that both have, and hands over the streams.

// Init is the process that becomes the container's.
type Init struct {
	Pid    int // a child of this process
	Pidfd  int
	Own    bool // it is PID 1 of a pid namespace of its own
	Master int  // of its terminal, -1 without one
	Notes  []string

	socket int // to it
	theirs int
	tty    int
	said   bool // that it executes
	first  *inside
	last   *script
	shared []byte // memory that both have
	files  []int  // what Go hands over
	path   string // of its program
}

// fdInit is where the init, and package pid1's program in it, has its end of the socket.
const fdInit = 4

// What Go hands over comes to lie at descriptors 3, 5, 6, …: all others are closed by then, but 0, 1, 2 and fdInit.
const (
	fdStreams = iota
	_
	_
	fdRoot
	fdCwd
	fdPid1
	maxFiles
)

func received(n int) uintptr {
	if n == 0 {
		return 3
	}
	return uintptr(fdInit + n)
}

// sharedCalls is at the start of the shared memory.
type sharedCalls struct {
	first, total uint64 // numbers of calls: before the word that it executes, and of all
	calls        [maxCalls]call
}

const maxCalls = 512

// maxProcs is how many procfs a container can have. A program needs one.
const maxProcs = 4

// PrepareInit makes the container of b up to its execve, and returns its init, which waits. home is of OpenHome. empty is of OpenEmpty. streams are for it, and the caller's to close; filesystems are
// used up. Those of ahead, which may be nil, are used if they are what b asks for. With an error the Init is there to be ended, if it is there at all.
//
// Preconditions: a thread that is locked by runtime.LockOSThread, lest another thread begins in the container. It is back where it was afterwards, or the
// error says otherwise.
func PrepareInit(home *Home, b *proto.Bootstrap, size, empty int, ahead *Ahead, streams [3]int, filesystems []int) (i *Init, err error) {
	// Not for processes of the container to look into while the init still has power that they have not, when they
	// share a pid namespace (CVE-2016-9962). It keeps out all but CAP_SYS_PTRACE.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	c := &container{Bootstrap: b, spec: b.Spec, pid1: -1, self: -1, root: -1, proc: -1, blank: -1}
	c.init = &Init{Pidfd: -1, Master: -1, socket: -1, theirs: -1, tty: -1}
	c.self = home.self
	defer c.close()
	if ahead != nil && ahead.kinds != KindsAhead(b.Spec) {
		ahead = nil
	}
	spaces, err := openNamespaces(b.Spec, ahead)
	defer spaces.close()
	if err != nil {
		return c.init, err
	}
	c.init.files = []int{streams[0], streams[1], streams[2], -1, -1}
	err = home.leave(&spaces)
	if err == nil {
		err = c.start(filesystems, func() error { return c.spawn(home, &spaces, empty, size+len(b.Seccomp)) })
	}
	if herr := home.enter(); herr != nil {
		err = herr
	}
	return c.init, err
}

// spawn clones the init into the namespaces that this thread is in, and a mount namespace of its own, which is as empty.
//
// Precondition: the host's paths are there. Postcondition: they are not, and the root is not yet entered.
func (c *container) spawn(home *Home, spaces *namespaces, empty, size int) error {
	i := c.init
	if err := awaitCgroups(); err != nil {
		return err
	}
	tasks, err := openTasks(c.Cgroup.V1)
	defer rawfd.CloseAll(tasks)
	if err != nil {
		return err
	}
	how := cloneArgs{exitSignal: uint64(unix.SIGCHLD), flags: uint64(spaces.clone & unix.CLONE_NEWPID)}
	if dir := c.Cgroup.V2; dir != "" {
		fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fault("cgroup", "open", dir, err)
		}
		defer unix.Close(fd)
		how.flags, how.cgroup = how.flags|unix.CLONE_INTO_CGROUP, uint64(fd)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fault("clone", "socketpair", "", err)
	}
	i.socket, i.theirs = pair[0], pair[1]
	defer func() {
		unix.Close(i.theirs)
		i.theirs = -1
	}()
	// Everything that the script can point to comes from the bootstrap, but for the script itself and what every container has.
	size += int(unsafe.Sizeof(sharedCalls{})) + 2*size + 64<<10 + stackSize
	if i.shared, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS); err != nil {
		return fault("clone", "mmap", "", err)
	}
	procs := 0
	for _, m := range c.spec.Mounts {
		if m.Type == "proc" {
			procs++
		}
	}
	if procs > maxProcs {
		return refuse("mount", "/proc", "a container can have "+strconv.Itoa(maxProcs)+" file systems of type proc")
	}
	s := newScript()
	of := func(call string) callName { return callName{stage: "clone", call: call} }
	s.add(of("dup3"), unix.SYS_DUP3, uintptr(i.theirs), fdInit, unix.O_CLOEXEC) // first: it is for words of failures too
	s.joinCgroups(tasks)
	if j := spaces.group; j.fd >= 0 { // of the cgroup namespace that it comes from it could not be put into its cgroups
		s.add(callName{stage: "namespace", call: "setns", path: j.path}, unix.SYS_SETNS, uintptr(j.fd), unix.CLONE_NEWCGROUP)
	}
	if spaces.cgroup {
		s.add(callName{stage: "namespace", call: "unshare", path: "cgroup"}, unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP)
	}
	s.add(of("prctl PR_SET_PDEATHSIG"), unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL)) // nobody would know of it
	s.add(of("close_range"), unix.SYS_CLOSE_RANGE, 3, fdInit-1)
	s.add(of("close_range"), unix.SYS_CLOSE_RANGE, fdInit+1, uintptr(^uint32(0)))
	// What needs neither the root nor anybody's word it does while its monitor works on the mounts.
	if c.caps, err = parseCaps(c.spec.Process.Capabilities); err != nil {
		return err
	}
	i.Notes = append(i.Notes, c.caps.limit()...)
	s.defaultSignals()
	s.keyring()
	s.bounds(&c.caps)
	if err := enterEmpty(empty); err != nil {
		return err
	}
	if spaces.pids >= 0 {
		if err := unix.Setns(spaces.pids, unix.CLONE_NEWPID); err != nil {
			return fault("clone", "setns", "", err)
		}
	}
	i.Own = spaces.clone&unix.CLONE_NEWPID != 0
	if !i.Own {
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	how.shareMemory(c)
	i.shared = how.giveStack(i.shared)
	again := restoreNoFile()
	err = i.clone(&how, s, procs)
	again()
	if err == nil {
		if i.Pidfd, err = unix.PidfdOpen(i.Pid, 0); err != nil {
			_ = unix.Kill(i.Pid, unix.SIGKILL) // our child, not reaped: the pid is its own
			_, _ = unix.Wait4(i.Pid, nil, 0, nil)
			i.Pid = 0
			err = fault("clone", "pidfd_open", "", err)
		}
	}
	if spaces.pids >= 0 {
		if herr := home.pids(); err == nil {
			err = herr
		}
	}
	if err != nil {
		return err
	}
	unix.Close(i.theirs) // or its end would not show
	i.theirs = -1
	return c.scoreForOOM()
}

// awaitInit waits until the init waits, and goes where only it could.
func (c *container) awaitInit() error {
	i, s := c.init, c.init.first.script
	if !Await(i.socket) {
		return ErrUnheard
	}
	b, files, err := proto.ReceivePacket(i.socket)
	if err != nil || len(b) != wordSize {
		rawfd.CloseAll(files)
		return ErrDied
	}
	if kind, at, errno := parseWord(b); kind != wordWaits {
		if int(at) >= len(s.calls) {
			return fault("clone", "fsopen", "proc", syscall.Errno(errno))
		}
		return s.fault(int(at), syscall.Errno(errno))
	}
	c.procs = files
	if err := unix.Setns(i.Pidfd, unix.CLONE_NEWCGROUP); err != nil { // by pidfd since Linux 5.8
		return fault("namespace", "setns", "", err)
	}
	return nil
}

// ErrDied is a failure that its parent can explain.
var ErrDied = &proto.Failure{Stage: "boot", Detail: "ended before the program started", ExitCode: proto.ExitPlatform}

// takeProc is openFilesystem for the procfs of the container's pid namespace.
func (c *container) takeProc(stage, kind string) (*filesystem, error) {
	if len(c.procs) == 0 {
		return nil, refuse(stage, kind, "nobody has opened it")
	}
	fs := &filesystem{fd: c.procs[0], stage: stage, kind: kind}
	c.procs = c.procs[1:]
	return fs, nil
}

func (i *Init) note(text string) { i.Notes = append(i.Notes, text) }

// clone makes the init, which performs s and waits.
func (i *Init) clone(how *cloneArgs, s *script, procs int) error {
	r := &inside{script: s, calls: s.calls, shared: (*sharedCalls)(unsafe.Pointer(&i.shared[0])), procs: procs}
	i.first = r
	copy(r.kind[:], "proc")
	r.fds = (*[maxProcs]int32)(unsafe.Pointer(&r.rights[unix.CmsgLen(0)]))
	r.iov = unix.Iovec{Base: (*byte)(unsafe.Pointer(&r.word)), Len: wordSize}
	r.send = unix.Msghdr{Iov: &r.iov, Iovlen: 1}
	if procs > 0 {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&r.rights[0]))
		h.Level, h.Type = unix.SOL_SOCKET, unix.SCM_RIGHTS
		h.SetLen(unix.CmsgLen(4 * procs))
		r.send.Control = &r.rights[0]
		r.send.SetControllen(unix.CmsgSpace(4 * procs))
	}
	r.receive = unix.Msghdr{Iov: &r.iov, Iovlen: 1, Control: &r.handed[0]}
	r.receive.SetControllen(unix.CmsgSpace(4 * maxFiles))
	var pid, errno uintptr
	err := unhandled(func() { pid, errno = cloneInside(how, unsafe.Sizeof(*how), r) })
	if err == nil && errno != 0 {
		err = fault("clone", "clone3", "", syscall.Errno(errno))
	}
	if err != nil {
		return err
	}
	i.Pid = int(pid)
	return nil
}

// unhandled calls f with all signals blocked: none may reach Go's handlers in a copy of this process, in which no thread of Go's runs.
func unhandled(f func()) error {
	all, old := ^uint64(0), uint64(0)
	if _, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0); errno != 0 {
		return fault("clone", "rt_sigprocmask", "", errno)
	}
	f()
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
	return nil
}

// inside is what the init works with until it has its script.
type inside struct {
	script *script // which keeps what calls point to
	calls  []call
	shared *sharedCalls
	procs  int
	kind   [8]byte // "proc"

	word          [3]uint64
	iov           unix.Iovec // word
	send, receive unix.Msghdr
	rights        [64]byte
	fds           *[maxProcs]int32 // in rights
	handed        [128]byte
}

// runInside is the clone, up to its execve. It does not return.
//
//go:nosplit
//go:norace
func runInside(r *inside) {
	at, _, errno := perform(r.calls)
	for n := 0; n < r.procs && errno == 0; n++ {
		var fd uintptr
		fd, _, errno = syscall.RawSyscall(unix.SYS_FSOPEN, uintptr(unsafe.Pointer(&r.kind)), unix.FSOPEN_CLOEXEC, 0)
		r.fds[n&(maxProcs-1)] = int32(fd)
	}
	r.word[0], r.word[1], r.word[2] = wordOuterFailed, uint64(at), uint64(errno)
	if errno == 0 {
		r.word[0] = wordWaits
		_, _, errno = syscall.RawSyscall(unix.SYS_SENDMSG, fdInit, uintptr(unsafe.Pointer(&r.send)), unix.MSG_NOSIGNAL)
		for n := 0; n < r.procs; n++ {
			syscall.RawSyscall(unix.SYS_CLOSE, uintptr(r.fds[n&(maxProcs-1)]), 0, 0)
		}
		n := uintptr(0)
		if errno == 0 {
			n, _, errno = syscall.RawSyscall(unix.SYS_RECVMSG, fdInit, uintptr(unsafe.Pointer(&r.receive)), unix.MSG_CMSG_CLOEXEC)
		}
		if errno != 0 || n == 0 {
			for { // nobody wants it
				syscall.RawSyscall(unix.SYS_EXIT_GROUP, 125, 0, 0)
			}
		}
		first := int(r.shared.first & (maxCalls - 1))
		total := int(r.shared.total & (maxCalls - 1))
		at, r.word[1], errno = perform(r.shared.calls[:first])
		if errno == 0 {
			r.word[0] = wordExecutes
			_, _, errno = syscall.RawSyscall(unix.SYS_WRITE, fdInit, uintptr(unsafe.Pointer(&r.word)), wordSize)
			if errno == 0 {
				at, _, errno = perform(r.shared.calls[first:total])
				at += first
			}
		}
		r.word[0], r.word[1], r.word[2] = wordInnerFailed, uint64(at), uint64(errno)
	}
	syscall.RawSyscall(unix.SYS_WRITE, fdInit, uintptr(unsafe.Pointer(&r.word)), wordSize)
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 125, 0, 0)
	}
}

// write writes the script.
func (i *Init) write(c *container, who identity, cwd int) error {
	p := c.spec.Process
	if err := enterWorkingDir(cwd, p.Cwd); err != nil {
		return err
	}
	if i.tty >= 0 {
		i.files[0], i.files[1], i.files[2] = i.tty, i.tty, i.tty
	} else if err := giveStreams(c.self, [3]int(i.files), who); err != nil {
		return err
	}
	i.files[fdRoot], i.files[fdCwd] = c.root, cwd
	env := environment(p, who, i.tty >= 0)
	err := asUser(&who, &c.caps, func() (err error) {
		i.path, err = lookPath(p.Args[0], env)
		return err
	})
	if err != nil {
		return err
	}
	filter, err := filterProgram(c.Seccomp)
	if err != nil {
		return err
	}
	rest := i.shared[unsafe.Sizeof(sharedCalls{}):]
	s := &script{arena: &rest}
	i.last = s
	// Its own root is below the container's still.
	root := func(call string) callName { return callName{stage: "root", call: call, path: "/"} }
	s.add(root("fchdir"), unix.SYS_FCHDIR, received(fdRoot))
	s.add(root("chroot"), unix.SYS_CHROOT, s.text("."))
	s.add(callName{stage: "working directory", call: "fchdir", path: p.Cwd}, unix.SYS_FCHDIR, received(fdCwd))
	s.add(callName{stage: "exec", call: "setsid"}, unix.SYS_SETSID)
	for n := range uintptr(3) {
		s.add(callName{stage: "stdio", call: "dup3"}, unix.SYS_DUP3, received(fdStreams+int(n)), n, 0)
	}
	if i.tty >= 0 {
		s.add(callName{stage: "terminal", call: "ioctl TIOCSCTTY"}, unix.SYS_IOCTL, 0, unix.TIOCSCTTY, 0)
	}
	if err := s.limits(p.Rlimits); err != nil {
		return err
	}
	// Without no_new_privs a filter takes CAP_SYS_ADMIN (seccomp(2)), and it comes after everything else. What
	// is extra here ends at execve, which computes the sets anew from the bounding, inheritable and ambient
	// ones (capabilities(7), "Transformation of capabilities during execve"); nothing runs in between.
	var extra uint64
	if len(filter) > 0 && !p.NoNewPrivileges {
		extra = 1 << unix.CAP_SYS_ADMIN
	}
	s.privileges(&who, &c.caps, p.NoNewPrivileges, extra)
	program := -1
	if c.pid1 >= 0 {
		// What runs is PID 1, which runs the program. It needs the socket to tell that it cannot.
		i.files = append(i.files, c.pid1)
		program = int(received(fdPid1))
		s.add(callName{stage: "init", call: "fcntl"}, unix.SYS_FCNTL, fdInit, unix.F_SETFD, 0)
	}
	first := len(s.calls)
	s.add(callName{stage: "exec", call: "prctl PR_SET_PDEATHSIG"}, unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, 0)
	s.unblockSignals()
	s.filter(filter) // with no other call after it: a filter need not allow more than what the program itself does
	if err := s.execve(program, i.path, p.Args, env); err != nil {
		return err
	}
	shared := (*sharedCalls)(unsafe.Pointer(&i.shared[0]))
	if s.short || len(s.calls) >= maxCalls {
		return refuse("exec", i.path, "the arguments and the environment take more memory than the whole of the container's description")
	}
	copy(shared.calls[:], s.calls)
	shared.first, shared.total = uint64(first), uint64(len(s.calls))
	return nil
}

// Go lets the init go on, to its execve.
func (i *Init) Go() error {
	if err := proto.SendPacket(i.socket, []byte{1}, i.files...); err != nil {
		return fault("exec", "sendmsg", "", err)
	}
	return nil
}

// Words is a descriptor that is ready when Next has something to say.
func (i *Init) Words() int { return i.socket }

// Next waits for a word of the init, or of package pid1's program.
func (i *Init) Next() Word {
	b, files, err := proto.ReceivePacket(i.socket)
	rawfd.CloseAll(files)
	if err != nil {
		if i.said {
			i.awaitExecve()
		}
		return Word{Over: true}
	}
	if len(b) != wordSize {
		var s proto.Step
		if err := proto.Decode(b, &s); err != nil || s.Type != proto.StepInit {
			return Word{Failed: refuse("init", i.path, "expected a word of the init but got "+strconv.Itoa(len(b))+" bytes")}
		}
		return Word{Failed: s.InitFailure(i.path)}
	}
	kind, first, second := parseWord(b)
	if kind == wordExecutes {
		i.said = true
		return Word{Executes: true, Notes: i.last.warnings(first)}
	}
	return Word{Failed: i.last.fault(int(first), syscall.Errno(second))}
}

// awaitExecve waits until nobody has the init's end of the socket: it has executed, or has ended. After Refuse there is nothing to be read at any time, also
// while the init is still on its way, on a stack that Close takes away. The kernel gives a process its new memory before it closes what is
// close-on-exec, and takes away that of one that ends before it closes its files (fs/exec.c, begin_new_exec; kernel/exit.c, do_exit).
func (i *Init) awaitExecve() {
	p := []unix.PollFd{{Fd: int32(i.socket)}} // POLLHUP is always asked for
	for {
		_, err := unix.Poll(p, -1)
		if err != unix.EINTR {
			return
		}
	}
}

// Refuse has the init fail when it says that it executes, if it has not yet.
func (i *Init) Refuse() { _ = unix.Shutdown(i.socket, unix.SHUT_RD) }

// TakeRoot is a descriptor of the container's root, the caller's to close from now on. Precondition: Go has handed it over.
func (i *Init) TakeRoot() int {
	fd := i.files[fdRoot]
	i.files[fdRoot] = -1
	return fd
}

// Close lets go of everything but Pidfd and Master.
//
// Precondition: the init has executed, or has ended, if there is one: it may have its stack here.
func (i *Init) Close() {
	for _, fd := range []*int{&i.socket, &i.theirs, &i.tty} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
	if len(i.files) > fdRoot {
		for _, fd := range i.files[fdRoot:] {
			if fd >= 0 {
				unix.Close(fd)
			}
		}
	}
	i.files = nil
	if i.shared != nil {
		_ = unix.Munmap(i.shared[:cap(i.shared)])
		i.shared, i.first = nil, nil
	}
}
