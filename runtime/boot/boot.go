package boot

import (
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/pid1"
	"github.com/stackrun/stack/runtime/proto"
	"github.com/stackrun/stack/runtime/sealed"
)

// Main is mode boot. It returns only when the container could not be started, and has reported why.
//
// Preconditions: locked main thread of a process in a mount namespace of its own.
func Main() int {
	prepareProcess()
	raw, err := mapBootstrap()
	if err != nil {
		return failed(err)
	}
	b, err := proto.DecodeBoot(raw)
	if err != nil {
		return failed(fault("bootstrap", "", "", err))
	}
	return failed(start(b))
}

// prepareProcess makes the process what the steps below expect.
func prepareProcess() {
	// Not for processes of a container to look into while this one still has the host's root and power that they have
	// not: enter is in their pid namespace, and boot is, when the container shares that of another
	// (CVE-2016-9962). It keeps out all but CAP_SYS_PTRACE.
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	// Nothing that boot holds reaches the container's program, whatever fds the daemon leaked
	// to us (CVE-2024-21626): all are closed by execve.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		unix.CloseOnExec(proto.FDBootstrap)
		unix.CloseOnExec(proto.FDReport)
	}
	unix.Umask(0) // modes below are meant exactly
	restoreNoFile()
}

// restoreNoFile undoes what Go's syscall package does at its start: it raises the soft limit of open files
// and puts it back only in syscall.Exec and in children made by it. Ours call execve themselves, so they ask for
// the restore by an Exec that cannot succeed: an empty path is always ENOENT (execve(2)).
func restoreNoFile() { _ = syscall.Exec("", nil, nil) }

// mapBootstrap is not undone: execve does that.
func mapBootstrap() ([]byte, error) {
	raw, err := proto.Map(proto.FDBootstrap)
	unix.Close(proto.FDBootstrap)
	if err != nil {
		return nil, fault("bootstrap", "mmap", "", err)
	}
	return raw, nil
}

func failed(err error) int {
	f := AsFailure(err)
	// Nobody to tell means that the monitor is dead; the exit code is all that is left.
	_ = proto.Send(proto.FDReport, &proto.Step{Type: proto.StepFailed, Failure: f})
	return f.ExitCode
}

func warn(note string) {
	_ = proto.Send(proto.FDReport, &proto.Step{Type: proto.StepWarning, Note: note})
}

// container is what start knows of the container under construction.
type container struct {
	*proto.Bootstrap
	spec *specs.Spec

	pid1   int // package pid1's program, or -1
	root   int // O_PATH, the container's root; valid after enterRoot
	proc   int // the procfs that was mounted for the container, -1 when it has none
	blank  int // a detached, empty, read-only tmpfs; -1 until first needed
	groups []hierarchy
}

// start does everything up to execve, and returns only with an error.
func start(b *proto.Bootstrap) error {
	c := &container{Bootstrap: b, spec: b.Spec, pid1: -1, root: -1, proc: -1, blank: -1}

	// On the host.
	if err := joinCgroups(b.Cgroup); err != nil {
		return err
	}
	volumes, err := newSources("volume", b.Mounts)
	if err != nil {
		return err
	}
	if err := takeFilesystems(volumes, len(b.Filesystems)); err != nil {
		return err
	}
	if err := c.namespaces(); err != nil {
		return err
	}
	if err := c.scoreForOOM(); err != nil {
		return err
	}
	if b.Init {
		fd, err := sealed.Program("stack-init", pid1.Program())
		if err != nil {
			return fault("init", "", "", err)
		}
		c.pid1 = fd
	}
	if err := c.readHierarchies(); err != nil {
		return err
	}
	system, err := newSources("mount", systemMounts(c.spec))
	if err == nil {
		err = openBinds(system)
	}
	if err != nil {
		return err
	}
	for i := range system {
		if s := &system[i]; (s.Type == "cgroup" || s.Type == "cgroup2") && !c.ownCgroups() {
			if err := s.openHostCgroups(); err != nil {
				return err
			}
		}
	}
	if err := openBinds(volumes); err != nil {
		return err
	}
	// After all binds: it may make the host's mounts private here.
	if err := openViews(volumes, c.RunDir); err != nil {
		return err
	}
	if err := c.enterRoot(); err != nil {
		return err
	}

	// In the container's root. No path below can name anything of the host.
	if err := c.attachAll(system); err != nil {
		return err
	}
	if err := c.devices(); err != nil {
		return err
	}
	if err := c.attachAll(volumes); err != nil {
		return err
	}
	return c.settle()
}

// settle does what needs all mounts in place.
func (c *container) settle() error {
	p := c.spec.Process
	who, err := resolveUser(c.root, p.User, c.Groups)
	if err != nil {
		return err
	}
	tty := -1
	if p.Terminal {
		if tty, err = c.terminal(who); err != nil {
			return err
		}
	}
	if err := c.names(); err != nil {
		return err
	}
	if err := c.sysctls(); err != nil {
		return err
	}
	cwd, err := makeWorkingDir(c.root, p.Cwd)
	if err != nil {
		return err
	}
	if err := c.protect(); err != nil {
		return err
	}
	x := execution{
		process: p, who: who, tty: tty, cwd: cwd, pid1: c.pid1,
		seccomp: c.Seccomp, await: c.AwaitAttach,
	}
	return x.run()
}

// names sets what the uts namespace holds. The spec has names only when the namespace is the container's own.
func (c *container) names() error {
	if h := c.spec.Hostname; h != "" {
		if err := unix.Sethostname([]byte(h)); err != nil {
			return fault("hostname", "sethostname", h, err)
		}
	}
	if d := c.spec.Domainname; d != "" {
		if err := unix.Setdomainname([]byte(d)); err != nil {
			return fault("hostname", "setdomainname", d, err)
		}
	}
	return nil
}
