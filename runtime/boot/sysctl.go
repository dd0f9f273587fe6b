package boot

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/rawfd"
)

// sysctls writes the spec's sysctls through the procfs that boot itself mounted, by its fd: never through a
// path that something could be mounted over or linked from (CVE-2025-52881).
func (c *container) sysctls() error {
	if c.spec.Linux == nil || len(c.spec.Linux.Sysctl) == 0 {
		return nil
	}
	if c.proc < 0 {
		return refuse("sysctl", "", "sysctls need the container to have a proc of its own at /proc")
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(c.proc, &fs); err != nil {
		return fault("sysctl", "fstatfs", "/proc", err)
	}
	if fs.Type != unix.PROC_SUPER_MAGIC {
		return refuse("sysctl", "/proc", "expected procfs but got another file system")
	}
	keys := make([]string, 0, len(c.spec.Linux.Sysctl))
	for k := range c.spec.Linux.Sysctl {
		keys = append(keys, k)
	}
	slices.Sort(keys) // the order of faults is that of names, not of a map
	for _, k := range keys {
		if err := c.sysctl(k, c.spec.Linux.Sysctl[k]); err != nil {
			return err
		}
	}
	return nil
}

func (c *container) sysctl(key, value string) error {
	path := sysctlPath(key)
	if strings.Contains(path+"/", "/../") {
		return refuse("sysctl", key, "expected the name of a sysctl")
	}
	const inside = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_XDEV | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
	fd, err := openat2(c.proc, path, unix.O_WRONLY, inside)
	if err != nil {
		return explain(fault("sysctl", "openat2", key, err), "this kernel has no such sysctl, or not in a namespace")
	}
	defer unix.Close(fd)
	if err := rawfd.WriteAll(fd, []byte(value)); err != nil {
		return explain(fault("sysctl", "write", key+"="+value, err), "the kernel does not take the value")
	}
	return nil
}

// sysctlPath turns a name into its path below /proc, as sysctl(8) does: with "." as the separator a "/"
// stands for a dot in a name (net.ipv4.conf.eth0/100.forwarding), and the other way round.
func sysctlPath(key string) string {
	if i := strings.IndexAny(key, "./"); i >= 0 && key[i] == '/' {
		return "sys/" + key
	}
	swap := func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}
	return "sys/" + strings.Map(swap, key)
}
