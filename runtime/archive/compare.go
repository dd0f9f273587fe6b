package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// Facts are a file, a link or a directory that a tree should have, or should not have.
type Facts struct {
	Path string    // from the root. Links on the way mean what they mean in the tree; one at the end is the file itself
	Dir  bool      `json:",omitempty"`
	Link string    `json:",omitempty"` // what it says, of a symbolic link
	Size int64     `json:",omitempty"`
	Sum  []byte    `json:",omitempty"` // SHA-256; nil: Size and Time decide
	Time time.Time `json:",omitzero"`
}

// Difference is how a tree differs from a Facts.
type Difference struct {
	Differs  bool `json:",omitempty"` // of Remove: it was there
	InTheWay bool `json:",omitempty"` // there is a directory that should be none, or something else where a directory should be
	UID      int  `json:",omitempty"` // whose it is, or the directory that it would be in
	GID      int  `json:",omitempty"`
}

// Compare says of each of all, in their order, whether the tree below root has it. It is quickest when those of one directory follow each other.
func Compare(ctx context.Context, root *os.File, all []Facts) ([]Difference, error) {
	out := make([]Difference, len(all))
	d := directories{root: int(root.Fd())}
	defer d.close()
	for i := range all {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err := d.compare(&all[i], &out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Remove removes each of all, in their order, from the tree below root, and says which were there. A directory goes when it is empty and Dir, anything
// else when it is not Dir; else it stays, and so does a directory that something is mounted on. Errors: of the first that cannot be removed, ErrReadOnly, ErrConflict
// when something is mounted on a file; those before it are gone.
func Remove(ctx context.Context, root *os.File, all []Facts) ([]Difference, error) {
	out := make([]Difference, len(all))
	d := directories{root: int(root.Fd())}
	defer d.close()
	for i, f := range all {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		name, base, err := d.enter(f.Path)
		if err != nil {
			return nil, err
		}
		if d.fd < 0 {
			continue
		}
		switch err := remove(d.fd, base, f.Dir); err {
		case nil:
			out[i].Differs = true
		case unix.ENOENT, unix.ENOTDIR, unix.EISDIR, unix.ENOTEMPTY, unix.EEXIST:
		case unix.EROFS:
			return nil, markRoot(d.root, path.Dir(name), &ReadOnlyError{Path: path.Dir(name)})
		case unix.EBUSY:
			if f.Dir { // what is mounted there is in it
				continue
			}
			return nil, errdefs.With(errdefs.ErrConflict, pathError("remove", name, errors.New("something is mounted there")))
		default:
			return nil, pathError("remove", name, err)
		}
	}
	return out, nil
}

// remove is unlinkat, and EBUSY for what is mounted on. The kernel says that of mount points in the caller's mount namespace only: from that of a container it
// would take the mount away.
func remove(dir int, base string, isDir bool) error {
	var st unix.Statx_t
	if err := unix.Statx(dir, base, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &st); err != nil {
		return err
	}
	if st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 {
		return unix.EBUSY
	}
	flags := 0
	if isDir {
		flags = unix.AT_REMOVEDIR
	}
	return unix.Unlinkat(dir, base, flags)
}

// directories is the directory of the file that is looked at: it is often that of the next one too.
type directories struct {
	root     int
	name     string // of the directory, "" = none was looked at
	fd       int    // -1: it does not exist
	uid, gid int    // whose it, or the nearest one above that exists, is
}

func (d *directories) close() {
	if d.name != "" && d.fd >= 0 {
		unix.Close(d.fd)
	}
	d.name = ""
}

// enter opens the directory that p is in.
func (d *directories) enter(p string) (name, base string, err error) {
	name = path.Clean("/" + p)
	if len(name) > maxPath {
		return "", "", invalid("a path of %d bytes is longer than a path can be", len(name))
	}
	if name == "/" {
		return "", "", invalid("the root of a container is no file of it")
	}
	dir, base := path.Split(name)
	if dir = path.Clean(dir); dir == d.name {
		return name, base, nil
	}
	d.close()
	for at := dir; ; at = path.Dir(at) {
		fd, err := openat2(d.root, strings.TrimLeft(at, "/"), unix.O_PATH|unix.O_DIRECTORY, inRoot)
		if err == unix.ENOENT || err == unix.ENOTDIR {
			continue // the root is a directory
		}
		if err != nil {
			return "", "", pathError("open", at, err)
		}
		var st unix.Stat_t
		if err = unix.Fstat(fd, &st); err == nil {
			err = refuseKernel(fd, at)
		}
		if err != nil {
			unix.Close(fd)
			return "", "", pathError("stat", at, err)
		}
		d.name, d.fd, d.uid, d.gid = dir, fd, int(st.Uid), int(st.Gid)
		if at != dir {
			unix.Close(fd)
			d.fd = -1
		}
		return name, base, nil
	}
}

func (d *directories) compare(f *Facts, out *Difference) error {
	name, base, err := d.enter(f.Path)
	if err != nil {
		return err
	}
	out.UID, out.GID, out.Differs = d.uid, d.gid, true
	if d.fd < 0 {
		return nil
	}
	var st unix.Stat_t
	err = unix.Fstatat(d.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT)
	if err == unix.ENOENT {
		return nil
	}
	if err != nil {
		return pathError("stat", name, err)
	}
	isDir := isKind(&st, unix.S_IFDIR)
	switch {
	case f.Dir && isKind(&st, unix.S_IFLNK):
		// A link to a directory will do: /lib is usr/lib in many trees.
		fd, err := openat2(d.root, name[1:], unix.O_PATH|unix.O_DIRECTORY, inRoot)
		if err == nil {
			unix.Close(fd)
		}
		out.Differs, out.InTheWay = err != nil, err != nil
	case f.Dir:
		out.Differs, out.InTheWay = !isDir, !isDir
	case isDir:
		out.InTheWay = true
	case f.Link != "":
		if isKind(&st, unix.S_IFLNK) {
			to, err := readlinkat(d.fd, base)
			out.Differs = err != nil || to != f.Link
		}
	case isKind(&st, unix.S_IFREG):
		out.UID, out.GID = int(st.Uid), int(st.Gid)
		if st.Size != f.Size {
			return nil
		}
		if f.Sum == nil {
			out.Differs = !time.Unix(st.Mtim.Unix()).Equal(f.Time)
			return nil
		}
		sum, err := d.sum(base, f.Size)
		if err != nil {
			return pathError("read", name, err)
		}
		out.Differs = !bytes.Equal(sum, f.Sum)
	}
	return nil
}

// sum reads size bytes of a regular file; nil: it is none any more.
func (d *directories) sum(base string, size int64) ([]byte, error) {
	look, err := unix.Openat(d.fd, base, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer unix.Close(look)
	var st unix.Stat_t
	if err := unix.Fstat(look, &st); err != nil || !isKind(&st, unix.S_IFREG) {
		return nil, err
	}
	if err := refuseKernel(look, base); err != nil { // a file may be mounted on
		return nil, err
	}
	fd, err := reopen(look, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), base)
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, size)); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}
