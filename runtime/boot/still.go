package boot

import (
	"slices"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/runtime/proto"
)

// Still is the root of a container that does not run, mounted where nobody sees it.
type Still struct {
	Root      int // O_PATH
	namespace int // has the mounts; with its last descriptor, and no thread in it, they go
}

// OpenStill mounts the root of a container that does not run and, with volumes, what it would have in it: of b the spec, the root, the mounts and the run
// directory. Where it would have a file system that is only there while it runs (tmpfs, secrets, the kernel's own, a server's) there is an empty one that is read-only.
//
// Preconditions: a locked thread that is thrown away afterwards, and not the process's first; nobody starts the container.
func OpenStill(b *proto.Bootstrap, volumes bool) (s *Still, err error) {
	c := &container{Bootstrap: b, spec: b.Spec, pid1: -1, self: -1, root: -1, proc: -1, blank: -1, still: true, apart: true}
	defer c.close()
	if c.spec == nil {
		c.spec = new(specs.Spec)
	}
	if len(b.Root) != 1 || b.Root[0].Target != "/" {
		return nil, refuse("root", "", "expected one root mount at \"/\"")
	}
	if c.self, err = openDescriptors(); err != nil {
		return nil, err
	}
	defer c.self.close()
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return nil, fault("namespace", "unshare", "", err)
	}
	unix.Umask(0) // modes are meant exactly
	s = &Still{Root: -1, namespace: -1}
	const path = "/proc/thread-self/ns/mnt"
	if s.namespace, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fault("namespace", "open", path, err)
	}
	if err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		err = fault("root", "mount", "/", err)
	}
	if err == nil {
		c.root, err = c.openRoot(&b.Root[0])
		s.Root = c.root
	}
	if err == nil && volumes {
		if err = unix.MoveMount(c.root, "", unix.AT_FDCWD, b.RunDir, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			err = fault("root", "move_mount", b.RunDir, err)
		} else {
			err = c.attachStill()
		}
	}
	if err == nil && c.readOnlyRoot() {
		attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
		if err = unix.MountSetattr(c.root, "", unix.AT_EMPTY_PATH, &attr); err != nil {
			err = fault("root", "mount_setattr", "/", err)
		}
	}
	if err != nil {
		if s.Root >= 0 {
			unix.Close(s.Root)
		}
		s.Leave()
		return nil, err
	}
	return s, nil
}

// attachStill attaches the volumes and files of the container, and covers the place of what is not there now.
func (c *container) attachStill() error {
	sources, err := newSources("mount", systemMounts(c.spec))
	if err != nil {
		return err
	}
	volumes, err := newSources("volume", c.Mounts)
	if err != nil {
		return err
	}
	if err := openBinds(volumes); err != nil {
		return err
	}
	if err := c.openViews(volumes); err != nil {
		return err
	}
	if err := c.mapOwners(volumes, c.root); err != nil {
		return err
	}
	var covered []string
	for _, s := range append(sources, volumes...) {
		if slices.ContainsFunc(covered, func(dir string) bool { return strings.HasPrefix(s.Target, dir+"/") }) {
			s.drop()
			continue
		}
		if s.stage == "volume" && (s.Type == "file" || s.bind || s.View()) {
			s.spread, s.rspread = unix.MS_PRIVATE, true // nothing is mounted below it
			err = c.attach(&s)
		} else {
			covered = append(covered, strings.TrimSuffix(s.Target, "/"))
			err = c.cover(&s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *source) drop() {
	if s.tree >= 0 {
		unix.Close(s.tree)
	}
}

// cover puts an empty directory in the place of what is not there now. Where its target is missing there is nothing to keep anybody from.
func (c *container) cover(s *source) error {
	target, err := resolve(c.root, s.Target, anything)
	if err == unix.ENOENT || err == unix.ENOTDIR {
		return nil
	}
	if err != nil {
		return fault(s.stage, "openat2", s.Target, err)
	}
	defer unix.Close(target)
	var st unix.Stat_t
	if err := unix.Fstat(target, &st); err != nil {
		return fault(s.stage, "fstat", s.Target, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	cover, err := c.blankMount()
	if err != nil {
		return err
	}
	defer unix.Close(cover)
	return put(s.stage, cover, target, s.Target)
}

// Leave lets go of the mounts, but for the root, which is the caller's to close.
func (s *Still) Leave() {
	if s.namespace >= 0 {
		unix.Close(s.namespace)
	}
}
