package boot

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// errMagic says that a path goes through a link of procfs that is no path (proc(5), /proc/pid/fd).
var errMagic = errors.New("a link of /proc leads on, which is not followed")

type kind int

const (
	anything kind = iota // must exist
	directory
	file
)

// resolve opens path (O_PATH) below root, which symlinks and ".." cannot leave: absolute links, such as
// /var/run -> /run, mean what they mean inside. With kind directory or file, what is missing is created: directories
// 0755 and an empty file 0644, owned by root.
func resolve(root int, path string, want kind) (int, error) {
	fd, err := openat2(root, strings.TrimLeft(path, "/"), unix.O_PATH, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
	if err == nil || want == anything || err != unix.ENOENT {
		return fd, err
	}
	w := walk{stack: []int{root}, create: want}
	defer w.close()
	return w.to(path)
}

// walk goes down a path one component at a time and creates what is missing. It holds the
// directories that it came through open, so ".." is one step back on the way it came, and never asks the kernel.
type walk struct {
	stack  []int // open directories from the root, which is not ours to close
	create kind
	links  int
}

func (w *walk) to(path string) (int, error) {
	todo := components(path)
	for len(todo) > 0 {
		name := todo[0]
		todo = todo[1:]
		if name == ".." {
			w.up()
			continue
		}
		dir := w.stack[len(w.stack)-1]
		fd, err := openOrCreate(dir, name, len(todo) == 0 && w.create == file)
		if err != nil {
			return -1, err
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			unix.Close(fd)
			return -1, err
		}
		if st.Mode&unix.S_IFMT != unix.S_IFLNK {
			w.stack = append(w.stack, fd)
			continue
		}
		target, err := w.follow(fd)
		unix.Close(fd)
		if err != nil {
			return -1, err
		}
		if strings.HasPrefix(target, "/") {
			w.reset()
		}
		todo = append(components(target), todo...)
	}
	return unix.FcntlInt(uintptr(w.stack[len(w.stack)-1]), unix.F_DUPFD_CLOEXEC, 0)
}

// openOrCreate opens name in dir without following it.
func openOrCreate(dir int, name string, asFile bool) (int, error) {
	for tries := 0; ; tries++ {
		fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != unix.ENOENT || tries > 8 {
			return fd, err
		}
		if asFile {
			var made int
			made, err = unix.Openat(dir, name, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
			if err == nil {
				unix.Close(made)
			}
		} else {
			err = unix.Mkdirat(dir, name, 0o755)
		}
		if err != nil && err != unix.EEXIST { // somebody else was quicker: look again
			return -1, err
		}
	}
}

// follow reads the symlink fd. 40 is the kernel's own limit (path_resolution(7)).
func (w *walk) follow(fd int) (string, error) {
	if w.links++; w.links > 40 {
		return "", unix.ELOOP
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return "", err
	}
	if fs.Type == unix.PROC_SUPER_MAGIC {
		return "", errMagic
	}
	b := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", b)
	if err != nil {
		return "", err
	}
	return string(b[:n]), nil
}

func (w *walk) up() {
	if n := len(w.stack); n > 1 {
		unix.Close(w.stack[n-1])
		w.stack = w.stack[:n-1]
	}
}

func (w *walk) reset() {
	for len(w.stack) > 1 {
		w.up()
	}
}

func (w *walk) close() { w.reset() }

func components(path string) []string {
	parts := strings.Split(path, "/")
	kept := parts[:0]
	for _, p := range parts {
		if p != "" && p != "." {
			kept = append(kept, p)
		}
	}
	return kept
}
