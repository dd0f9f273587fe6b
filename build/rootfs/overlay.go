package rootfs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/thread"
	"github.com/stackrun/stack/runtime/mount"
)

// Writable is m as the root of a step whose upper directory becomes a layer. A layer is read without its mount, so that a file of it must be a file,
// and a renamed directory one with its content: rename(2) says EXDEV, and programs copy. And nothing is brought to the disk for a
// program that asks for it, nor all of the disk's file system when the overlay is unmounted: what a power cut takes is built again.
func Writable(m mount.Mount) mount.Mount {
	m.Options = append(slices.Clone(m.Options), "redirect_dir=nofollow", "metacopy=off")
	if volatile() {
		m.Options = append(m.Options, "volatile")
	}
	return m
}

// volatile says whether this kernel has that option, since Linux 5.10. Where it cannot be found out there is none.
var volatile = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "stack-build-")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	m := mount.Mount{Lower: []string{filepath.Join(dir, "lower")}, Upper: filepath.Join(dir, "upper"), Work: filepath.Join(dir, "work"), Options: []string{"volatile"}}
	for _, d := range []string{m.Lower[0], m.Upper, m.Work} {
		if os.Mkdir(d, 0o700) != nil {
			return false
		}
	}
	root, err := Mount(m)
	if err != nil {
		return false
	}
	return root.Close() == nil
})

// Mount mounts the overlay m, attached nowhere.
func Mount(m mount.Mount) (*Root, error) {
	fd, err := byLayer(m)
	if err == unix.EINVAL {
		fd, err = byString(m)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot mount the root of a step: %w", err)
	}
	return &Root{fd: fd}, nil
}

// byLayer gives the layers one a call, since Linux 6.7.
func byLayer(m mount.Mount) (int, error) {
	fs, err := unix.Fsopen("overlay", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	names, err := newNames(m)
	if err != nil {
		return -1, err
	}
	defer names.close()
	set := func(key, value string) {
		if err == nil {
			err = unix.FsconfigSetString(fs, key, value)
		}
	}
	for _, name := range names.lower {
		set("lowerdir+", name)
	}
	if m.Upper != "" {
		set("upperdir", names.upper)
		set("workdir", names.work)
	}
	for _, o := range data(m) {
		if key, value, ok := strings.Cut(o, "="); ok {
			set(key, value)
		} else if err == nil {
			err = unix.FsconfigSetFlag(fs, o)
		}
	}
	if err != nil {
		return -1, err
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes(m))
}

// byString is for kernels before 6.7: in a mount namespace of a thread of its own, whose end takes the attached mount along.
func byString(m mount.Mount) (fd int, err error) {
	err = thread.Apart(func() (err error) {
		fd, err = attachedElsewhere(m)
		return err
	})
	return fd, err
}

func attachedElsewhere(m mount.Mount) (int, error) {
	dir, err := os.MkdirTemp("", "stack-build-")
	if err != nil {
		return -1, err
	}
	defer os.Remove(dir)
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return -1, err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return -1, err
	}
	// Only now: an overlay is made of what is mounted in the namespace of who mounts it (clone_private_mount, fs/namespace.c), and a descriptor from before is of the one
	// before.
	names, err := newNames(m)
	if err != nil {
		return -1, err
	}
	defer names.close()
	words := append([]string{"lowerdir=" + strings.Join(names.lower, ":")}, data(m)...)
	if m.Upper != "" {
		words = append(words, "upperdir="+names.upper, "workdir="+names.work)
	}
	var flags uintptr
	if attributes(m)&unix.MOUNT_ATTR_RDONLY != 0 {
		flags = unix.MS_RDONLY
	}
	if err := unix.Mount("overlay", dir, "overlay", flags, strings.Join(words, ",")); err != nil {
		return -1, err
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if uerr := unix.Unmount(dir, unix.MNT_DETACH); err == nil && uerr != nil {
		unix.Close(fd)
		return -1, uerr
	}
	return fd, err
}

func attributes(m mount.Mount) int {
	if slices.Contains(m.Options, "ro") || m.Upper == "" {
		return unix.MOUNT_ATTR_RDONLY
	}
	return 0
}

// data are m's options for overlayfs itself.
func data(m mount.Mount) []string {
	return slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool { return o == "ro" })
}

// names are short names, without the characters to which overlayfs gives a meaning, for the directories of an overlay.
type names struct {
	lower       []string
	upper, work string
	fds         []int
}

func newNames(m mount.Mount) (*names, error) {
	n := new(names)
	var err error
	name := func(path string) string {
		fd, oerr := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if oerr != nil {
			if err == nil {
				err = &os.PathError{Op: "open", Path: path, Err: oerr}
			}
			return ""
		}
		n.fds = append(n.fds, fd)
		return "/proc/self/fd/" + strconv.Itoa(fd)
	}
	for _, path := range m.Lower {
		n.lower = append(n.lower, name(path))
	}
	if m.Upper != "" {
		n.upper, n.work = name(m.Upper), name(m.Work)
	}
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *names) close() {
	for _, fd := range n.fds {
		unix.Close(fd)
	}
}
