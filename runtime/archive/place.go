package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/errdefs"
)

// place is where a stream goes: into a directory, with its first entry, and all below it, perhaps under another name.
type place struct {
	path     string // of the directory, from the tree's root
	from, to string // the first element of names, and what takes its place; both "" = names are as they are
}

// name is where in the directory an entry of the stream, or what a hard link names, goes; "." is the directory itself.
func (p *place) name(of string) (string, error) {
	if len(of) >= maxPath {
		return "", invalid("the stream names a path of %d bytes, which is longer than a path can be", len(of))
	}
	for elem := range strings.SplitSeq(of, "/") {
		if elem == ".." {
			return "", invalid("the stream names %s, which leads upwards: refused", quote(of))
		}
	}
	name := path.Clean("/" + of)[1:]
	if p.from == "" {
		return path.Join(".", name), nil
	}
	if p.from == "." {
		return path.Join(p.to, name), nil
	}
	first, rest, _ := strings.Cut(name, "/")
	if first != p.from {
		return "", invalid("expected a stream of %s and what is in it, but it names %s", quote(p.from), quote(of))
	}
	return path.Join(p.to, rest), nil
}

// found is what is at the end of a path, all links followed.
type found struct {
	dir, base string // where it is: the path of its directory, from the root, and its name there, "." for the root and what ends in ".."
	missing   bool   // but its directory exists
	st        unix.Stat_t
}

func (f *found) path() string {
	if f.base == "." {
		return f.dir
	}
	return strings.TrimSuffix(f.dir, "/") + "/" + f.base
}

func (f *found) isDir() bool { return !f.missing && isKind(&f.st, unix.S_IFDIR) }

// locate follows p to its end. The directory that it ends in must exist.
func locate(root int, p string) (*found, error) {
	for links := 0; ; links++ {
		if links > 40 { // the kernel's own bound (path_resolution(7))
			return nil, pathError("open", p, unix.ELOOP)
		}
		trimmed := strings.TrimRight(p, "/")
		f := &found{dir: path.Dir("/"), base: "."}
		if i := strings.LastIndexByte(trimmed, '/'); i >= 0 {
			f.dir, f.base = trimmed[:i], trimmed[i+1:]
		}
		if f.dir == "" {
			f.dir = "/"
		}
		if f.base == "" || f.base == "." || f.base == ".." {
			f.dir, f.base = p, "."
		}
		dir, err := openat2(root, strings.TrimLeft(f.dir, "/"), unix.O_PATH|unix.O_DIRECTORY, inRoot)
		if err != nil {
			return nil, pathError("open", f.dir, err)
		}
		target, err := f.look(dir)
		unix.Close(dir)
		if err != nil || target == "" {
			return f, err
		}
		if strings.HasPrefix(target, "/") {
			p = target
		} else {
			p = f.dir + "/" + target // not cleaned: the kernel knows what ".." is there
		}
	}
}

// look fills f in, or returns where a link leads to.
func (f *found) look(dir int) (target string, err error) {
	if err := refuseKernel(dir, f.path()); err != nil {
		return "", err
	}
	err = unix.Fstatat(dir, f.base, &f.st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == unix.ENOENT:
		f.missing = true
		return "", nil
	case err != nil:
		return "", pathError("stat", f.path(), err)
	case isKind(&f.st, unix.S_IFLNK):
		if target, err = readlinkat(dir, f.base); err == nil && target == "" {
			err = unix.ENOENT
		}
		return target, pathError("readlink", f.path(), err)
	}
	return "", nil
}

// placeCopy decides by the rules of docker cp where the stream goes that begins with h, as what Pack has written of one file or directory.
// https://docs.docker.com/reference/cli/docker/container/cp/#description
func placeCopy(root int, dest string, h *tar.Header) (*place, error) {
	name := path.Clean("/" + h.Name)[1:]
	p := &place{from: "."}
	if name != "" {
		p.from, _, _ = strings.Cut(name, "/")
		if p.from != name || p.from == ".." {
			return nil, invalid("expected a stream that begins with what is copied, but it begins with %s", quote(h.Name))
		}
	}
	dest, mustBeDir, _ := clean(dest)
	f, err := locate(root, dest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("there is no directory %s to copy into: it is not made", quote(path.Dir(dest))))
	}
	if err != nil {
		return nil, err
	}
	dir := h.Typeflag == tar.TypeDir
	switch {
	case f.isDir():
		p.path, p.to = f.path(), p.from
		return p, nil
	case f.missing && mustBeDir && !dir:
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("the directory %s must exist for a file to be copied into it", quote(dest)))
	case !f.missing && mustBeDir:
		return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("%s is not a directory", quote(dest)))
	case !f.missing && dir:
		return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("cannot copy a directory to %s, which is a file", quote(dest)))
	case !f.missing && !isKind(&f.st, unix.S_IFREG):
		return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("%s is neither a directory nor a regular file: it is not replaced", quote(dest)))
	}
	p.path, p.to = f.dir, f.base
	return p, nil
}

// placeInto is for a stream whose entries go into the directory of d.
func placeInto(root int, d *Destination) (*place, error) {
	dest, _, _ := clean(d.Path)
	f, err := locate(root, dest)
	if d.Parents && (errors.Is(err, fs.ErrNotExist) || err == nil && f.missing) {
		return &place{path: dest}, makeDirs(root, dest, d.UID, d.GID)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && f.missing:
		return nil, errdefs.With(errdefs.ErrNotFound, fmt.Errorf("there is no directory %s: it must exist", quote(dest)))
	case err != nil:
		return nil, err
	case !f.isDir():
		return nil, errdefs.With(errdefs.ErrConflict, fmt.Errorf("%s must be a directory", quote(dest)))
	}
	return &place{path: f.path()}, nil
}

// makeDirs makes the directory p, which has no "..", and those that it is in.
func makeDirs(root int, p string, uid, gid int) error {
	if p == "/" {
		return nil
	}
	dir, err := openat2(root, path.Dir(p)[1:], unix.O_PATH|unix.O_DIRECTORY, inRoot)
	if err == unix.ENOENT {
		if err := makeDirs(root, path.Dir(p), uid, gid); err != nil {
			return err
		}
		dir, err = openat2(root, path.Dir(p)[1:], unix.O_PATH|unix.O_DIRECTORY, inRoot)
	}
	if err != nil {
		return pathError("open", path.Dir(p), err)
	}
	defer unix.Close(dir)
	if err := refuseKernel(dir, p); err != nil {
		return err
	}
	if err := writable(dir, p); err != nil {
		return err
	}
	fd, err := makeDir(dir, path.Base(p), uid, gid)
	if err != nil {
		return pathError("mkdir", p, err)
	}
	return unix.Close(fd)
}

// makeDir makes a directory that no entry speaks of, mode 0755, or opens the one that somebody has made meanwhile.
func makeDir(dir int, base string, uid, gid int) (int, error) {
	made := unix.Mkdirat(dir, base, 0o755)
	if made != nil && made != unix.EEXIST {
		return -1, made
	}
	fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil || made != nil {
		return fd, err
	}
	if uid >= 0 || gid >= 0 {
		err = unix.Fchown(fd, uid, gid)
	}
	if err == nil {
		err = unix.Fchmod(fd, 0o755) // whatever this process's umask
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// ErrReadOnly is that what would be written to is mounted read-only. *ReadOnlyError has it.
var ErrReadOnly = errors.New("read-only file system")

// ReadOnlyError says where.
type ReadOnlyError struct {
	Path string
	// Root: it is the mount of the tree's root.
	Root bool
}

func (e *ReadOnlyError) Error() string {
	return fmt.Sprintf("%s is on a file system that is mounted read-only", quote(e.Path))
}

func (e *ReadOnlyError) Unwrap() []error { return []error{ErrReadOnly, errdefs.ErrConflict} }

// writable is a *ReadOnlyError without its Root when the mount of dir is read-only.
func writable(dir int, name string) error {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(dir, &fs); err != nil {
		return &os.PathError{Op: "statfs", Path: quote(name), Err: err}
	}
	if fs.Flags&unix.ST_RDONLY != 0 {
		return &ReadOnlyError{Path: name}
	}
	return nil
}

// sameMount says whether two descriptors are of one mount.
func sameMount(a, b int) bool {
	var x, y unix.Statx_t
	for fd, st := range map[int]*unix.Statx_t{a: &x, b: &y} {
		if unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, st) != nil || st.Mask&unix.STATX_MNT_ID == 0 { // since Linux 5.8
			return false
		}
	}
	return x.Mnt_id == y.Mnt_id
}
