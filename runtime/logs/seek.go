package logs

import (
	"bytes"
	"io"
	"os"
	"time"
)

const chunk = 64 << 10

// tailOffset finds where the last n lines of f begin, reading backwards, and how many there are, at most n.
// Lines at or after until, if that is set, do not count.
func tailOffset(f *os.File, n int, until time.Time) (offset int64, lines int, err error) {
	st, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	end := st.Size()
	if !until.IsZero() {
		if end, err = sinceOffset(f, until); err != nil {
			return 0, 0, err
		}
	}
	buf := make([]byte, chunk)
	for pos := end; pos > 0; {
		size := min(int64(chunk), pos)
		pos -= size
		b := buf[:size]
		if _, err := f.ReadAt(b, pos); err != nil && err != io.EOF {
			return 0, 0, err
		}
		for i := len(b) - 1; i >= 0; i-- {
			if b[i] != '\n' || pos+int64(i) == end-1 {
				continue
			}
			if lines++; lines == n {
				return pos + int64(i) + 1, lines, nil
			}
		}
	}
	if end > 0 {
		lines++ // the first line has no newline before it
	}
	return 0, min(lines, n), nil
}

// sinceOffset finds by bisection the first line of f that is not before t. Lines are in order of time, more or less.
func sinceOffset(f *os.File, t time.Time) (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	low, high := int64(0), st.Size() // the line wanted begins in [low, high]
	for high-low > chunk {
		mid := low + (high-low)/2
		at, stamp, err := lineAfter(f, mid, high)
		if err != nil {
			return 0, err
		}
		if at < 0 || !stamp.Before(t) {
			high = mid
		} else {
			low = at
		}
	}
	// Line by line through the last chunk.
	b := make([]byte, high-low+longest)
	n, err := f.ReadAt(b, low)
	if err != nil && err != io.EOF {
		return 0, err
	}
	b = b[:n]
	for pos := low; len(b) > 0; {
		line, rest, found := bytes.Cut(b, []byte{'\n'})
		if e, err := Parse(line); err == nil && !e.Time.Before(t) {
			return pos, nil
		}
		if !found {
			break
		}
		pos += int64(len(line)) + 1
		b = rest
		low = pos
	}
	return low, nil
}

// lineAfter finds the first log line that begins after offset and before limit. at is -1 when there is none.
func lineAfter(f *os.File, offset, limit int64) (at int64, stamp time.Time, err error) {
	b := make([]byte, min(2*longest, limit-offset))
	n, err := f.ReadAt(b, offset)
	if err != nil && err != io.EOF {
		return -1, stamp, err
	}
	b = b[:n]
	pos := offset
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return -1, stamp, nil
		}
		b = b[i+1:]
		pos += int64(i) + 1
		line, _, found := bytes.Cut(b, []byte{'\n'})
		if !found {
			return -1, stamp, nil
		}
		if e, err := Parse(line); err == nil {
			return pos, e.Time, nil
		}
	}
}
