package logs

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

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
			r.at = r.before
			current, in, rest = next, nil, rest[:0]
			continue
		}
		if last {
			return nil
		}
		if r.opt.Caught != nil {
			if err := r.opt.Caught(); err != nil {
				return err
			}
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

// rewind goes to the start of a file that was truncated: by hand, or by a writer whose disk was full.
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
	r.before = max(r.before, r.dir.dropped())
	r.at = r.before
	in.Reset(f)
	*rest = (*rest)[:0]
	return r.drain(context.Background(), in, rest)
}

// next opens the file that comes after current, nil when there is none yet. More than one rotation may have passed since
// the last look: the successor is the file numbered one less than the one that current is now.
func (r *reader) next(current *os.File) (*os.File, error) {
	if current == nil {
		return openExisting(r.dir, r.dir.name)
	}
	for tries := 0; ; tries++ {
		name, moved, gone, err := r.successor(current)
		if err != nil || !moved {
			return nil, err
		}
		f, err := openExisting(r.dir, name)
		if err != nil || f == nil {
			return nil, err
		}
		// A rotation between the two looks has put another file under that name: look again.
		again, _, _, err := r.successor(current)
		if err == nil && again == name || tries > 16 {
			if err == nil {
				err = r.passed(current, gone)
			}
			if err != nil {
				f.Close()
				return nil, err
			}
			return f, nil
		}
		f.Close()
	}
}

// passed counts current as read. When it is gone, files after it may be too; what rotation has dropped altogether tells.
func (r *reader) passed(current *os.File, gone bool) error {
	st, err := current.Stat()
	if err != nil {
		return err
	}
	r.before += st.Size()
	if !gone {
		return nil
	}
	dropped := r.dir.dropped()
	missing := dropped - r.before
	r.before = max(r.before, dropped)
	if missing > 0 && r.opt.Notice != nil {
		return r.opt.Notice(overtakenNotice(missing))
	}
	return nil
}

// successor names the file after current. moved is false while that is the newest. gone says that it is not there any more: the
// reader was slower than all the files, and goes on with the oldest that is left.
func (r *reader) successor(current *os.File) (name string, moved, gone bool, err error) {
	newest, err := r.dir.is(r.dir.name, current)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, false, nil // in the middle of a rotation: the event of its end comes
	}
	if err != nil || newest {
		return "", false, false, err
	}
	before := r.dir.name
	for i := 1; ; i++ {
		same, err := r.dir.is(numbered(r.dir.name, i), current)
		if err != nil || same {
			return before, true, err != nil, nil
		}
		before = numbered(r.dir.name, i)
	}
}

func openExisting(d *dir, name string) (*os.File, error) {
	f, err := d.open(name, unix.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return f, err
}
