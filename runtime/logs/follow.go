package logs

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// watch is an inotify(7) of the log's directory. Events only say "look again".
//
// It is the kernel's interface itself and not a package for it, because this package is linked into the init program.
type watch struct {
	f      *os.File
	events chan struct{} // one is enough: it is level-triggered
}

func newWatch(path string) (*watch, error) {
	dir := filepath.Dir(path)
	// The log of a container that has not started yet has no directory yet.
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, err
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MODIFY|unix.IN_CREATE|unix.IN_MOVED_FROM|unix.IN_MOVED_TO|unix.IN_DELETE); err != nil {
		unix.Close(fd)
		return nil, err
	}
	w := &watch{f: os.NewFile(uintptr(fd), "inotify"), events: make(chan struct{}, 1)}
	go w.run()
	return w, nil
}

func (w *watch) run() {
	defer close(w.events)
	b := make([]byte, 4096)
	for {
		if _, err := w.f.Read(b); err != nil {
			return // closed
		}
		select {
		case w.events <- struct{}{}:
		default:
		}
	}
}

func (w *watch) close() { w.f.Close() }

// follow delivers what is appended to current, and goes from file to file as they rotate. It closes current.
func (r *reader) follow(ctx context.Context, current *os.File, w *watch) error {
	var rest []byte
	var in *bufio.Reader
	defer func() {
		if current != nil {
			current.Close()
		}
	}()
	done := r.opt.Done
	last := false
	var until <-chan time.Time
	if !r.opt.Until.IsZero() {
		timer := time.NewTimer(time.Until(r.opt.Until))
		defer timer.Stop()
		until = timer.C
	}
	for {
		if current != nil {
			if in == nil {
				in = bufio.NewReaderSize(current, chunk)
			}
			if err := r.drain(ctx, in, &rest); err != nil {
				return err
			}
			if err := r.rewind(current, in, &rest); err != nil {
				return err
			}
		}
		next, err := r.next(current)
		if err != nil {
			return err
		}
		if next != nil {
			if current != nil {
				// The writer may have written to the old file until it renamed it.
				if err := r.drain(ctx, in, &rest); err != nil {
					next.Close()
					return err
				}
				current.Close()
			}
			current, in, rest = next, nil, rest[:0]
			continue
		}
		if last {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-done:
			last, done = true, nil // once more round: what was written before it was closed
		case <-until:
			last, until = true, nil
		case _, ok := <-w.events:
			if !ok {
				return errors.New("the watch of the log's directory has ended")
			}
		}
	}
}

// rewind goes to the start of a file that was truncated: a log of one file alone "rotates" so.
func (r *reader) rewind(f *os.File, in *bufio.Reader, rest *[]byte) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	at, err := f.Seek(0, 1)
	if err != nil || st.Size() >= at {
		return err
	}
	if _, err := f.Seek(0, 0); err != nil {
		return err
	}
	in.Reset(f)
	*rest = (*rest)[:0]
	return r.drain(context.Background(), in, rest)
}

// next opens the file that comes after current, nil when there is none yet. More than one rotation may have passed since
// the last look: the successor is the file numbered one less than the one that current is now.
func (r *reader) next(current *os.File) (*os.File, error) {
	if current == nil {
		return openExisting(r.path)
	}
	was, err := current.Stat()
	if err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		name, moved, err := r.successor(was)
		if err != nil || !moved {
			return nil, err
		}
		f, err := openExisting(name)
		if err != nil || f == nil {
			return nil, err
		}
		// A rotation between the two looks has put another file under that name: look again.
		again, _, err := r.successor(was)
		if err == nil && again == name || tries > 16 {
			return f, err
		}
		f.Close()
	}
}

// successor names the file after the one that is was. moved is false while it is the newest.
func (r *reader) successor(was os.FileInfo) (name string, moved bool, err error) {
	st, err := os.Stat(r.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", false, nil // in the middle of a rotation: the event of its end comes
	case err != nil:
		return "", false, err
	case os.SameFile(st, was):
		return "", false, nil
	}
	before := r.path
	for i := 1; ; i++ {
		st, err := os.Stat(numbered(r.path, i))
		if err != nil {
			// It is gone: the reader was slower than all the files. Go on with the oldest that is left.
			return before, true, nil
		}
		if os.SameFile(st, was) {
			return before, true, nil
		}
		before = numbered(r.path, i)
	}
}

func openExisting(name string) (*os.File, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}
