package boot

import (
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/idmap"
	"github.com/stackrun/stack/runtime/mount"
)

// source is a mount whose host side is open. From here on the host's paths are not needed.
type source struct {
	mount.Mount
	options
	stage string      // of failures: "mount" for what the platform mounts, "volume" for the user's
	tree  int         // bind, view and filesystem: the detached mount; else -1
	dir   bool        // bind, view and filesystem: it is a directory
	owner idmap.Owner // bind: of the source
}

// systemMounts are the spec's, in our words.
func systemMounts(s *specs.Spec) []mount.Mount {
	ms := make([]mount.Mount, 0, len(s.Mounts))
	for _, m := range s.Mounts {
		ms = append(ms, mount.Mount{Type: m.Type, Source: m.Source, Target: m.Destination, Options: m.Options})
	}
	return ms
}

// newSources reads mounts. Nothing is open yet.
func newSources(stage string, mounts []mount.Mount) ([]source, error) {
	sources := make([]source, 0, len(mounts))
	for _, m := range mounts {
		o, err := parseOptions(m.Options)
		if err != nil {
			return nil, refuse(stage, m.Target, err.Error())
		}
		if m.Type == "bind" {
			o.bind = true
		}
		s := source{Mount: m, options: o, stage: stage, tree: -1}
		if !strings.HasPrefix(m.Target, "/") {
			return nil, refuse(stage, m.Target, "the target of a mount must be an absolute path")
		}
		sources = append(sources, s)
	}
	return sources, nil
}

// openBinds opens what sources take from the host's directories.
//
// Precondition: the propagation of the host's mounts is as the daemon sees it. A clone of a shared mount is
// its peer, and what the container wants of that (rslave, rshared, else nothing) is set on the clone alone.
func openBinds(sources []source) error {
	for i := range sources {
		if s := &sources[i]; s.bind {
			if err := s.open(); err != nil {
				return err
			}
		}
	}
	return nil
}

// openViews mounts the images among volumes, detached.
func (c *container) openViews(volumes []source) error {
	for i := range volumes {
		s := &volumes[i]
		if !s.View() {
			continue
		}
		var err error
		if s.tree, err = c.openOverlay(s.stage, &s.Mount, &s.options); err != nil {
			return explain(err, "it is the image mounted at "+s.Target)
		}
	}
	return nil
}

func (s *source) open() error {
	if len(s.data) > 0 {
		return refuse(s.stage, s.Target, "option "+s.data[0]+" has no meaning for a bind mount")
	}
	if namespace, path, ok := foreign(s.Source); ok && s.stage == "mount" { // never for what a user names
		return s.openForeign(namespace, path)
	}
	fd, err := unix.Open(s.Source, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return explain(fault(s.stage, "open", s.Source, err), "it is the source of the mount at "+s.Target+", and must exist")
	}
	if s.Subpath != "" {
		sub, err := openSubpath(fd, s.Subpath)
		unix.Close(fd)
		if err != nil {
			return explain(fault(s.stage, "openat2", s.Source+"//"+s.Subpath, err), "it is the subpath of the volume at "+s.Target+", must exist and must not lead out of the volume")
		}
		fd = sub
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fault(s.stage, "fstat", s.Source, err)
	}
	s.dir, s.owner = st.Mode&unix.S_IFMT == unix.S_IFDIR, idmap.Owner{UID: int(st.Uid), GID: int(st.Gid)}
	if s.CopyUp && !s.dir {
		return refuse(s.stage, s.Source, "only a directory can be filled from the image")
	}
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH)
	if s.recursive {
		flags |= unix.AT_RECURSIVE
	}
	if s.tree, err = unix.OpenTree(fd, "", flags); err != nil {
		return fault(s.stage, "open_tree", s.Source, err)
	}
	return nil
}

// openSubpath resolves path below the directory dir as if dir were the root: absolute symlinks and
// ".." stay inside (CVE-2021-25741, CVE-2017-1002101), also while somebody exchanges path's components,
// because the kernel does it in one walk and what is returned is the inode, not its name.
func openSubpath(dir int, path string) (int, error) {
	return openat2(dir, strings.TrimLeft(path, "/"), unix.O_PATH, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
}

// openat2 tries again on EAGAIN, which is the kernel's answer when a rename elsewhere made it unsure that the
// walk stayed inside (openat2(2)).
func openat2(dir int, path string, flags int, resolve uint64) (int, error) {
	if path == "" {
		path = "."
	}
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: resolve}
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(dir, path, &how)
		if err == unix.EINTR || err == unix.EAGAIN && tries < 128 {
			continue
		}
		return fd, err
	}
}

// procPath names an open file for system calls that take a path only.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }
