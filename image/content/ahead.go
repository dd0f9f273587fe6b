package content

import (
	"context"
	"io"
	"sync"
)

const (
	chunkSize   = 256 << 10
	chunksAhead = 8
)

var chunks = sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}

type chunk struct {
	buf *[]byte
	n   int
	err error
}

// ahead reads r in a goroutine of its own, at most chunksAhead chunks ahead of its reader.
type ahead struct {
	full   chan chunk
	cancel context.CancelFunc
	ctx    context.Context
	done   chan struct{}

	now chunk
	at  int
}

// ReadAhead starts reading. Close stops it and waits for the read that is under way; it does not close r.
func ReadAhead(ctx context.Context, r io.Reader) io.ReadCloser {
	a := &ahead{full: make(chan chunk, chunksAhead), done: make(chan struct{})}
	a.ctx, a.cancel = context.WithCancel(ctx)
	go func() {
		defer close(a.done)
		for {
			c := chunk{buf: chunks.Get().(*[]byte)}
			for c.n < chunkSize && c.err == nil {
				var n int
				n, c.err = r.Read((*c.buf)[c.n:])
				c.n += n
				if a.ctx.Err() != nil {
					return
				}
			}
			select {
			case a.full <- c:
			case <-a.ctx.Done():
				return
			}
			if c.err != nil {
				return
			}
		}
	}()
	return a
}

func (a *ahead) Read(p []byte) (int, error) {
	for a.now.buf == nil || a.at == a.now.n {
		if a.now.buf != nil {
			if a.now.err != nil {
				return 0, a.now.err
			}
			chunks.Put(a.now.buf)
			a.now = chunk{}
		}
		select {
		case a.now = <-a.full:
			a.at = 0
		case <-a.ctx.Done():
			return 0, context.Cause(a.ctx)
		}
	}
	n := copy(p, (*a.now.buf)[a.at:a.now.n])
	a.at += n
	return n, nil
}

func (a *ahead) Close() error {
	a.cancel()
	<-a.done
	return nil
}
