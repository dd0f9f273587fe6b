package logs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Options choose what Read delivers.
type Options struct {
	Tail         int       // at most so many of the last lines that are there already; -1 = all
	Since, Until time.Time // zero = no bound; Since is included, Until is not
	Follow       bool      // go on with what is written from now on
	Done         <-chan struct{}

	// Notice, when set, is called where lines are missing that were chosen and that rotation has dropped, with a sentence that says so.
	Notice func(text string) error

	// Caught, when set, is called by who follows when everything that is there has been delivered, before it waits for more.
	Caught func() error
}

// longest bounds a line of a log file: text, stamp and tags. What is longer is not ours and is skipped.
const longest = MaxLine + 256

// Read calls f for every entry of the log at path that opt chooses, oldest first, over the rotated files and path
// itself. Entry.Line is valid during the call only. A log that does not exist yet is empty. Its directory does as long as its container does: without
// it there is nothing to come either, and Read makes none, which might be left behind.
//
// With opt.Follow it goes on until ctx ends (its error is returned), f fails, opt.Until is past, or opt.Done
// is closed: that says that nothing is written any more, and Read delivers the rest and returns nil.
func Read(ctx context.Context, path string, opt Options, f func(Entry) error) error {
	return (&reader{opt: opt, deliver: f}).read(ctx, path, nil)
}

// read is Read, from the place from if that is not nil.
func (r *reader) read(ctx context.Context, path string, from *Place) error {
	d, err := openDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read the log %s: %w", path, err)
	}
	defer d.close()
	var w *watch
	if r.opt.Follow {
		// Before the first look, so that nothing falls between.
		if w, err = newWatch(d); err != nil {
			return fmt.Errorf("cannot follow the log %s: %w", path, err)
		}
		defer w.close()
	}
	files, err := openAll(d)
	if err != nil {
		return fmt.Errorf("cannot read the log %s: %w", path, err)
	}
	r.dir = d
	defer func() {
		for _, f := range files.open {
			f.Close()
		}
	}()
	var starts []int64
	skip := 0
	if from != nil {
		starts, skip, err = r.resume(files, *from)
	} else if starts, skip, err = r.starts(files.open); err == nil {
		err = r.noticeDropped(files.open, starts, skip)
	}
	if err != nil {
		return fmt.Errorf("cannot read the log %s: %w", path, err)
	}
	r.before = files.dropped
	for i, f := range files.open {
		if i >= skip {
			if _, err := f.Seek(starts[i], io.SeekStart); err != nil {
				return fmt.Errorf("cannot read the log %s: %w", path, err)
			}
			r.at = r.before + starts[i]
			if r.opt.Follow && i == len(files.open)-1 {
				break // read by follow
			}
			if err := r.drain(ctx, bufio.NewReaderSize(f, chunk), nil); err != nil {
				return ended(err)
			}
		}
		if i < len(files.open)-1 {
			st, err := f.Stat()
			if err != nil {
				return fmt.Errorf("cannot read the log %s: %w", path, err)
			}
			r.before += st.Size()
		}
	}
	if !r.opt.Follow {
		return nil
	}
	var current *os.File
	if n := len(files.open); n > 0 {
		current, files.open = files.open[n-1], files.open[:n-1]
	}
	return ended(r.follow(ctx, current, w))
}

// errUntil ends the reading: whatever comes is later than Until.
var errUntil = errors.New("until")

func ended(err error) error {
	if errors.Is(err, errUntil) {
		return nil
	}
	return err
}

// files are those of a log, oldest first, and what rotation has removed before them.
type files struct {
	open    []*os.File
	dropped int64 // bytes
}

// openAll opens the files of the log. A rotation in between shows as the same file twice or as a hole, or as another number of bytes that are gone: then it is done again.
func openAll(d *dir) (files, error) {
	for tries := 0; ; tries++ {
		dropped := d.dropped()
		open, whole, err := tryOpenAll(d)
		if err != nil || whole && d.dropped() == dropped || tries > 16 {
			return files{open, dropped}, err
		}
		for _, f := range open {
			f.Close()
		}
	}
}

func tryOpenAll(d *dir) (files []*os.File, whole bool, err error) {
	open := func(name string) (bool, error) {
		f, err := d.open(name, unix.O_RDONLY)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err == nil {
			files = append([]*os.File{f}, files...)
		}
		return err == nil, err
	}
	found, err := open(d.name)
	for i := 1; err == nil; i++ {
		var more bool
		if more, err = open(numbered(d.name, i)); !more {
			break
		}
	}
	if err != nil {
		for _, f := range files {
			f.Close()
		}
		return nil, false, err
	}
	if len(files) == 0 {
		return nil, true, nil
	}
	// Whole when the path still is what was opened under it, after all the others were.
	same, err := d.is(d.name, files[len(files)-1])
	whole = found && same || !found && errors.Is(err, fs.ErrNotExist)
	return files, whole, nil
}

type reader struct {
	opt     Options
	deliver func(Entry) error
	lines   int   // found by Tail
	before  int64 // bytes of the log, ever, before the file that is read
	at      int64 // and before what is read next
	dir     *dir
}

// noticeDropped tells of lines that were dropped, when the ones that are left do not satisfy what was asked for.
func (r *reader) noticeDropped(files []*os.File, starts []int64, skip int) error {
	if r.opt.Notice == nil || len(files) == 0 || skip > 0 || starts[0] > 0 || r.opt.Tail >= 0 && r.lines >= r.opt.Tail {
		return nil
	}
	n := r.dir.dropped()
	if n == 0 {
		return nil
	}
	if since := r.opt.Since; !since.IsZero() {
		first := make([]byte, longest)
		k, _ := files[0].ReadAt(first, 0)
		line, _, _ := bytes.Cut(first[:k], []byte{'\n'})
		if e, err := Parse(line); err == nil && !e.Time.After(since) {
			return nil
		}
	}
	return r.opt.Notice(droppedNotice(n))
}

// starts says from which file, and from which offset in each, reading begins.
func (r *reader) starts(files []*os.File) (starts []int64, skip int, err error) {
	starts = make([]int64, len(files))
	if r.opt.Tail >= 0 {
		want := r.opt.Tail
		skip = len(files)
		for want > 0 && skip > 0 {
			skip--
			var got int
			if starts[skip], got, err = tailOffset(files[skip], want, r.opt.Until); err != nil {
				return nil, 0, err
			}
			want -= got
			r.lines += got
		}
		if skip == len(files) && len(files) > 0 && r.opt.Follow { // tail 0: from the end on
			skip--
			starts[skip], err = files[skip].Seek(0, io.SeekEnd)
		}
		return starts, skip, err
	}
	if r.opt.Since.IsZero() {
		return starts, 0, nil
	}
	// Lines are in order of time, but for the few milliseconds by which a line that was long in coming is late.
	for i := range files {
		if starts[i], err = sinceOffset(files[i], r.opt.Since.Add(-time.Second)); err != nil {
			return nil, 0, err
		}
	}
	return starts, 0, nil
}

// drain delivers the whole lines of in. rest, if not nil, takes what has no newline yet.
func (r *reader) drain(ctx context.Context, in *bufio.Reader, rest *[]byte) error {
	for n := 0; ; n++ {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		line, err := in.ReadSlice('\n')
		r.at += int64(len(line))
		switch {
		case err == nil:
			if rest != nil && len(*rest) > 0 {
				line = append(*rest, line...)
				*rest = (*rest)[:0]
			}
			if err := r.line(bytes.TrimSuffix(line, []byte{'\n'})); err != nil {
				return err
			}
		case err == bufio.ErrBufferFull:
			n, err := skipLine(in)
			r.at += n
			if err != nil {
				return ignoreEOF(err)
			}
		case err == io.EOF:
			if rest != nil && len(*rest)+len(line) <= longest {
				*rest = append(*rest, line...)
			}
			return nil
		default:
			return err
		}
	}
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// skipLine passes over the rest of a line, of n bytes.
func skipLine(in *bufio.Reader) (n int64, err error) {
	for {
		b, err := in.ReadSlice('\n')
		n += int64(len(b))
		if err != bufio.ErrBufferFull {
			return n, err
		}
	}
}

// line delivers one line, if it is one and within the bounds.
func (r *reader) line(b []byte) error {
	e, err := Parse(b)
	if err != nil {
		return nil // torn by a crash, or not ours: the rest of the log is worth more than an error
	}
	if !r.opt.Since.IsZero() && e.Time.Before(r.opt.Since) {
		return nil
	}
	if !r.opt.Until.IsZero() && !e.Time.Before(r.opt.Until) {
		if e.Time.After(r.opt.Until.Add(time.Second)) {
			return errUntil
		}
		return nil
	}
	return r.deliver(e)
}
