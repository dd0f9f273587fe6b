package boot

import (
	"os"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

type node struct {
	path         string
	mode         uint32 // with its type
	major, minor uint32
	uid, gid     int
}

// Of https://github.com/opencontainers/runtime-spec/blob/v1.3.0/config-linux.md#default-devices.
var defaultNodes = []node{
	{"/dev/null", unix.S_IFCHR | 0o666, 1, 3, 0, 0},
	{"/dev/zero", unix.S_IFCHR | 0o666, 1, 5, 0, 0},
	{"/dev/full", unix.S_IFCHR | 0o666, 1, 7, 0, 0},
	{"/dev/random", unix.S_IFCHR | 0o666, 1, 8, 0, 0},
	{"/dev/urandom", unix.S_IFCHR | 0o666, 1, 9, 0, 0},
	{"/dev/tty", unix.S_IFCHR | 0o666, 5, 0, 0, 0},
}

var defaultLinks = []struct{ name, target string }{
	{"fd", "/proc/self/fd"},
	{"stdin", "/proc/self/fd/0"},
	{"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"},
	{"core", "/proc/kcore"},
	{"ptmx", "pts/ptmx"},
}

// devices fills /dev, if it is a file system of the container's own, and makes the spec's devices. It runs before the
// user's mounts, so what it writes lands on our tmpfs. A spec that binds /dev has its devices already.
func (c *container) devices() error {
	if m := mountAt(c.spec.Mounts, "/dev"); m != nil && m.Type == "tmpfs" {
		dev, err := openat2(c.root, "dev", unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
		if err != nil {
			return fault("device", "openat2", "/dev", err)
		}
		defer unix.Close(dev)
		for _, n := range defaultNodes {
			if err := n.make(dev); err != nil {
				return err
			}
		}
		for _, l := range defaultLinks {
			if err := unix.Symlinkat(l.target, dev, l.name); err != nil && err != unix.EEXIST {
				return fault("device", "symlinkat", "/dev/"+l.name, err)
			}
		}
	}
	if c.spec.Linux == nil {
		return nil
	}
	for i := range c.spec.Linux.Devices {
		n, err := specNode(&c.spec.Linux.Devices[i])
		if err != nil {
			return err
		}
		if err := c.makeNode(n); err != nil {
			return err
		}
	}
	return nil
}

func mountAt(mounts []specs.Mount, path string) *specs.Mount {
	for i := range mounts {
		if mounts[i].Destination == path {
			return &mounts[i]
		}
	}
	return nil
}

func specNode(d *specs.LinuxDevice) (node, error) {
	n := node{path: d.Path, mode: 0o666, major: uint32(d.Major), minor: uint32(d.Minor)}
	if d.FileMode != nil {
		n.mode = uint32(*d.FileMode & os.ModePerm)
	}
	switch d.Type {
	case "c", "u":
		n.mode |= unix.S_IFCHR
	case "b":
		n.mode |= unix.S_IFBLK
	case "p":
		n.mode |= unix.S_IFIFO
	default:
		return n, refuse("device", d.Path, "type \""+d.Type+"\" is not supported: c, u, b or p")
	}
	if d.UID != nil {
		n.uid = int(*d.UID)
	}
	if d.GID != nil {
		n.gid = int(*d.GID)
	}
	if !strings.HasPrefix(d.Path, "/") || strings.HasSuffix(d.Path, "/") {
		return n, refuse("device", d.Path, "the path of a device must be absolute")
	}
	return n, nil
}

// makeNode makes n, and the directories that it is in.
func (c *container) makeNode(n node) error {
	dir, err := resolve(c.root, n.path[:strings.LastIndexByte(n.path, '/')+1], directory)
	if err != nil {
		return fault("device", "openat2", n.path, err)
	}
	defer unix.Close(dir)
	return n.make(dir)
}

// make makes n in dir, or finds it made: a node of the same name must be that very device.
func (n node) make(dir int) error {
	name, dev := n.path[strings.LastIndexByte(n.path, '/')+1:], unix.Mkdev(n.major, n.minor)
	err := unix.Mknodat(dir, name, n.mode, int(dev))
	if err == unix.EEXIST {
		return verifyNode(dir, n, name, dev)
	}
	if err != nil {
		return fault("device", "mknodat", n.path, err)
	}
	if n.uid != 0 || n.gid != 0 {
		if err := unix.Fchownat(dir, name, n.uid, n.gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fault("device", "fchownat", n.path, err)
		}
	}
	return nil
}

func verifyNode(dir int, n node, name string, dev uint64) error {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fault("device", "fstatat", n.path, err)
	}
	if st.Mode&unix.S_IFMT != n.mode&unix.S_IFMT || n.mode&unix.S_IFMT != unix.S_IFIFO && uint64(st.Rdev) != dev {
		return refuse("device", n.path, "the path exists in the container and is something else")
	}
	return nil
}
