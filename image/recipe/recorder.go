package recipe

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// Recorder writes the recipe of a stream while somebody else unpacks it. It is used by one goroutine.
//
//	rec := NewRecorder(file, 0)
//	in := rec.Tee(stream)     // what is read of in is remembered
//	rec.Begin("etc/hosts", n) // but for this file's content, which is read of in now
//	rec.End()
//	…                         // to the end of in
//	err := rec.Close()
type Recorder struct {
	out     *zstd.Encoder
	pending []byte // a literal record that may grow
	left    int64  // of the limit
	within  bool   // in a file's content
	size    int64  // of that content
	seen    int64  // bytes of it
	total   int64
	err     error
}

// NewRecorder writes to w. limit bounds what of a stream is remembered literally, bytes; 0 = DefaultLimit.
func NewRecorder(w io.Writer, limit int64) (*Recorder, error) {
	if limit == 0 {
		limit = DefaultLimit
	}
	// It is on the way of every byte of a pull: speed goes before size.
	out, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(256<<10))
	if err != nil {
		return nil, err
	}
	return &Recorder{out: out, left: limit}, nil
}

// Tee is r for whoever unpacks it.
func (c *Recorder) Tee(r io.Reader) io.Reader { return tee{c, r} }

type tee struct {
	c *Recorder
	r io.Reader
}

func (t tee) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.c.saw(p[:n])
	return n, err
}

func (c *Recorder) saw(p []byte) {
	c.total += int64(len(p))
	if c.within {
		c.seen += int64(len(p))
		return
	}
	if c.left -= int64(len(p)); c.left < 0 {
		c.fail(fmt.Errorf("%w: beside its files it has more than the limit", ErrNoRecipe))
	}
	for len(p) > 0 && c.err == nil {
		n := min(len(p), maxLiteral-len(c.pending))
		c.pending = append(c.pending, p[:n]...)
		if p = p[n:]; len(c.pending) == maxLiteral {
			c.flush()
		}
	}
}

// Begin says that the content of the file at path follows in the stream, size bytes.
func (c *Recorder) Begin(path string, size int64) {
	c.within, c.size, c.seen = true, size, 0
	if c.err != nil || size == 0 {
		return
	}
	if len(path) >= maxPath {
		c.fail(ErrNoRecipe)
		return
	}
	c.flush()
	b := binary.AppendUvarint([]byte{content}, uint64(size))
	b = binary.AppendUvarint(b, uint64(len(path)))
	c.write(append(b, path...))
}

// End says that the content has been read.
func (c *Recorder) End() {
	if c.seen != c.size {
		c.fail(ErrNoRecipe) // the stream holds the file in another form
	}
	c.within = false
}

// Total is how long the stream was until now, bytes.
func (c *Recorder) Total() int64 { return c.total }

// Close ends the recipe. ErrNoRecipe: what was written is none.
func (c *Recorder) Close() error {
	c.flush()
	c.write([]byte{end})
	if err := c.out.Close(); c.err == nil {
		c.err = err
	}
	return c.err
}

func (c *Recorder) flush() {
	if len(c.pending) == 0 {
		return
	}
	c.write(binary.AppendUvarint([]byte{literal}, uint64(len(c.pending))))
	c.write(c.pending)
	c.pending = c.pending[:0]
}

func (c *Recorder) write(p []byte) {
	if c.err != nil {
		return
	}
	if _, err := c.out.Write(p); err != nil {
		c.fail(err)
	}
}

func (c *Recorder) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}
