package unpack

import (
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/sparse"
)

// root gives the root its attributes.
func (t *tree) root(a attr) error {
	if err := a.check(); err != nil {
		return err
	}
	if err := apply(t.fd, ".", a); err != nil {
		return err
	}
	t.times["."] = dirTimes{a.atime, a.mtime}
	return nil
}

// mkdir makes a directory, or gives the one that is there its attributes.
func (t *tree) mkdir(p place, a attr) error {
	opaque := false
	err := unix.Mkdirat(p.dir.fd, p.base, 0o700)
	if errors.Is(err, unix.EEXIST) {
		var st unix.Stat_t
		if err := unix.Fstatat(p.dir.fd, p.base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return pathError("stat", p.path(), err)
		}
		err = nil
		if st.Mode&unix.S_IFMT != unix.S_IFDIR {
			opaque = t.whiteouts[p.path()]
			if err := t.clear(p); err != nil {
				return err
			}
			err = unix.Mkdirat(p.dir.fd, p.base, 0o700)
		}
	}
	if err != nil {
		return pathError("mkdir", p.path(), err)
	}
	if err := apply(p.dir.fd, p.base, a); err != nil {
		return inPath(p, err)
	}
	name := p.path()
	t.times[name] = dirTimes{a.atime, a.mtime}
	delete(t.implied, name)
	if !opaque {
		return nil
	}
	fd, err := t.openDir(name)
	if err != nil {
		return pathError("open", name, err)
	}
	defer unix.Close(fd)
	return t.setOpaque(&dir{fd: fd, path: name})
}

// clear removes what is at p, if anything: a later entry of a stream replaces an earlier one.
func (t *tree) clear(p place) error {
	err := unix.Unlinkat(p.dir.fd, p.base, 0)
	switch {
	case err == nil:
		// A symbolic link that is gone may have been on the way to a kept descriptor.
		dir := *p.dir
		t.removedFile(p.path())
		return t.reopen(p, dir)
	case errors.Is(err, unix.ENOENT):
		return nil
	case !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM):
		return pathError("unlink", p.path(), err)
	}
	if err := removeAll(p.dir.fd, p.base); err != nil {
		return pathError("remove", p.path(), err)
	}
	dir := *p.dir
	t.removed(p.path())
	return t.reopen(p, dir)
}

// removedFile forgets descriptors that were reached through name, and that name was a whiteout.
func (t *tree) removedFile(name string) {
	t.forget()
	delete(t.whiteouts, name)
}

// reopen gives p.dir a descriptor again after forget has closed it. It is kept, so forget closes it again.
func (t *tree) reopen(p place, was dir) error {
	fd, err := t.openDir(was.path)
	if err != nil {
		return pathError("open", was.path, err)
	}
	p.dir.fd = fd
	t.keep(was.path, p.dir)
	return nil
}

func (t *tree) file(p place, a attr, size int64, body io.Reader, buf []byte) error {
	fd, err := unix.Openat(p.dir.fd, p.base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return pathError("create", p.path(), err)
	}
	defer unix.Close(fd)
	if err := sparse.Write(fd, body, size, buf); err != nil {
		return inPath(p, err)
	}
	// chown(2) clears the setuid bits and security.capability, so it comes before chmod and xattrs.
	if err := unix.Fchown(fd, a.uid, a.gid); err != nil {
		return pathError("chown", p.path(), err)
	}
	if err := unix.Fchmod(fd, a.mode); err != nil {
		return pathError("chmod", p.path(), err)
	}
	for name, value := range a.xattrs {
		if err := xattrResult(name, unix.Fsetxattr(fd, name, []byte(value), 0)); err != nil {
			return pathError("setxattr "+name, p.path(), err)
		}
	}
	if err := setTimes(p.dir.fd, p.base, a.atime, a.mtime); err != nil {
		return pathError("utimensat", p.path(), err)
	}
	return nil
}

// link makes a hard link. made is false when the layer does not hold the target.
func (t *tree) link(p place, target string) (made bool, err error) {
	dirName, base := path.Split(target)
	if base == "" || base == "." {
		return false, fmt.Errorf("%w: hard link to the root", ErrInvalid)
	}
	from, err := openat2(t.fd, path.Clean(dirName), unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_IN_ROOT)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, pathError("open", dirName, err)
	}
	defer unix.Close(from)
	if t.whiteouts[target] {
		return false, fmt.Errorf("%w: hard link to %q, which the layer removes", ErrInvalid, target)
	}
	// Without AT_SYMLINK_FOLLOW a link to a symbolic link is one to the link itself.
	err = unix.Linkat(from, base, p.dir.fd, p.base, 0)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.ENOENT):
		return false, nil
	}
	return false, pathError("link", p.path(), err)
}

func (t *tree) symlink(p place, a attr, target string) error {
	if err := unix.Symlinkat(target, p.dir.fd, p.base); err != nil {
		return pathError("symlink", p.path(), err)
	}
	if err := unix.Fchownat(p.dir.fd, p.base, a.uid, a.gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return pathError("chown", p.path(), err)
	}
	if err := setXattrs(p.dir.fd, p.base, a); err != nil {
		return inPath(p, err)
	}
	if err := setTimes(p.dir.fd, p.base, a.atime, a.mtime); err != nil {
		return pathError("utimensat", p.path(), err)
	}
	return nil
}

func (t *tree) node(p place, a attr, kind uint32, dev uint64) error {
	if err := unix.Mknodat(p.dir.fd, p.base, kind|0o600, int(dev)); err != nil {
		return pathError("mknod", p.path(), err)
	}
	if err := apply(p.dir.fd, p.base, a); err != nil {
		return inPath(p, err)
	}
	if err := setTimes(p.dir.fd, p.base, a.atime, a.mtime); err != nil {
		return pathError("utimensat", p.path(), err)
	}
	return nil
}

// whiteout hides what layers below have at p. What this layer itself has there stays, whichever
// came first in the stream: "Whiteout files MUST only apply to resources in lower/parent layers"
// (https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#whiteouts).
func (t *tree) whiteout(p place) error {
	err := unix.Mknodat(p.dir.fd, p.base, unix.S_IFCHR, 0)
	switch {
	case err == nil:
		t.whiteouts[p.path()] = true
		return nil
	case !errors.Is(err, unix.EEXIST):
		return pathError("mknod", p.path(), err)
	}
	var st unix.Stat_t
	if err := unix.Fstatat(p.dir.fd, p.base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return pathError("stat", p.path(), err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	// A directory of this layer would be merged with the hidden one.
	fd, err := t.openDir(p.path())
	if err != nil {
		return pathError("open", p.path(), err)
	}
	defer unix.Close(fd)
	return t.setOpaque(&dir{fd: fd, path: p.path()})
}

func (t *tree) setOpaque(d *dir) error {
	if err := unix.Fsetxattr(d.fd, t.opaque, []byte("y"), 0); err != nil {
		return pathError("setxattr "+t.opaque, d.path, err)
	}
	return nil
}

// apply gives anything but a symbolic link its owner, mode and xattrs.
func apply(at int, base string, a attr) error {
	if err := unix.Fchownat(at, base, a.uid, a.gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("chown: %w", err)
	}
	// fchmodat(2) follows links, but the caller has just made base and nobody else is here.
	if err := unix.Fchmodat(at, base, a.mode, 0); err != nil {
		return fmt.Errorf("chmod: %w", err)
	}
	return setXattrs(at, base, a)
}

func setXattrs(at int, base string, a attr) error {
	if len(a.xattrs) == 0 {
		return nil
	}
	// setxattrat(2) came only with Linux 6.13; lsetxattr through the parent's descriptor does not
	// follow base either.
	through := fmt.Sprintf("/proc/self/fd/%d/%s", at, base)
	for name, value := range a.xattrs {
		if err := xattrResult(name, unix.Lsetxattr(through, name, []byte(value), 0)); err != nil {
			return fmt.Errorf("setxattr %s: %w", name, err)
		}
	}
	return nil
}

// xattrResult lets a file system do without attributes that change nothing in what runs; a
// capability that is not there is a program that does not work.
func xattrResult(name string, err error) error {
	if err == nil || name == "security.capability" {
		return err
	}
	// EPERM: user.* on anything but files and directories (xattr(7)), trusted.* in a user namespace.
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

func setTimes(at int, base string, atime, mtime time.Time) error {
	if base == "" {
		base = "."
	}
	ts := []unix.Timespec{timespec(atime), timespec(mtime)}
	return unix.UtimesNanoAt(at, base, ts, unix.AT_SYMLINK_NOFOLLOW)
}

func timespec(t time.Time) unix.Timespec {
	if t.IsZero() {
		return unix.Timespec{}
	}
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

func inPath(p place, err error) error { return fmt.Errorf("/%s: %w", p.path(), err) }
