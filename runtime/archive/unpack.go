package archive

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
	"github.com/stackrun/stack/internal/sparse"
)

// Destination is where a stream is written to, and how.
type Destination struct {
	// Path begins at the root, whether it begins with a slash or not. Links on it are followed.
	Path string
	// Copy says that the stream is of one file or directory, as Pack writes it, and goes to Path by the rules of docker cp: it becomes Path, or
	// comes into the directory that is there. Otherwise its entries go into the directory Path.
	Copy bool
	// Parents makes that directory, and those that it is in, if they are missing.
	Parents bool
	// Archive keeps the owners of the stream, and with them what gives a program another user's power: set-user-id and set-group-id bits, file capabilities. Otherwise
	// all belongs to UID and GID (-1 = to whom it is made by), and has no such power.
	Archive  bool
	UID, GID int
	// Closed keeps links below Path from being followed at all, for trees of which others have made parts by copying. Otherwise they mean what they
	// mean in the tree, and directories are merged with what they lead to.
	Closed bool
	// LeftOut is told of devices that are in what is copied, which are left out then. nil: a device is an error. What is copied itself, and is one, always is.
	LeftOut func(text string)
}

// Unpack writes the tar stream r into the tree below root.
//
// What is there stays where it does not have the name of an entry. Files and links are replaced, a file at once and when the new one is whole; directories are
// merged, and keep their attributes unless Archive says otherwise; the one that contents are copied into keeps them anyway. A directory is not replaced by anything
// else, nor anything else by a directory. Devices are neither made nor replaced (errdefs.ErrNotSupported, but see Destination.LeftOut), names with ".." are refused
// (errdefs.ErrInvalidArgument), and so is what stands for the kernel (see the package). *ReadOnlyError: the destination is mounted read-only.
//
// When it fails, what it has written before stays; nothing of the file that it was at.
func Unpack(ctx context.Context, root *os.File, d Destination, r io.Reader) (err error) {
	in := tar.NewReader(r)
	var first *tar.Header
	var at *place
	fd := int(root.Fd())
	if d.Copy {
		if first, err = next(in); err == io.EOF {
			return invalid("the stream is empty")
		}
		if err != nil {
			return err
		}
		at, err = placeCopy(fd, d.Path, first)
	} else {
		at, err = placeInto(fd, &d)
	}
	if err != nil {
		return markRoot(fd, d.Path, err)
	}
	base, err := openat2(fd, strings.TrimLeft(at.path, "/"), unix.O_RDONLY|unix.O_DIRECTORY, inRoot)
	if err != nil {
		return pathError("open", at.path, err)
	}
	u := &unpacker{ctx: ctx, Destination: d, place: at, root: fd, base: base, buf: make([]byte, 256<<10)}
	defer func() {
		if ferr := u.finish(); err == nil {
			err = ferr
		}
	}()
	if err := refuseKernel(base, at.path); err != nil {
		return err
	}
	if err := writable(base, at.path); err != nil {
		return markRoot(fd, at.path, err)
	}
	for h := first; ; h = nil {
		if h == nil {
			if h, err = next(in); err == io.EOF {
				return nil
			} else if err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := u.entry(h, in); err != nil {
			return err
		}
	}
}

// next is the next header that is an entry.
func next(in *tar.Reader) (*tar.Header, error) {
	for {
		h, err := in.Next()
		if err == io.EOF {
			return nil, err
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the stream: %w", err)
		}
		if h.Typeflag != tar.TypeXGlobalHeader {
			return h, nil
		}
	}
}

// markRoot says of a *ReadOnlyError whether it is of the root's own mount.
func markRoot(root int, at string, err error) error {
	var e *ReadOnlyError
	if errors.As(err, &e) {
		if fd, ferr := openat2(root, strings.TrimLeft(path.Clean("/"+at), "/"), unix.O_PATH, inRoot); ferr == nil {
			e.Root = sameMount(root, fd)
			unix.Close(fd)
		}
	}
	return err
}

type unpacker struct {
	ctx context.Context
	Destination
	*place
	root  int // of the tree
	base  int // the directory that all goes into
	stack []openedDir
	buf   []byte
}

// openedDir is a directory on the way to the last entry. What it is to be like at the end it is given when no more comes into it.
type openedDir struct {
	name  string // below base
	fd    int
	late  bool // mode and mtime are to be set
	mode  uint32
	mtime time.Time
}

// maxOpened bounds the directories that are open at one time.
const maxOpened = 64

// close gives d what it is to be like at the end.
func (d *openedDir) close() (err error) {
	defer unix.Close(d.fd)
	if !d.late {
		return nil
	}
	if err := unix.Fchmod(d.fd, d.mode); err != nil {
		return pathError("chmod", d.name, err)
	}
	return pathError("utimensat", d.name, setTime(d.fd, d.mtime))
}

// finish closes everything, also after a failure: directories are not left with a mode that is for the time of the copy.
func (u *unpacker) finish() error {
	err := u.leave(".", true)
	unix.Close(u.base)
	return err
}

// leave closes the directories that name is not in; all with everything.
func (u *unpacker) leave(name string, everything bool) (err error) {
	for n := len(u.stack); n > 0; n = len(u.stack) {
		top := &u.stack[n-1]
		if !everything && (top.name == name || strings.HasPrefix(name, top.name+"/")) {
			return err
		}
		if cerr := top.close(); err == nil {
			err = cerr
		}
		u.stack = u.stack[:n-1]
	}
	return err
}

func (u *unpacker) push(d openedDir) error {
	u.stack = append(u.stack, d)
	if len(u.stack) <= maxOpened {
		return nil
	}
	err := u.stack[0].close()
	u.stack = append(u.stack[:0], u.stack[1:]...)
	return err
}

// directory is a descriptor of the directory name below base, which stays open until entries of others come. What is missing is made.
func (u *unpacker) directory(name string) (int, error) {
	if name == "." {
		return u.base, nil
	}
	if err := u.leave(name, false); err != nil {
		return -1, err
	}
	if n := len(u.stack); n > 0 && u.stack[n-1].name == name {
		return u.stack[n-1].fd, nil
	}
	fd, err := u.open(name)
	if err == unix.ENOENT {
		var in int
		if in, err = u.directory(path.Dir(name)); err != nil {
			return -1, err
		}
		fd, err = makeDir(in, path.Base(name), u.UID, u.GID)
	}
	if err != nil {
		return -1, u.onTheWay(name, err)
	}
	if err := refuseKernel(fd, name); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, u.push(openedDir{name: name, fd: fd})
}

// open opens the directory name below base, and follows links as far as they are to be.
func (u *unpacker) open(name string) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY
	if u.Closed {
		return openat2(u.base, name, flags, beneath|unix.RESOLVE_NO_SYMLINKS)
	}
	fd, err := openat2(u.base, name, flags, beneath)
	if err == unix.EXDEV { // a link that is absolute, or leads out of base: in the tree it has a meaning
		fd, err = openat2(u.root, strings.TrimLeft(u.path, "/")+"/"+name, flags, inRoot)
	}
	return fd, err
}

func (u *unpacker) onTheWay(name string, err error) error {
	err = pathError("open", u.shown(name), err)
	if errors.Is(err, unix.ELOOP) && u.Closed {
		return errdefs.With(errdefs.ErrConflict, fmt.Errorf("%w: it, or a directory that it is in, is a link, which is not followed here; remove it, or copy to where it leads", err))
	}
	return err
}

func (u *unpacker) shown(name string) string { return path.Join(u.path, name) }

// entry writes one entry; its content is what in gives next.
func (u *unpacker) entry(h *tar.Header, in io.Reader) error {
	name, err := u.name(h.Name)
	if err != nil {
		return err
	}
	if name == "." {
		if h.Typeflag != tar.TypeDir {
			return invalid("expected a directory, but the stream has something else for the root of what it holds")
		}
		return nil
	}
	if device := h.Typeflag == tar.TypeChar || h.Typeflag == tar.TypeBlock; device && u.LeftOut != nil && !(u.Copy && name == u.to) {
		u.LeftOut(fmt.Sprintf("%s is a device, and left out", quote(name)))
		return nil
	}
	dir, err := u.directory(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(name)
	var st unix.Statx_t
	err = unix.Statx(dir, base, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &st)
	exists := err == nil
	if err != nil && err != unix.ENOENT {
		return pathError("stat", u.shown(name), err)
	}
	if h.Typeflag == tar.TypeDir {
		return u.mkdir(dir, name, h, exists, uint32(st.Mode)&unix.S_IFMT)
	}
	if exists {
		// The kernel keeps nobody from taking the place of what is a mount point in another mount namespace than his: it takes the mount away.
		if st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 { // since Linux 5.8, as is the way into that namespace
			return u.mounted(name)
		}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot replace the directory %s with what is not one", quote(u.shown(name))))
		case unix.S_IFCHR, unix.S_IFBLK:
			return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot replace %s: it is a device", quote(u.shown(name))))
		}
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return u.file(dir, name, h, in)
	case tar.TypeSymlink:
		return u.put(dir, name, func(as string) error {
			if err := unix.Symlinkat(h.Linkname, dir, as); err != nil {
				return err
			}
			return u.ownNode(dir, as, h)
		})
	case tar.TypeFifo:
		return u.put(dir, name, func(as string) error {
			if err := unix.Mknodat(dir, as, unix.S_IFIFO|0o600, 0); err != nil {
				return err
			}
			return u.ownNode(dir, as, h)
		})
	case tar.TypeLink:
		return u.link(dir, name, h)
	case tar.TypeChar, tar.TypeBlock:
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot make %s: it is a device, and devices are not copied", quote(u.shown(name))))
	}
	return invalid("the stream has an entry of an unknown type, %q, for %s", h.Typeflag, quote(h.Name))
}

// put has what make makes take the place of name at once: it is made under another name if there is something.
func (u *unpacker) put(dir int, name string, make func(as string) error) error {
	base := path.Base(name)
	err := make(base)
	if err == unix.EEXIST {
		var as string
		for err == unix.EEXIST {
			as = ".stack-" + rand.Text()
			err = make(as)
		}
		if err == nil {
			if err = unix.Renameat(dir, as, dir, base); err == nil {
				// A rename of one name of a file to another of its names does nothing (rename(2)).
				unix.Unlinkat(dir, as, 0) //nolint:errcheck // nearly always gone
				return nil
			}
		}
		unix.Unlinkat(dir, as, 0) //nolint:errcheck // the failure is what counts
		if err == unix.EBUSY {
			return u.mounted(name)
		}
	}
	return pathError("create", u.shown(name), err)
}

func (u *unpacker) mounted(name string) error {
	return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot replace %s: something is mounted there", quote(u.shown(name))))
}

func (u *unpacker) mkdir(dir int, name string, h *tar.Header, exists bool, kind uint32) error {
	base := path.Base(name)
	follow := false
	if exists && kind != unix.S_IFDIR {
		if u.Closed || kind != unix.S_IFLNK {
			return errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot replace %s with a directory: it is none", quote(u.shown(name))))
		}
		follow = true // /lib is usr/lib in many trees
	}
	if !exists {
		if err := unix.Mkdirat(dir, base, 0o700); err != nil && err != unix.EEXIST {
			return pathError("mkdir", u.shown(name), err)
		}
	}
	if err := u.leave(name, false); err != nil {
		return err
	}
	if n := len(u.stack); n > 0 && u.stack[n-1].name == name {
		if exists && !(u.Archive && !follow) {
			return nil // a second entry says nothing new, and what it is to be like at the end is as the first said
		}
		top := u.stack[n-1]
		u.stack = u.stack[:n-1]
		unix.Close(top.fd) // opened anew below, for what the entry says
	}
	var fd int
	var err error
	if follow {
		fd, err = u.open(name)
	} else {
		fd, err = unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return u.onTheWay(name, err)
	}
	if err := refuseKernel(fd, u.shown(name)); err != nil {
		unix.Close(fd)
		return err
	}
	d := openedDir{name: name, fd: fd}
	if !exists || u.Archive && !follow {
		d.late, d.mode, d.mtime = true, u.mode(h), h.ModTime
		if err = u.own(fd, h); err == nil {
			err = unix.Fchmod(fd, d.mode|0o700) // until it is full
		}
		if err == nil {
			err = u.xattrs(fd, h)
		}
		if err != nil {
			unix.Close(fd)
			return pathError("chown", u.shown(name), err)
		}
	}
	return u.push(d)
}

// file writes a regular file that has no name until it is whole, where the file system can; then it takes the place of the old one at once.
func (u *unpacker) file(dir int, name string, h *tar.Header, in io.Reader) (err error) {
	base := path.Base(name)
	fd, err := unix.Openat(dir, ".", unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	named := ""
	switch err {
	case unix.EOPNOTSUPP, unix.EISDIR, unix.EINVAL, unix.ENOENT: // before Linux 6.1 overlayfs has none
		named = ".stack-" + rand.Text()
		fd, err = unix.Openat(dir, named, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	}
	if err != nil {
		return pathError("create", u.shown(name), err)
	}
	defer unix.Close(fd)
	if named != "" {
		defer func() {
			if err != nil {
				unix.Unlinkat(dir, named, 0) //nolint:errcheck // the failure is what counts
			}
		}()
	}
	if err := sparse.Write(fd, stream{u.ctx, in}, h.Size, u.buf); err != nil {
		return pathError("write", u.shown(name), err)
	}
	// chown(2) clears what chmod and setxattr may set.
	if err := u.own(fd, h); err != nil {
		return pathError("chown", u.shown(name), err)
	}
	if err := unix.Fchmod(fd, u.mode(h)); err != nil {
		return pathError("chmod", u.shown(name), err)
	}
	if err := u.xattrs(fd, h); err != nil {
		return pathError("setxattr", u.shown(name), err)
	}
	if err := setTime(fd, h.ModTime); err != nil {
		return pathError("utimensat", u.shown(name), err)
	}
	if named != "" {
		if err := unix.Renameat(dir, named, dir, base); err == unix.EBUSY {
			return u.mounted(name)
		} else if err != nil {
			return pathError("rename", u.shown(name), err)
		}
		return nil
	}
	return u.put(dir, name, func(as string) error {
		return unix.Linkat(unix.AT_FDCWD, procPath(fd), dir, as, unix.AT_SYMLINK_FOLLOW)
	})
}

// link makes another name for what an entry has made before, or was there. It has no attributes of its own.
func (u *unpacker) link(dir int, name string, h *tar.Header) error {
	target, err := u.name(h.Linkname)
	if err != nil {
		return err
	}
	if target == "." {
		return invalid("the stream names %s a hard link to a directory", quote(h.Name))
	}
	in, err := u.open(path.Dir(target)) // another than dir, which stays open
	if err != nil {
		return u.onTheWay(target, err)
	}
	defer unix.Close(in)
	if err := refuseKernel(in, u.shown(target)); err != nil {
		return err
	}
	fd, err := unix.Openat(in, path.Base(target), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return pathError("open", u.shown(target), err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return pathError("stat", u.shown(target), err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFCHR, unix.S_IFBLK:
		return errdefs.With(errdefs.ErrNotSupported, fmt.Errorf("cannot make %s a hard link to a device", quote(u.shown(name))))
	case unix.S_IFLNK:
		return u.put(dir, name, func(as string) error { return unix.Linkat(in, path.Base(target), dir, as, 0) })
	}
	return u.put(dir, name, func(as string) error {
		return unix.Linkat(unix.AT_FDCWD, procPath(fd), dir, as, unix.AT_SYMLINK_FOLLOW)
	})
}

// stream is what a copy reads, until its context ends.
type stream struct {
	ctx context.Context
	in  io.Reader
}

func (s stream) Read(b []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	n, err := s.in.Read(b)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("cannot read the stream: %w", err)
	}
	return n, err
}

// mode is what an entry's mode may be.
func (u *unpacker) mode(h *tar.Header) uint32 {
	mode := uint32(h.Mode) & 0o7777
	if !u.Archive {
		mode &^= unix.S_ISUID | unix.S_ISGID
	}
	return mode
}

// owner is whose an entry is to be; -1 = it stays.
func (u *unpacker) owner(h *tar.Header) (uid, gid int, err error) {
	if !u.Archive {
		return u.UID, u.GID, nil
	}
	if h.Uid < 0 || h.Gid < 0 || h.Uid >= math.MaxUint32 || h.Gid >= math.MaxUint32 {
		return 0, 0, invalid("the stream gives %s an owner, %d:%d, that there cannot be", quote(h.Name), h.Uid, h.Gid)
	}
	return h.Uid, h.Gid, nil
}

func (u *unpacker) own(fd int, h *tar.Header) error {
	uid, gid, err := u.owner(h)
	if err != nil || uid < 0 && gid < 0 {
		return err
	}
	return unix.Fchown(fd, uid, gid)
}

// ownNode is for what is not opened: a link or a FIFO that has just been made. Whoever puts something else in its place has the entry's owner and
// time on that, but no mode: a FIFO's is set by its descriptor.
func (u *unpacker) ownNode(dir int, base string, h *tar.Header) error {
	fd, err := unix.Openat(dir, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if want := map[byte]uint32{tar.TypeSymlink: unix.S_IFLNK, tar.TypeFifo: unix.S_IFIFO}[h.Typeflag]; !isKind(&st, want) {
		return fmt.Errorf("somebody has put something else there")
	}
	uid, gid, err := u.owner(h)
	if err != nil {
		return err
	}
	if uid >= 0 || gid >= 0 {
		if err := unix.Fchownat(fd, "", uid, gid, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	if h.Typeflag == tar.TypeSymlink {
		return nil
	}
	if err := unix.Chmod(procPath(fd), u.mode(h)); err != nil {
		return err
	}
	return setTime(fd, h.ModTime)
}

// xattrs sets the attributes that travel.
func (u *unpacker) xattrs(fd int, h *tar.Header) error {
	for record, value := range h.PAXRecords {
		name, ok := strings.CutPrefix(record, xattrPrefix)
		if !ok || !travels(name) || name == capability && !u.Archive {
			continue
		}
		err := unix.Fsetxattr(fd, name, []byte(value), 0)
		if name != capability && (err == unix.ENOTSUP || err == unix.EPERM) {
			continue // a file system without users' attributes; what runs is the same
		}
		if err != nil {
			return fmt.Errorf("%s: %w", quote(name), err)
		}
	}
	return nil
}

// setTime sets when what fd is was modified.
func setTime(fd int, t time.Time) error {
	if t.IsZero() {
		return nil
	}
	return unix.UtimesNanoAt(unix.AT_FDCWD, procPath(fd), []unix.Timespec{{Nsec: unix.UTIME_OMIT}, {Sec: t.Unix(), Nsec: int64(t.Nanosecond())}}, 0)
}
