package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// Place is a place between two lines of a log. The zero value is before the first.
type Place struct {
	Offset int64     // bytes before it that the log has ever held, with those that rotation has removed
	Time   time.Time // of the line before it; zero = not known
}

// ReadFrom is Read of what comes after from, whose Tail, Since and Until it does not know, with the place behind each entry. Where the log is not what it was at from, because somebody has cut it,
// it begins with what was written at that time: rather twice than not at all. Bytes that rotation has removed after from are told by Notice.
func ReadFrom(ctx context.Context, path string, from Place, opt Options, f func(Entry, Place) error) error {
	opt.Tail, opt.Since, opt.Until = -1, time.Time{}, time.Time{}
	r := &reader{opt: opt}
	r.deliver = func(e Entry) error { return f(e, Place{r.at, e.Time}) }
	return r.read(ctx, path, &from)
}

// End is the place behind the last line of the log at path. One that does not exist ends where it begins.
func End(path string) (Place, error) {
	d, err := openDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Place{}, nil
	}
	if err != nil {
		return Place{}, err
	}
	defer d.close()
	files, err := openAll(d)
	if err != nil {
		return Place{}, err
	}
	p := Place{Offset: files.dropped}
	for _, f := range files.open {
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return Place{}, err
		}
		p.Offset += st.Size()
		if t, ok := lineBefore(f, st.Size()); ok && st.Size() > 0 {
			p.Time = t
		}
	}
	return p, nil
}

// resume says from which file, and from which offset in each, reading goes on behind p.
func (r *reader) resume(files files, p Place) (starts []int64, skip int, err error) {
	starts = make([]int64, len(files.open))
	base := files.dropped
	if p.Offset < base { // what follows it is gone
		if r.opt.Notice != nil {
			err = r.opt.Notice(overtakenNotice(base - p.Offset))
		}
		return starts, 0, err
	}
	for i, f := range files.open {
		st, err := f.Stat()
		if err != nil {
			return nil, 0, err
		}
		if at := p.Offset - base; at <= st.Size() {
			if t, ok := lineBefore(f, at); ok && (at == 0 || p.Time.IsZero() || t.Equal(p.Time)) {
				starts[i] = at
				return starts, i, nil
			}
			break
		}
		base += st.Size()
	}
	if p.Time.IsZero() {
		return starts, 0, nil
	}
	for i, f := range files.open {
		if starts[i], err = sinceOffset(f, p.Time); err != nil {
			return nil, 0, err
		}
	}
	return starts, 0, nil
}

// lineBefore is the time of the line of f that ends at offset, zero of one that is not ours. false: no line ends there. At the begin of a file one does.
func lineBefore(f *os.File, offset int64) (t time.Time, ok bool) {
	if offset == 0 {
		return t, true
	}
	b := make([]byte, min(longest, offset))
	if n, err := f.ReadAt(b, offset-int64(len(b))); err != nil && err != io.EOF || n < len(b) {
		return t, false
	}
	b, ok = bytes.CutSuffix(b, []byte{'\n'})
	if !ok {
		return t, false
	}
	if e, err := Parse(b[bytes.LastIndexByte(b, '\n')+1:]); err == nil {
		t = e.Time
	}
	return t, true
}
