package monitor

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// enterFiles become descriptors 3, 4 and 5 of a process in mode enter.
type enterFiles struct{ bootstrap, steps, pids int }

// laterNamespace is joined after the clone: where cgroup2 is mounted with nsdelegate, as systemd does, a thread inside of a cgroup
// namespace may put nobody from outside of it into a cgroup (cgroup_namespaces(7); clone3 says ENOENT).
const laterNamespace = unix.CLONE_NEWCGROUP

// enterContainer starts this program in mode enter inside the container whose init is the pidfd container, and in
// its cgroups.
//
// Nearly everything is joined before the clone, the mount namespace too, so that the new process never has a root or a working
// directory of the host. The cgroup namespace is joined by the child (laterNamespace); the pid namespace is left to the program, for its
// last step: before that it has power that no process of the container may get hold of.
// setns of a mount namespace needs a thread whose root is not shared with others (setns(2)): one is spent on it.
func enterContainer(container int, cgroups proto.Cgroup, files enterFiles) (int, *proto.Failure) {
	// By fd: in the container's root there is no path to this program.
	self, err := unix.Open("/proc/self/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		self, err = high(self)
	}
	if err != nil {
		return 0, platform("exec", "open", "/proc/self/exe", err)
	}
	defer unix.Close(self)
	cgroup := -1
	if dir := cgroups.V2; dir != "" {
		if cgroup, err = unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return 0, platform("cgroup", "open", dir, err)
		}
		defer unix.Close(cgroup)
	}
	type result struct {
		pid     int
		failure *proto.Failure
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if f := joinCgroups(cgroups.V1); f != nil {
			done <- result{0, f}
			return
		}
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			done <- result{0, platform("exec", "unshare", "", err)}
			return
		}
		const all = unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNS
		if err := unix.Setns(container, all); err != nil { // all or none; by pidfd since Linux 5.8
			done <- result{0, platform("exec", "setns", "", err)}
			return
		}
		pid, err := cloneEnter(self, container, cgroup, files)
		if err != nil {
			done <- result{0, platform("exec", "clone", "", err)}
			return
		}
		done <- result{pid, nil}
	}()
	r := <-done
	return r.pid, r.failure
}

// cloneArgs is struct clone_args, clone(2), up to the field that CLONE_INTO_CGROUP (Linux 5.7) needs.
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal, stack, stackSize, tls, setTID, setTIDSize, cgroup uint64
}

func cloneEnter(self, container, cgroup int, files enterFiles) (int, error) {
	how := &cloneArgs{exitSignal: uint64(unix.SIGCHLD)}
	if cgroup >= 0 {
		how.flags, how.cgroup = unix.CLONE_INTO_CGROUP, uint64(cgroup)
	}
	argv, err := syscall.SlicePtrFromStrings([]string{"stack-init", proto.ModeEnter})
	if err != nil {
		return 0, err
	}
	env, err := syscall.SlicePtrFromStrings([]string{"GOGC=off", "GOMAXPROCS=1"})
	if err != nil {
		return 0, err
	}
	empty := new(byte)
	// No signal may reach Go's handlers in the copy of this process that is about to exist for a moment.
	// It starts the program with all blocked; enter unblocks them at its execve.
	all, old := ^uint64(0), uint64(0)
	if _, _, errno := syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), 8, 0, 0); errno != 0 {
		return 0, errno
	}
	pid, errno := forkExec(how, self, container, files, empty, &argv[0], &env[0])
	syscall.RawSyscall6(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, uintptr(unsafe.Pointer(&old)), 0, 8, 0, 0)
	runtime.KeepAlive(argv)
	runtime.KeepAlive(env)
	if errno != 0 {
		return 0, errno
	}
	return int(pid), nil
}

// forkExec is what syscall.ForkExec cannot do: execute a file by its descriptor alone.
//
// In the child there is one thread of a Go program whose other threads do not exist. So it must not allocate, grow its
// stack, or be preempted: raw system calls only, in a function that the compiler puts no stack check into.
//
//go:nosplit
//go:norace
func forkExec(how *cloneArgs, self, container int, files enterFiles, path *byte, argv, env **byte) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall(unix.SYS_CLONE3, uintptr(unsafe.Pointer(how)), unsafe.Sizeof(*how), 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	if _, _, errno = syscall.RawSyscall(unix.SYS_SETNS, uintptr(container), laterNamespace, 0); errno == 0 {
		syscall.RawSyscall(unix.SYS_DUP3, uintptr(files.bootstrap), proto.FDBootstrap, 0)
		syscall.RawSyscall(unix.SYS_DUP3, uintptr(files.steps), proto.FDReport, 0)
		syscall.RawSyscall(unix.SYS_DUP3, uintptr(files.pids), proto.FDPids, 0)
		syscall.RawSyscall6(unix.SYS_EXECVEAT, uintptr(self), uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(argv)),
			uintptr(unsafe.Pointer(env)), unix.AT_EMPTY_PATH, 0)
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 125, 0, 0)
	}
}

// high moves fd out of the way of the descriptors that forkExec gives to the child.
func high(fd int) (int, error) {
	up, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 10)
	unix.Close(fd)
	return up, err
}
