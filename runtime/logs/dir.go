package logs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// dir is the directory of one log. Its files are opened beneath it, by one name each and without following links: whatever was put there,
// nobody writes to, or reads from, another place.
type dir struct {
	fd   int    // O_PATH
	path string // of the log; for messages
	name string // of the log in the directory
}

// openDir opens the directory of the log path, which is not a link itself.
func openDir(path string) (*dir, error) {
	name := filepath.Base(path)
	if name == "." || name == ".." || name == "/" {
		return nil, &fs.PathError{Op: "open", Path: path, Err: unix.EISDIR}
	}
	parent := filepath.Dir(path)
	fd, err := unix.Open(parent, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: parent, Err: err}
	}
	return beneath(fd, path), nil
}

// beneath is the directory of the log path whose descriptor is fd.
func beneath(fd int, path string) *dir {
	return &dir{fd: fd, path: path, name: filepath.Base(path)}
}

// makeDir is openDir for one that may have to be made.
func makeDir(path string) (*dir, error) {
	d, err := openDir(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	return openDir(path)
}

var errNotRegular = errors.New("not a regular file")

func (d *dir) close() { unix.Close(d.fd) }

// numbered is the file of a rotation, 0 the one that is written.
func numbered(name string, n int) string {
	if n == 0 {
		return name
	}
	return name + "." + strconv.Itoa(n)
}

// open opens a file of the directory, which is a regular one.
func (d *dir) open(name string, flags int) (*os.File, error) {
	// O_NONBLOCK: a fifo would wait for its writer, and is refused below. Regular files take no notice of it (open(2)).
	how := &unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	if flags&unix.O_CREAT != 0 {
		how.Mode = 0o640
	}
	fd, err := unix.Openat2(d.fd, name, how)
	for err == unix.EINTR || err == unix.EAGAIN { // EAGAIN: something was renamed meanwhile (openat2(2))
		fd, err = unix.Openat2(d.fd, name, how)
	}
	if err != nil {
		return nil, d.fault("openat2", name, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
		err = errNotRegular
	}
	if err == nil {
		err = unix.SetNonblock(fd, false) // or the runtime would try its poller
	}
	if err != nil {
		unix.Close(fd)
		return nil, d.fault("open", name, err)
	}
	return os.NewFile(uintptr(fd), d.of(name)), nil
}

// is says whether f is what the directory now has under name. It is not when there is nothing.
func (d *dir) is(name string, f *os.File) (bool, error) {
	var now unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &now, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, d.fault("stat", name, err)
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var was unix.Stat_t
	if cerr := conn.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &was) }); cerr != nil {
		return false, cerr
	}
	return now.Dev == was.Dev && now.Ino == was.Ino, err
}

func (d *dir) rename(from, to string) error {
	if err := unix.Renameat(d.fd, from, d.fd, to); err != nil {
		return d.fault("rename", from, err)
	}
	return nil
}

// of is the path of a file of the directory, for messages.
func (d *dir) of(name string) string { return filepath.Dir(d.path) + "/" + name }

func (d *dir) fault(call, name string, err error) error {
	return &fs.PathError{Op: call, Path: d.of(name), Err: err}
}
