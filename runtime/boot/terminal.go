package boot

import (
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// openTerminal makes a pseudo-terminal in the devpts of root, and returns its ends; the slave is the user's.
func openTerminal(self descriptors, root int, who identity, size *specs.Box) (master, slave int, err error) {
	ptmx, err := openat2(root, "dev/pts/ptmx", unix.O_PATH, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return -1, -1, explain(fault("terminal", "openat2", "/dev/pts/ptmx", err), "a terminal needs a devpts at /dev/pts")
	}
	defer unix.Close(ptmx)
	var fs unix.Statfs_t
	if err := unix.Fstatfs(ptmx, &fs); err != nil {
		return -1, -1, fault("terminal", "fstatfs", "/dev/pts", err)
	}
	if fs.Type != unix.DEVPTS_SUPER_MAGIC {
		return -1, -1, refuse("terminal", "/dev/pts", "expected devpts but got another file system")
	}
	if master, err = self.open(ptmx, unix.O_RDWR|unix.O_NOCTTY); err != nil {
		return -1, -1, fault("terminal", "open", "/dev/pts/ptmx", err)
	}
	defer func() {
		if err != nil {
			unix.Close(master)
		}
	}()
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return -1, -1, fault("terminal", "ioctl TIOCSPTLCK", "", err)
	}
	// By the master's fd and not by the name /dev/pts/N, which somebody could exchange (CVE-2025-52565).
	slave, err = peer(master)
	if err != nil {
		return -1, -1, fault("terminal", "ioctl TIOCGPTPEER", "", err)
	}
	if size != nil && size.Height|size.Width != 0 {
		ws := unix.Winsize{Row: uint16(size.Height), Col: uint16(size.Width)}
		if err := unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &ws); err != nil {
			return -1, -1, fault("terminal", "ioctl TIOCSWINSZ", "", err)
		}
	}
	if err := unix.Fchown(slave, who.uid, -1); err != nil { // the group stays devpts' own, tty
		return -1, -1, fault("terminal", "fchown", "", err)
	}
	return master, slave, nil
}

func peer(master int) (int, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// terminal is openTerminal for the container's own process, which gets it as /dev/console too.
func (c *container) terminal(who identity) (err error) {
	if c.init.Master, c.init.tty, err = openTerminal(c.self, c.root, who, c.spec.Process.ConsoleSize); err != nil {
		return err
	}
	dev, err := openat2(c.root, "dev", unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return fault("terminal", "openat2", "/dev", err)
	}
	defer unix.Close(dev)
	console, err := openOrCreate(dev, "console", true)
	if err != nil {
		return fault("terminal", "openat", "/dev/console", err)
	}
	defer unix.Close(console)
	tree, err := cloneOf(c.init.tty)
	if err != nil {
		return fault("terminal", "open_tree", "/dev/console", err)
	}
	defer unix.Close(tree)
	return put("terminal", tree, console, "/dev/console")
}
