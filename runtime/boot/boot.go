package boot

import (
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/idmap"
	"github.com/stackrun/stack/internal/rawfd"
	"github.com/stackrun/stack/runtime/pid1"
	"github.com/stackrun/stack/runtime/proto"
	"github.com/stackrun/stack/runtime/sealed"
)

// givenNoFile is the limit of open files that this process was started with. Go's syscall package raises the soft one at its start, for itself, and puts it back
// only in syscall.Exec, once, and in children made by it. Ours are clones, so they ask for the restore by an Exec that cannot succeed: an empty path is
// always ENOENT (execve(2)).
var givenNoFile = sync.OnceValues(func() (given unix.Rlimit, err error) {
	_ = syscall.Exec("", nil, nil)
	err = unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &given)
	return given, err
})

// restoreNoFile makes the limit what it was given as. again raises it again.
func restoreNoFile() (again func()) {
	var raised unix.Rlimit
	err := unix.Prlimit(0, unix.RLIMIT_NOFILE, nil, &raised)
	if given, err := givenNoFile(); err == nil {
		_ = unix.Prlimit(0, unix.RLIMIT_NOFILE, &given, nil)
	}
	return func() {
		if err == nil {
			_ = unix.Prlimit(0, unix.RLIMIT_NOFILE, &raised, nil)
		}
	}
}

// Await waits until there is something to read from fd, or it is at its end; false when the daemon has hung up before.
func Await(fd int) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: proto.FDReport, Events: unix.POLLRDHUP}}
	for {
		_, err := unix.Poll(p, -1)
		switch {
		case err == unix.EINTR:
		case err != nil, p[0].Revents != 0: // a fault shows in the read that follows
			return true
		case p[1].Revents != 0:
			return false
		}
	}
}

// awaitCgroups waits until the daemon has made the container's cgroups.
func awaitCgroups() error {
	word, files, err := proto.ReceivePacket(proto.FDReport)
	rawfd.CloseAll(files)
	switch {
	case err == io.EOF:
		return ErrUnheard
	case err != nil:
		return fault("cgroup", "recvmsg", "", err)
	case string(word) != proto.WorkGo:
		return refuse("cgroup", "", "expected \""+proto.WorkGo+"\" from the daemon")
	}
	return nil
}

// unheard is an error when the daemon has hung up: nobody would know of what is being made.
func unheard() error {
	p := []unix.PollFd{{Fd: proto.FDReport, Events: unix.POLLRDHUP}}
	if n, err := unix.Poll(p, 0); err == nil && n > 0 {
		return ErrUnheard
	}
	return nil
}

// unheard is as the function, for what is being done for c.
func (c *container) unheard() error {
	if c.still {
		return nil
	}
	return unheard()
}

// ErrUnheard is the failure of a start whose daemon has hung up.
var ErrUnheard = &proto.Failure{Stage: "start", Detail: "the daemon ended before the program had started", ExitCode: proto.ExitPlatform}

// container is what start knows of the container under construction.
type container struct {
	*proto.Bootstrap
	spec *specs.Spec

	pid1   int // package pid1's program, or -1
	root   int // O_PATH, the container's root; valid after enterRoot
	proc   int // the procfs that was mounted for the container, -1 when it has none
	blank  int // a detached, empty, read-only tmpfs; -1 until first needed
	groups []hierarchy
	procs  []int // contexts of procfs in the container's pid namespace, not yet used
	caps   capSets

	self    descriptors  // the monitor's
	matched *idmap.Owner // who binds show the files of their sources' owners as; nil = none does
	init    *Init
	still   bool // it is not being started: there is nobody who could hang up
	apart   bool // this thread's mounts are not the host's
}

// close lets go of what only start needs and the init has not got.
func (c *container) close() {
	for _, fd := range append(c.procs, c.proc, c.blank) {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// start does everything up to execve, which is left to c.init. spawn makes that.
func (c *container) start(filesystems []int, spawn func() error) error {
	// On the host.
	volumes, err := newSources("volume", c.Mounts)
	if err != nil {
		return err
	}
	if err := takeFilesystems(volumes, filesystems); err != nil {
		return err
	}
	if c.Init {
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
	// After all binds: they take their propagation from the host's mounts, and this may make a copy without.
	if err := c.openViews(volumes); err != nil {
		return err
	}
	if len(c.Root) != 1 || c.Root[0].Target != "/" {
		return refuse("root", "", "expected one root mount at \"/\"")
	}
	tree, err := c.openRoot(&c.Root[0])
	if err != nil {
		return err
	}
	if err := c.mapOwners(volumes, tree); err != nil {
		return err
	}
	// What comes before this is done while the daemon makes the cgroups.
	if err := spawn(); err != nil {
		return err
	}
	if err := c.enterRoot(tree); err != nil {
		return err
	}

	// In the container's root. No path below can name anything of the host.
	early, late := splitAtInit(system)
	if err := c.attachAll(early); err != nil {
		return err
	}
	if err := c.awaitInit(); err != nil {
		return err
	}
	if err := c.attachAll(late); err != nil {
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

// splitAtInit says which of the platform's mounts can be made while the init is on its way to where it waits, and which need it, as what shows its processes or its cgroups does, or
// lie below those.
func splitAtInit(system []source) (early, late []source) {
	for _, s := range system {
		below := func(l source) bool { return strings.HasPrefix(s.Target+"/", strings.TrimSuffix(l.Target, "/")+"/") }
		if s.Type == "proc" || s.Type == "cgroup" || s.Type == "cgroup2" || slices.ContainsFunc(late, below) {
			late = append(late, s)
		} else {
			early = append(early, s)
		}
	}
	return early, late
}

// settle does what needs all mounts in place.
func (c *container) settle() error {
	p := c.spec.Process
	who, err := resolveUser(c.self, c.root, p.User, c.Groups)
	if err != nil {
		return err
	}
	if err := c.checkMatched(&who); err != nil {
		return err
	}
	if p.Terminal {
		if err := c.terminal(who); err != nil {
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
	return c.init.write(c, who, cwd)
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
