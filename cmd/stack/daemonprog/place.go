package daemonprog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stackrun/stack/internal/cleanup"
)

// What Place keeps below the state root.
const (
	directory = "program"
	name      = "stack-daemon"
	unready   = ".stack-daemon.new" // what is being written, or what a killed command has left of it
)

// patience is for how long another command is waited for that writes the program.
const patience = 10 * time.Second

// ErrNoExec says that no program can be run from the file system of the state root.
var ErrNoExec = errors.New("its file system is mounted noexec")

// Place opens the program below the directory state, close-on-exec, to be run by "/proc/self/fd/<n>"; it writes it first, unless it is there. What is there is
// compared with what is carried, byte by byte, before it is given out: so one that a power cut or anybody has changed is replaced, and the disk need not be
// waited for when it is written. Programs are replaced and never changed: a daemon that runs an earlier one keeps that, without a name, until it ends.
//
// Whoever could change the directory could have a program of his own run by root, so both must be the caller's alone.
func (p *Program) Place(ctx context.Context, state string) (*os.File, error) {
	at := filepath.Join(state, directory)
	f, err := p.place(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("cannot put the daemon's program into %s: %w", at, err)
	}
	return f, nil
}

func (p *Program) place(ctx context.Context, at string) (*os.File, error) {
	if err := os.MkdirAll(at, 0o700); err != nil {
		return nil, err
	}
	fd, err := unix.Open(at, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: at, Err: err}
	}
	dir := os.NewFile(uintptr(fd), at)
	defer dir.Close()
	if err := ours(fd, unix.S_IFDIR); err != nil {
		return nil, err
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return nil, os.NewSyscallError("fstatfs", err)
	}
	if fs.Flags&unix.ST_NOEXEC != 0 {
		return nil, ErrNoExec
	}
	if f := p.find(fd); f != nil {
		return f, nil
	}
	// Many commands may start at once, and the program is large: one writes it.
	if err := lock(ctx, fd); err != nil {
		return nil, err
	}
	if f := p.find(fd); f != nil {
		return f, nil
	}
	return p.write(fd)
}

// find is the program in dir, or nil when there is none that is this one.
func (p *Program) find(dir int) *os.File {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), name)
	if ours(fd, unix.S_IFREG) == nil && p.is(f) {
		return f
	}
	f.Close()
	return nil
}

// ours says what is wrong with the owner, the kind or the mode of fd.
func ours(fd int, kind uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	switch {
	case st.Mode&unix.S_IFMT != kind:
		return errors.New("it is of another kind")
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to uid %d, expected %d", st.Uid, os.Geteuid())
	case st.Mode&0o022 != 0:
		return fmt.Errorf("others may write to it: its mode is %04o", st.Mode&0o7777)
	case st.Mode&0o100 == 0:
		return fmt.Errorf("it cannot be run: its mode is %04o", st.Mode&0o7777)
	}
	return nil
}

// is compares f with the program.
func (p *Program) is(f *os.File) bool {
	if info, err := f.Stat(); err != nil || info.Size() != p.size {
		return false
	}
	const chunk = 256 << 10
	have, want := make([]byte, chunk), make([]byte, chunk)
	for at := int64(0); at < p.size; at += chunk {
		n := min(chunk, p.size-at)
		if _, err := f.ReadAt(have[:n], at); err != nil {
			return false
		}
		if _, err := p.content.ReadAt(want[:n], at); err != nil && err != io.EOF {
			return false
		}
		if !bytes.Equal(have[:n], want[:n]) {
			return false
		}
	}
	return true
}

// lock takes dir for who writes, until it is closed.
func lock(ctx context.Context, dir int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("another command that writes it does not come to an end"))
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := unix.Flock(dir, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return os.NewSyscallError("flock", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// write makes the program's file in dir, which is locked, and opens it for who runs it.
func (p *Program) write(dir int) (*os.File, error) {
	unix.Unlinkat(dir, unready, 0) //nolint:errcheck // what a killed command has left; O_EXCL sees what stays
	fd, err := unix.Openat(dir, unready, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o500)
	if err != nil {
		return nil, &os.PathError{Op: "create", Path: unready, Err: err}
	}
	w := os.NewFile(uintptr(fd), unready)
	undo := cleanup.Make(func() { unix.Unlinkat(dir, unready, 0) }, func() { w.Close() }) //nolint:errcheck // the next one removes it
	defer undo.Clean()
	if _, err := io.Copy(w, p.read()); err != nil {
		return nil, err
	}
	if err := w.Chmod(0o500); err != nil { // whatever the umask is
		return nil, err
	}
	// The descriptor that is given out is another one: what is open for writing cannot be run (execve(2), ETXTBSY).
	fd, err = unix.Openat(dir, unready, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: unready, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	undo.Add(func() { f.Close() })
	if err := w.Close(); err != nil { // where a full disk may say so first
		return nil, err
	}
	if err := unix.Renameat(dir, unready, dir, name); err != nil {
		return nil, &os.LinkError{Op: "rename", Old: unready, New: name, Err: err}
	}
	undo.Release()
	return f, nil
}
