package logs

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxLine is the longest text in one line; a longer one is written in partial pieces. Docker's size.
	MaxLine = 16 << 10

	// block is about how much is given to write(2) at once.
	block = 64 << 10

	noLimit = 1<<63 - 1
)

// Writer writes a container's streams to a file that rotates by size. It is for one goroutine at a time.
type Writer struct {
	dir      *dir
	maxSize  int64
	maxFiles int

	f       *os.File
	size    int64
	dropped int64 // bytes of lines that rotation has removed, ever
	out     []byte
	pending map[string]*partial
	latest  time.Time // of what was written last
	lost    int       // bytes of output that could not be written since the last success
	why     error
}

// partial is the begin of a line whose end has not come yet.
type partial struct {
	at   time.Time // of its first byte
	text []byte
}

// OpenWriter opens path for appending and makes it and its directory if need be. maxSize is in bytes, 0 = no limit. maxFiles counts path
// itself, 0 = 1. Both are the defaults of docker's json-file.
func OpenWriter(path string, maxSize int64, maxFiles int) (*Writer, error) {
	d, err := makeDir(path)
	if err != nil {
		return nil, fmt.Errorf("cannot make the directory of a log: %w", err)
	}
	w := newWriter(d, maxSize, maxFiles)
	if err := w.open(); err != nil {
		d.close()
		return nil, fmt.Errorf("cannot open a log: %w", err)
	}
	if w.maxSize != noLimit {
		w.dropped = d.dropped()
		w.shorten()
	}
	return w, nil
}

func newWriter(d *dir, maxSize int64, maxFiles int) *Writer {
	if maxSize <= 0 {
		maxSize = noLimit
	}
	return &Writer{dir: d, maxSize: maxSize, maxFiles: max(maxFiles, 1), pending: map[string]*partial{}}
}

func (w *Writer) open() error {
	f, err := w.dir.open(w.dir.name, unix.O_RDWR|unix.O_CREAT|unix.O_APPEND)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	w.f, w.size = f, st.Size()
	if w.size > 0 {
		// A monitor that was killed in the middle of a write leaves half a line; ours must not continue it.
		var last [1]byte
		if _, err := f.ReadAt(last[:], w.size-1); err == nil && last[0] != '\n' {
			n, _ := f.Write([]byte{'\n'})
			w.size += int64(n)
		}
	}
	return nil
}

// Write logs what was read from stream at time t. When it returns, every whole line is in the file. A file that
// cannot be written (a full disk) loses the lines, and says so in the log as soon as it can be written again.
func (w *Writer) Write(stream string, t time.Time, data []byte) {
	prefix := AppendPrefix(nil, t, stream, false)
	if p := w.pending[stream]; p != nil && len(p.text) > 0 {
		data = w.complete(stream, p, t, data)
	}
	for len(data) > 0 {
		i := bytes.IndexByte(data, '\n')
		if i < 0 && len(data) <= MaxLine {
			w.hold(stream, t, data)
			break
		}
		if i < 0 || i > MaxLine {
			w.out = Append(w.out, Entry{t, stream, true, data[:MaxLine]})
			w.latest = t
			data = data[MaxLine:]
		} else {
			w.out = append(w.out, prefix...)
			w.out = append(w.out, data[:i+1]...)
			w.latest = t
			data = data[i+1:]
		}
		if len(w.out) >= block {
			w.flush()
		}
	}
	w.flush()
}

// Line logs a line that is no part of what the streams carry: the begin of one that is held back is left alone. The text is
// without a newline and no longer than MaxLine.
func (w *Writer) Line(stream string, t time.Time, text []byte) {
	w.out = Append(w.out, Entry{t, stream, false, text})
	w.latest = t
	w.flush()
}

// complete ends the line that p began, as far as data goes, and returns the rest of data.
func (w *Writer) complete(stream string, p *partial, t time.Time, data []byte) []byte {
	room := MaxLine - len(p.text)
	i := bytes.IndexByte(data, '\n')
	switch {
	case i >= 0 && i <= room:
		p.text = append(p.text, data[:i]...)
		w.out = Append(w.out, Entry{w.due(p), stream, false, p.text})
		data = data[i+1:]
	case len(data) > room:
		p.text = append(p.text, data[:room]...)
		w.out = Append(w.out, Entry{w.due(p), stream, true, p.text})
		data = data[room:]
	default:
		p.text = append(p.text, data...)
		return nil
	}
	p.text = p.text[:0]
	return data
}

// due is the time of a line that was held back: that of its first byte, but not before what the other stream has written
// meanwhile. Readers find their place by time, so in a file it does not go back.
func (w *Writer) due(p *partial) time.Time {
	if p.at.Before(w.latest) {
		return w.latest
	}
	return p.at
}

func (w *Writer) hold(stream string, t time.Time, data []byte) {
	p := w.pending[stream]
	if p == nil {
		p = &partial{}
		w.pending[stream] = p
	}
	p.at = t
	p.text = append(p.text[:0], data...)
}

// End writes what stream left without a newline.
func (w *Writer) End(stream string) {
	if p := w.pending[stream]; p != nil && len(p.text) > 0 {
		w.out = Append(w.out, Entry{w.due(p), stream, true, p.text})
		p.text = nil
		w.flush()
	}
}

func (w *Writer) Close() error {
	w.End(Stdout)
	w.End(Stderr)
	if w.lost > 0 { // a last attempt to say so
		w.noteLoss()
	}
	w.dir.close()
	return w.f.Close()
}

// Lost is how many bytes of output could not be written since the last success, and why.
func (w *Writer) Lost() (int, error) { return w.lost, w.why }

// flush writes out, all or nothing: a part of a line is never left in the file.
func (w *Writer) flush() {
	if len(w.out) == 0 {
		return
	}
	if w.size > 0 && w.size+int64(len(w.out)) > w.maxSize {
		w.rotate()
	}
	if w.lost > 0 {
		if !w.noteLoss() {
			w.lose(len(w.out))
			return
		}
	}
	if w.write(w.out) {
		w.out = w.out[:0]
	} else {
		w.lose(len(w.out))
	}
}

func (w *Writer) noteLoss() bool {
	note := fmt.Sprintf("stack: %d bytes of log were lost: %v", w.lost, w.why)
	if !w.write(Append(nil, Entry{time.Now(), Stderr, false, []byte(note)})) {
		return false
	}
	w.lost, w.why = 0, nil
	return true
}

func (w *Writer) lose(n int) {
	w.lost += n
	w.out = w.out[:0]
}

func (w *Writer) write(b []byte) bool {
	n, err := w.f.Write(b)
	if err == nil {
		w.size += int64(n)
		return true
	}
	w.why = err
	if n > 0 && w.f.Truncate(w.size) != nil {
		w.size += int64(n)
	}
	return false
}

// rotate renames path.1 to path.2 and so on, and path to path.1. Readers that follow have the file open and see it
// renamed. A rotation that fails leaves the writer with the file that it has. What it removes for good is counted first: a reader
// is told that lines are missing.
func (w *Writer) rotate() {
	name := w.dir.name
	if w.maxFiles == 1 {
		w.drop(w.size)
		w.startAnew(name)
		return
	}
	w.drop(w.dir.size(numbered(name, w.maxFiles-1)))
	for i := w.maxFiles - 2; i >= 1; i-- {
		_ = w.dir.rename(numbered(name, i), numbered(name, i+1)) // most are not there yet
	}
	if err := w.dir.rename(name, numbered(name, 1)); err != nil {
		return
	}
	old := w.f
	if err := w.open(); err != nil {
		w.why = err
		_ = w.dir.rename(numbered(name, 1), name)
		return
	}
	old.Close()
}

// startAnew puts an empty file in the place of the log. Readers have the old one open, and do not miss its end.
func (w *Writer) startAnew(name string) {
	fresh, err := w.dir.open(name+".new", unix.O_RDWR|unix.O_CREAT|unix.O_TRUNC|unix.O_APPEND)
	if err == nil {
		if err = w.dir.rename(name+".new", name); err == nil {
			w.f.Close()
			w.f, w.size = fresh, 0
			return
		}
		fresh.Close()
	}
	// A full disk has no room for another file.
	if w.f.Truncate(0) == nil {
		w.size = 0
	}
}

// shorten removes the files that an earlier, larger limit has left.
func (w *Writer) shorten() {
	for i := w.maxFiles; ; i++ {
		name := numbered(w.dir.name, i)
		size := w.dir.size(name)
		if unix.Unlinkat(w.dir.fd, name, 0) != nil {
			return
		}
		w.drop(size)
	}
}

// drop counts n bytes of lines as removed.
func (w *Writer) drop(n int64) {
	if n > 0 {
		w.dropped += n
		w.dir.setDropped(w.dropped)
	}
}
