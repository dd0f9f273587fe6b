package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// Root is a tree of files. Paths in it are as the tree's own programs would write them: absolute or not, they begin at the root.
type Root struct{ fd int }

// Open opens a directory of the host as a root.
func Open(dir string) (*Root, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return &Root{fd}, nil
}

// Close lets go of the root, and so unmounts it.
func (r *Root) Close() error { return unix.Close(r.fd) }

// maxLinks is the kernel's own bound (path_resolution(7)).
const maxLinks = 40

// Resolve follows name to its end and returns the path without links that it is, "." for the root, and how many of its elements exist. What does
// not exist is taken as it is written. A file on the way is ENOTDIR.
func (r *Root) Resolve(name string) (canonical string, exists int, err error) {
	return r.resolve(name, true)
}

// ResolveParent is Resolve, but for the last element, which is not followed.
func (r *Root) ResolveParent(name string) (canonical string, exists int, err error) {
	return r.resolve(name, false)
}

func (r *Root) resolve(name string, last bool) (string, int, error) {
	bad := func(err error) (string, int, error) {
		return "", 0, &os.PathError{Op: "open", Path: name, Err: err}
	}
	at, exists, links := ".", 0, 0
	rest := elements(name)
	for len(rest) > 0 {
		elem := rest[0]
		rest = rest[1:]
		if elem == ".." {
			if at != "." {
				if depth(at) == exists {
					exists--
				}
				at = path.Dir(at)
			}
			continue
		}
		next := path.Join(at, elem)
		if depth(at) > exists {
			at = next
			continue
		}
		if exists > 0 && at != "." {
			// What was found last must be a directory for anything to be in it.
			st, err := r.Lstat(at)
			if err != nil {
				return bad(errors.Unwrap(err))
			}
			if st.Mode&unix.S_IFMT != unix.S_IFDIR {
				return bad(unix.ENOTDIR)
			}
		}
		st, err := r.Lstat(next)
		if errors.Is(err, fs.ErrNotExist) {
			at = next
			continue
		}
		if err != nil {
			return bad(err)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFLNK || len(rest) == 0 && !last {
			at, exists = next, depth(next)
			continue
		}
		if links++; links > maxLinks {
			return bad(unix.ELOOP)
		}
		target, err := r.Readlink(next)
		if err != nil {
			return bad(err)
		}
		if path.IsAbs(target) {
			at, exists = ".", 0
		}
		rest = append(elements(target), rest...)
	}
	return at, min(exists, depth(at)), nil
}

func elements(name string) []string {
	parts := strings.Split(name, "/")
	kept := parts[:0]
	for _, p := range parts {
		if p != "" && p != "." {
			kept = append(kept, p)
		}
	}
	return kept
}

func depth(canonical string) int {
	if canonical == "." {
		return 0
	}
	return 1 + strings.Count(canonical, "/")
}

// open opens a path without links. Somebody who puts one there meanwhile gets ELOOP.
func (r *Root) open(canonical string, flags int) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(r.fd, canonical, &how)
		// EAGAIN: a rename elsewhere made the kernel unsure of the walk (openat2(2)).
		if err == unix.EINTR || err == unix.EAGAIN && tries < 128 {
			continue
		}
		return fd, err
	}
}

// in calls fn with a descriptor of the directory that canonical is in, and its last element.
func (r *Root) in(op, canonical string, fn func(dir int, base string) error) error {
	dir := path.Dir(canonical)
	fd := r.fd
	if dir != "." {
		var err error
		if fd, err = r.open(dir, unix.O_PATH|unix.O_DIRECTORY); err != nil {
			return &os.PathError{Op: op, Path: "/" + canonical, Err: err}
		}
		defer unix.Close(fd)
	}
	if err := fn(fd, path.Base(canonical)); err != nil {
		return &os.PathError{Op: op, Path: "/" + canonical, Err: err}
	}
	return nil
}

// Lstat is of a path whose directory has no links in it.
func (r *Root) Lstat(canonical string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := r.in("stat", canonical, func(dir int, base string) error {
		return unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	})
	return st, err
}

// Readlink is as Lstat.
func (r *Root) Readlink(canonical string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n := 0
	err := r.in("readlink", canonical, func(dir int, base string) (err error) {
		n, err = unix.Readlinkat(dir, base, buf)
		return err
	})
	return string(buf[:max(n, 0)]), err
}

// OpenFile opens a regular file for reading, and nothing else: a FIFO does not stop it, a device is not touched.
func (r *Root) OpenFile(canonical string) (*os.File, unix.Stat_t, error) {
	var st unix.Stat_t
	fd, err := r.open(canonical, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_NOFOLLOW)
	if err == nil {
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
			err = unix.EINVAL
		}
		if err != nil {
			unix.Close(fd)
		}
	}
	if err != nil {
		return nil, st, &os.PathError{Op: "open", Path: "/" + canonical, Err: err}
	}
	return os.NewFile(uintptr(fd), canonical), st, nil
}

// ReadDir lists a directory, sorted.
func (r *Root) ReadDir(canonical string) ([]string, error) {
	fd, err := r.open(canonical, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: "/" + canonical, Err: err}
	}
	d := os.NewFile(uintptr(fd), canonical)
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	sortNames(names)
	return names, nil
}

// Walk calls visit for what is below the directory canonical, in the order of the names, a directory before its content: with the path relative to that directory.
// It goes down into a directory when visit says so. What goes away meanwhile is left out.
func (r *Root) Walk(canonical string, visit func(rel string, st *unix.Stat_t) (descend bool, err error)) error {
	fd, err := r.open(canonical, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return &os.PathError{Op: "open", Path: "/" + canonical, Err: err}
	}
	return walk(fd, "", visit)
}

// walk takes over dir.
func walk(dir int, prefix string, visit func(string, *unix.Stat_t) (bool, error)) error {
	d := os.NewFile(uintptr(dir), prefix)
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return err
	}
	sortNames(names)
	for _, name := range names {
		var st unix.Stat_t
		err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.ENOENT {
			continue
		}
		rel := prefix + name
		if err != nil {
			return &os.PathError{Op: "stat", Path: rel, Err: err}
		}
		descend, err := visit(rel, &st)
		if err != nil {
			return err
		}
		if !descend || st.Mode&unix.S_IFMT != unix.S_IFDIR {
			continue
		}
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "open", Path: rel, Err: err}
		}
		if err := walk(fd, rel+"/", visit); err != nil {
			return err
		}
	}
	return nil
}
