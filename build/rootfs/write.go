package rootfs

import (
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

func sortNames(names []string) { slices.Sort(names) }

// Attributes of a file to be. A nil Times leaves what the kernel gives.
type Attributes struct {
	UID, GID int
	Mode     uint32 // permission bits with setuid, setgid and sticky
	Times    []unix.Timespec
	Xattrs   map[string][]byte
}

// Mkdir makes a directory. Its parent must exist. One that is there stays as it is.
func (r *Root) Mkdir(canonical string, a Attributes) (made bool, err error) {
	err = r.in("mkdir", canonical, func(dir int, base string) error {
		err := unix.Mkdirat(dir, base, 0o700)
		if err == unix.EEXIST {
			return nil
		}
		made = err == nil
		return err
	})
	if err == nil && made {
		err = r.Set(canonical, a)
	}
	return made, err
}

// MkdirAll makes a directory and what is missing of its parents, of which exists elements are there. It returns those that it made.
func (r *Root) MkdirAll(canonical string, exists int, a Attributes) (made []string, err error) {
	parts := strings.Split(canonical, "/")
	if canonical == "." {
		return nil, nil
	}
	for i := exists; i < len(parts); i++ {
		name := strings.Join(parts[:i+1], "/")
		did, err := r.Mkdir(name, a)
		if err != nil {
			return made, err
		}
		if did {
			made = append(made, name)
		}
	}
	return made, nil
}

// Set gives what is at canonical, anything but a link, its attributes.
func (r *Root) Set(canonical string, a Attributes) error {
	fd, err := r.open(canonical, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/" + canonical, Err: err}
	}
	defer unix.Close(fd)
	return r.set(fd, canonical, a)
}

// set takes a descriptor of the file, O_PATH will do.
func (r *Root) set(fd int, canonical string, a Attributes) error {
	bad := func(op string, err error) error { return &os.PathError{Op: op, Path: "/" + canonical, Err: err} }
	// chown(2) clears the setuid bits and security.capability, so it comes first.
	if err := unix.Fchownat(fd, "", a.UID, a.GID, unix.AT_EMPTY_PATH); err != nil {
		return bad("chown", err)
	}
	through := "/proc/self/fd/" + strconv.Itoa(fd)
	if err := unix.Fchmodat(unix.AT_FDCWD, through, a.Mode, 0); err != nil {
		return bad("chmod", err)
	}
	for name, value := range a.Xattrs {
		if err := unix.Setxattr(through, name, value, 0); err != nil && name == "security.capability" {
			return bad("setxattr "+name, err)
		}
	}
	if a.Times != nil {
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, through, a.Times, 0); err != nil {
			return bad("utimensat", err)
		}
	}
	return nil
}

// Remove removes a file or an empty directory.
func (r *Root) Remove(canonical string) error {
	return r.in("remove", canonical, func(dir int, base string) error {
		err := unix.Unlinkat(dir, base, 0)
		if err == unix.EISDIR {
			err = unix.Unlinkat(dir, base, unix.AT_REMOVEDIR)
		}
		return err
	})
}

// clear removes what a file is to replace. A directory is in the way.
func (r *Root) clear(dir int, base string) error {
	if err := unix.Unlinkat(dir, base, 0); err != nil && err != unix.ENOENT {
		return err
	}
	return nil
}

// File makes a regular file of what content gives; one that is there, or a link, is replaced. From another file the bytes are shared or copied by the kernel where that can do it.
func (r *Root) File(canonical string, content io.Reader, a Attributes) error {
	fd := -1
	err := r.in("create", canonical, func(dir int, base string) (err error) {
		if err := r.clear(dir, base); err != nil {
			return err
		}
		fd, err = unix.Openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), canonical)
	defer f.Close()
	src, isFile := content.(*os.File)
	if !isFile || unix.IoctlFileClone(fd, int(src.Fd())) != nil {
		if _, err := io.Copy(f, content); err != nil {
			return &os.PathError{Op: "write", Path: "/" + canonical, Err: err}
		}
	}
	if err := r.set(fd, canonical, a); err != nil {
		return err
	}
	return f.Close()
}

// Symlink makes a link in the place of what is there.
func (r *Root) Symlink(canonical, target string, a Attributes) error {
	return r.in("symlink", canonical, func(dir int, base string) error {
		if err := r.clear(dir, base); err != nil {
			return err
		}
		if err := unix.Symlinkat(target, dir, base); err != nil {
			return err
		}
		if err := unix.Fchownat(dir, base, a.UID, a.GID, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
		if a.Times == nil {
			return nil
		}
		return unix.UtimesNanoAt(dir, base, a.Times, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// Link makes canonical another name of the file old.
func (r *Root) Link(canonical, old string) error {
	fd, err := r.open(old, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/" + old, Err: err}
	}
	defer unix.Close(fd)
	return r.in("link", canonical, func(dir int, base string) error {
		if err := r.clear(dir, base); err != nil {
			return err
		}
		return unix.Linkat(fd, "", dir, base, unix.AT_EMPTY_PATH)
	})
}

// Node makes a FIFO or a device.
func (r *Root) Node(canonical string, mode uint32, rdev uint64, a Attributes) error {
	err := r.in("mknod", canonical, func(dir int, base string) error {
		if err := r.clear(dir, base); err != nil {
			return err
		}
		return unix.Mknodat(dir, base, mode&unix.S_IFMT|0o600, int(rdev))
	})
	if err != nil {
		return err
	}
	return r.Set(canonical, a)
}
